"""The transport of the moment: the engine sends through it, and a new cluster secret puts another in its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from syncagent.ports import PeerEvent
from syncagent.transport import Transport
from syncproto.messages import VolumeHello, VolumeMessage


class Line:
    """A ``Peers`` that outlives the transport behind it."""

    def __init__(
        self,
        name: str,
        cluster: str,
        listen: Sequence[str],
        volumes: Callable[[], tuple[VolumeHello, ...]],
        emit: Callable[[PeerEvent], None],
    ) -> None:
        self._name, self._cluster, self._listen = name, cluster, tuple(listen)
        self._volumes, self._emit = volumes, emit
        self._secret: bytes | None = None
        self._transport: Transport | None = None

    def open(self, secret: bytes | None, peers: Sequence[str]) -> None:
        """Listen and dial under this secret. Raises ``TransportFailed``."""
        transport = Transport(
            name=self._name,
            cluster=self._cluster,
            secret=secret,
            listen=self._listen,
            peers=peers,
            volumes=self._volumes,
            emit=self._emit,
        )
        self._secret, self._transport = secret, transport  # a peer may be there before ``start`` returns
        try:
            transport.start()
        except BaseException:
            self._transport = None
            raise
        self._listen = tuple(transport.listening)  # where port 0 was asked for, it stays the same from now on

    def renew(self, secret: bytes | None, peers: Sequence[str]) -> None:
        """Take over a changed secret or changed addresses. Raises ``TransportFailed``; then nothing is connected."""
        if self._transport is not None and secret == self._secret:
            self._transport.set_peers(peers)
            return
        self.close(0.0)
        self.open(secret, peers)

    @property
    def listening(self) -> list[str]:
        """The addresses that are listened on."""
        return self._transport.listening if self._transport else []

    @property
    def counters(self) -> dict[str, int]:
        """What went through the transport of the moment."""
        return self._transport.counters if self._transport else {}

    @property
    def is_alive(self) -> bool:
        """Whether the transport runs."""
        return self._transport is not None and self._transport.is_alive

    def send(self, peer: str, message: VolumeMessage, frames: Sequence[bytes] = ()) -> None:
        """Queue a message; it is dropped if the peer is gone."""
        if self._transport is not None:
            self._transport.send(peer, message, frames)

    def consumed(self, peer: str, size: int) -> None:
        """So many bulk bytes of the peer were worked off."""
        if self._transport is not None:
            self._transport.consumed(peer, size)

    def reset(self) -> None:
        """Begin all sessions anew."""
        if self._transport is not None:
            self._transport.reset()

    def close(self, linger_seconds: float) -> None:
        """End the transport; its peers are gone."""
        if self._transport is not None:
            self._transport.stop(linger_seconds)
            self._transport = None
