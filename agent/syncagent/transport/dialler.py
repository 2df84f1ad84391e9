"""One address that is dialled until it answers: a DEALER per attempt, a session on each connection."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from functools import partial

import zmq
from zmq.utils.monitor import recv_monitor_message

from syncagent.transport import addresses, diagnose
from syncagent.transport.addresses import Address
from syncagent.transport.keys import KeyPair
from syncagent.transport.loop import Loop
from syncagent.transport.peering import Link, Peering
from syncagent.transport.sockets import DIALLER_EVENTS, Context, Socket, allow, discard, make_dialler, make_monitor
from syncagent.transport.trouble import Trouble
from syncproto import limits
from syncproto.greeting import Introduction
from syncproto.session import Closed, Session, Wire

BATCH = 64
RETRY_SECONDS = 0.1
"""The pause after the first failure; each further one doubles it."""
RETRY_SECONDS_MAX = 1.0
HANDSHAKE_RETRY_SECONDS_MAX = 5.0
REFUSED_RETRY_SECONDS = 5.0
SELF_RETRY_SECONDS = 60.0
TROUBLE_SECONDS = 3.0
"""It may take so long before a failure is worth a word."""
DIAGNOSIS_SECONDS = 15.0
GIVE_UP_SECONDS = 10.0
"""An attempt that ZeroMQ says nothing about for so long has failed."""
NO_SECRET = (
    "without a secret only loopback addresses may be peers: make a secret with `syncctl keygen` and name its file by "
    "--secret-file on all agents"
)


class Dialler:
    """Tries again for ever. ``is_open``: others than loopback may be dialled."""

    def __init__(self, context: Context, keys: KeyPair, address: Address, is_open: bool, trouble: Trouble) -> None:
        self._context, self._keys = context, keys
        self._address, self._is_open = address, is_open
        self._trouble = trouble
        self._socket: Socket | None = None
        self._monitor: Socket | None = None
        self.link: Link | None = None
        self._is_up = False
        self._is_closed = False
        self._failures = 0
        self._failing_since: float | None = None
        self._diagnose_at = 0.0
        self._greeted_at = 0.0
        self._attempt_at: float | None = 0.0
        self._give_up_at = float("inf")

    def run(self, loop: Loop, peering: Peering, introduce: Callable[[], Introduction]) -> None:
        """Begin to dial with the next tick."""
        self._loop, self._peering, self._introduce = loop, peering, introduce

    @property
    def deadline(self) -> float:
        """When ``tick`` is due."""
        if self._attempt_at is not None:
            return self._attempt_at
        return self.link.session.deadline if self.link else self._give_up_at

    @property
    def is_greeting(self) -> bool:
        """Whether a Hello is on its way that is not answered."""
        return self.link is not None and not self.link.session.is_established

    def tick(self) -> None:
        """Dial if it is time; let time pass for the session."""
        if self._attempt_at is not None and self._loop.now >= self._attempt_at:
            self._attempt_at = None
            self._attempt()
        elif self.link is not None:
            self._peering.tick(self.link, self._loop.now)
        elif self._loop.now >= self._give_up_at:
            self._came_to_nothing(is_handshake=False)

    def close(self, reason: str, linger_ms: int) -> None:
        """End the session in good order, and stop dialling."""
        self._is_closed = True
        self._attempt_at = None
        self._trouble.clear()
        if self.link is not None:
            self._peering.close(self.link, reason)
            self._say_why()
        self._hang_up(linger_ms)

    def greet_again(self, reason: str) -> None:
        """End the session and begin another one on the same connection."""
        if self.link is not None:
            self._is_up = False
            self._greeted_at = self._loop.now
            self._peering.begin(self.link, self._new_session(), reason)

    # -- connecting ----------------------------------------------------------------------------

    def _attempt(self) -> None:
        host, port = self._address.host, self._address.port
        if self._failing_since is None:
            self._failing_since = self._loop.now
        if addresses.is_numeric(host):
            self._connect([host])
        else:
            self._loop.background(partial(_resolve, host, port), self._resolved)

    def _resolved(self, found: list[str] | OSError) -> None:
        if self._is_closed:
            return
        if isinstance(found, OSError):
            self._failed(RETRY_SECONDS_MAX, diagnose.unresolved(self._address, found))
        else:
            self._connect(found)

    def _connect(self, found: list[str]) -> None:
        ip = found[self._failures % len(found)]
        if not self._is_open and not addresses.is_loopback(ip):
            self._trouble.set(NO_SECRET)
            self._attempt_at = self._loop.now + SELF_RETRY_SECONDS
            return
        self._socket = make_dialler(self._context, self._keys, self._keys.public)
        self._monitor = make_monitor(self._socket, DIALLER_EVENTS)
        self._loop.watch(self._socket, self._on_message)
        self._loop.watch(self._monitor, self._on_event)
        allow(self._socket, ip)
        self._socket.connect(addresses.endpoint(ip, self._address.port))
        self._give_up_at = self._loop.now + GIVE_UP_SECONDS

    def _on_event(self) -> None:
        while self._monitor is not None and self._monitor.poll(0):
            event = recv_monitor_message(self._monitor)["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.link = Link(self._new_session(), self._address.text, self._transmit, self._ended)
                self._peering.opened(self.link)
            elif self.link is not None:
                self._peering.lose(self.link, "the connection was lost")
            else:
                self._came_to_nothing(is_handshake=event != zmq.EVENT_CLOSED)

    def _came_to_nothing(self, is_handshake: bool) -> None:
        self._hang_up()
        self._failed(HANDSHAKE_RETRY_SECONDS_MAX if is_handshake else RETRY_SECONDS_MAX)
        if self._is_worth_a_word() and self._loop.now >= self._diagnose_at:
            self._diagnose_at = self._loop.now + DIAGNOSIS_SECONDS
            self._loop.background(partial(diagnose.why_unreachable, self._address, is_handshake), self._diagnosed)

    def _failed(self, pause_max: float, reason: str = "") -> None:
        pause = min(RETRY_SECONDS * 2 ** min(self._failures, 10), pause_max)
        self._failures += 1
        self._attempt_at = self._loop.now + pause * random.uniform(0.9, 1.1)
        if reason and self._is_worth_a_word():
            self._trouble.set(reason)

    def _is_worth_a_word(self) -> bool:
        return self._failing_since is not None and self._loop.now >= self._failing_since + TROUBLE_SECONDS

    def _diagnosed(self, reason: str) -> None:
        if reason and self._failing_since is not None and not self._is_closed:
            self._trouble.set(reason)

    def _hang_up(self, linger_ms: int = 0) -> None:
        if self._socket is None:
            return
        assert self._monitor is not None
        self._loop.unwatch(self._monitor)
        self._loop.unwatch(self._socket)
        discard(self._socket, self._monitor, linger_ms)
        self._socket = self._monitor = self.link = None
        self._is_up = False

    # -- the session ---------------------------------------------------------------------------

    def _new_session(self) -> Session:
        return Session(self._introduce, self._loop.now, os.urandom(limits.SESSION_ID_BYTES))

    def _on_message(self) -> None:
        for _ in range(BATCH):
            if self._socket is None or self.link is None:
                return
            try:
                wire = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._peering.receive(self.link, wire, self._loop.now)
            if not self._is_up and self.link is not None and self.link.session.is_established:
                self._came_up()

    def _came_up(self) -> None:
        self._is_up = True
        self._failures = 0
        self._failing_since = None
        self._trouble.clear()

    def _transmit(self, wire: Wire) -> bool:
        if self._socket is None:
            return False
        try:
            self._socket.send_multipart(wire, zmq.NOBLOCK, copy=False)
        except zmq.ZMQError:
            return False
        return True

    def _ended(self, closed: Closed) -> None:
        """The session is over: what next?"""
        if self._is_closed or self.link is None:
            return
        if closed.code == "no-session" and self._loop.now >= self._greeted_at + limits.HELLO_RETRY_SECONDS:
            self.greet_again(closed.reason)
            return
        was_up = self._is_up
        self._say_why()
        self._hang_up(linger_ms=500)
        if closed.code in ("lost", "closed", "no-session", "silence"):
            is_mute = closed.code == "silence" and not was_up
            self._failed(RETRY_SECONDS_MAX, f"the agent hangs: {closed.reason}; restart it" if is_mute else "")
        elif closed.code == "self":
            self._trouble.clear()
            self._attempt_at = self._loop.now + SELF_RETRY_SECONDS
        else:
            self._trouble.set(_why_ended(closed))
            self._attempt_at = self._loop.now + REFUSED_RETRY_SECONDS

    def _say_why(self) -> None:
        """Hand over what an ended session still has to say, before the socket is closed."""
        assert self.link is not None
        for wire in self.link.session.outgoing(self._loop.now):
            self._transmit(wire)


def _why_ended(closed: Closed) -> str:
    if closed.code == "malformed":
        whose = "it refused a message of this agent" if closed.is_remote else "it sent what the protocol does not allow"
        return f"{whose} ({closed.reason}): run the same version of syncagent on both"
    return closed.reason


def _resolve(host: str, port: int) -> list[str] | OSError:
    try:
        return addresses.resolve(host, port)
    except OSError as error:
        return error
