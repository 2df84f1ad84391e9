"""Sends to other agents and hears from them: one thread that owns every ZeroMQ socket of the process."""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import zmq

from syncagent.ports import PeerEvent
from syncagent.transport.addresses import parse
from syncagent.transport.authenticate import Authenticator, prove_strangers_are_refused
from syncagent.transport.dialler import Dialler
from syncagent.transport.keys import derive
from syncagent.transport.listener import Listener
from syncagent.transport.loop import Loop
from syncagent.transport.peering import Peering
from syncagent.transport.sockets import Context, check_libzmq
from syncagent.transport.trouble import Trouble
from syncproto.codec import Parcel, pack
from syncproto.greeting import Introduction
from syncproto.messages import VolumeHello, VolumeMessage

log = logging.getLogger(__name__)

STOP_REASON = "the agent stops"
REMOVED_REASON = "the address is no longer that of a peer"
RESET_REASON = "new Hellos are exchanged"


class Transport:
    """The real ``Peers``.

    ``secret`` None: only loopback may be listened on and dialled. ``volumes`` is asked at each Hello, and ``emit`` is
    called with each event, both on the transport's thread: they must be quick. All methods may be called on any thread.
    """

    def __init__(
        self,
        name: str,
        cluster: str,
        secret: bytes | None,
        listen: Sequence[str],
        peers: Sequence[str],
        volumes: Callable[[], tuple[VolumeHello, ...]],
        emit: Callable[[PeerEvent], None],
    ) -> None:
        self._name, self._cluster = name, cluster
        self._instance = os.urandom(8)
        self._secret = secret
        self._listen, self._wanted = tuple(listen), tuple(peers)
        self._volumes, self._emit = volumes, emit
        self._peering = Peering(self._instance, self._tell)
        self._loop = Loop()
        self._context: Context = zmq.Context()
        self._listeners: list[Listener] = []
        self._diallers: dict[str, Dialler] = {}
        self._unusable: dict[str, Trouble] = {}
        self._authenticator: Authenticator | None = None
        self._posted: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._linger_ms: int | None = None
        self._thread = threading.Thread(target=self._run, name="transport", daemon=True)

    # -- for everybody -------------------------------------------------------------------------

    def start(self) -> None:
        """Listen, and begin to dial.

        Raises ``ListenFailed`` for an address, ``TransportFailed`` for an empty secret, or for what is wrong with this
        installation. Nothing is left behind then.
        """
        try:
            self._open()
        except BaseException:
            self._close()
            raise
        self._thread.start()

    @property
    def listening(self) -> list[str]:
        """The addresses that are listened on, with their real ports."""
        return [listener.place for listener in self._listeners]

    @property
    def counters(self) -> dict[str, int]:
        """What went through, by name, since the start."""
        return dict(self._peering.counters)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs: if it does not and was not stopped, an error of ours ended it."""
        return self._thread.is_alive()

    def send(self, peer: str, message: VolumeMessage, frames: Sequence[bytes] = ()) -> None:
        """Queue a message; it is dropped if the peer is gone. Raises ``LocalProtocolError`` if it is too large."""
        parcel = pack(message, frames)
        self._count_posted(peer, parcel.size)
        self._loop.post(partial(self._send, peer, parcel))

    def consumed(self, peer: str, size: int) -> None:
        """So many bulk bytes of the peer were worked off: the ``PeerMessage.size`` of what is done with."""
        self._loop.post(partial(self._peering.consumed, peer, size))

    def backlog_bytes(self, peer: str) -> int:
        """Bulk that is not yet under way to the peer: who has more to send to it does well to wait."""
        return self._posted[peer] + self._peering.backlog_bytes(peer)

    def set_peers(self, peers: Sequence[str]) -> None:
        """From now on dial exactly these addresses."""
        self._loop.post(partial(self._dial, tuple(peers)))

    def reset(self, peer: str | None = None) -> None:
        """End the sessions with a peer, or with all, and have new Hellos exchanged: what they say has changed."""
        self._loop.post(partial(self._reset, peer))

    def stop(self, linger_seconds: float = 1.0) -> None:
        """Take leave of all peers and end; what is on its way may take so long. Nothing is emitted any more."""
        self._loop.post(partial(setattr, self, "_linger_ms", int(linger_seconds * 1000)))
        if self._thread.ident is not None:
            self._thread.join()
        else:
            self._close()

    # -- on the thread -------------------------------------------------------------------------

    def _open(self) -> None:
        """Done before the thread begins, so that what goes wrong is raised to who starts it."""
        check_libzmq(zmq.zmq_version_info())
        self._keys = derive(self._secret)
        authenticator = Authenticator(self._context, self._keys)
        self._authenticator = authenticator
        is_open = self._secret is not None
        for text in self._listen:
            self._listeners.append(Listener(self._context, self._keys, text, is_open))
        for listener in self._listeners:
            prove_strangers_are_refused(self._context, authenticator, self._keys, listener.place)
            listener.run(self._loop, self._peering, self._introduce)
            log.info("listening on %s", listener.place)
        self._loop.watch(authenticator.socket, authenticator.answer)
        self._dial(self._wanted)

    def _run(self) -> None:
        try:
            while self._linger_ms is None:
                self._turn()
        finally:
            self._close()

    def _turn(self) -> None:
        self._loop.turn(min((end.deadline for end in self._ends()), default=float("inf")))
        for end in self._ends():
            if self._loop.now >= end.deadline:
                end.tick()
        self._peering.flush(self._loop.now)

    def _ends(self) -> list[Listener | Dialler]:
        return [*self._listeners, *self._diallers.values()]

    def _close(self) -> None:
        if self._context.closed:
            return
        linger_ms = self._linger_ms = self._linger_ms or 0
        for end in self._ends():
            end.close(STOP_REASON, linger_ms)
        if self._authenticator is not None:
            self._authenticator.socket.close()
        self._loop.close()
        self._context.term()

    def _send(self, peer: str, parcel: Parcel) -> None:
        self._count_posted(peer, -parcel.size)
        self._peering.send(peer, parcel)

    def _count_posted(self, peer: str, size: int) -> None:
        if size:
            with self._lock:
                self._posted[peer] += size
                if not self._posted[peer]:
                    del self._posted[peer]

    def _tell(self, event: PeerEvent) -> None:
        if self._linger_ms is None:
            self._emit(event)

    def _introduce(self) -> Introduction:
        return Introduction(self._cluster, self._name, self._instance, self._volumes())

    def _dial(self, peers: tuple[str, ...]) -> None:
        for text in [text for text in self._diallers if text not in peers]:
            self._diallers.pop(text).close(REMOVED_REASON, 1000)
        for text in [text for text in self._unusable if text not in peers]:
            self._unusable.pop(text).clear()
        for text in peers:
            if text not in self._diallers and text not in self._unusable:
                self._add(text)

    def _add(self, text: str) -> None:
        trouble = Trouble(text, self._tell)
        try:
            address = parse(text)
        except ValueError as error:
            self._unusable[text] = trouble
            trouble.set(str(error))
            return
        dialler = Dialler(self._context, self._keys, address, self._secret is not None, trouble)
        dialler.run(self._loop, self._peering, self._introduce)
        self._diallers[text] = dialler

    def _reset(self, peer: str | None) -> None:
        links = self._peering.links(peer)
        for dialler in self._diallers.values():
            if dialler.is_greeting or dialler.link in links:  # whoever is greeted may be that peer
                dialler.greet_again(RESET_REASON)
        for link in links:
            if not link.session.is_dialler:
                self._peering.forget(link, RESET_REASON)
