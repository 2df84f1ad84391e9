"""A running transport with what it emitted, and a member of the cluster that sends what it likes."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Sequence

import zmq

from contract.peers_harness import SECRET, VOLUME, volumes_of
from syncagent.ports import PeerEvent, PeerMessage, PeerTrouble, PeerUp
from syncagent.transport import Transport, keys, sockets
from syncproto.codec import decode, encode
from syncproto.greeting import Introduction, hello
from syncproto.messages import Heartbeat, Hello, Pull

PULL = Pull(VOLUME, 1, {}, "b.1", 0)
LOOPBACK = ("tcp://127.0.0.1:0",)


class Running:
    """A transport and what it emitted."""

    def __init__(
        self, name: str, listen: Sequence[str] = LOOPBACK, peers: Sequence[str] = (), secret: bytes | None = SECRET
    ) -> None:
        self.events: queue.SimpleQueue[PeerEvent] = queue.SimpleQueue()
        volumes = volumes_of(name)
        self.transport = Transport(name, "home", secret, listen, peers, lambda: volumes, self.events.put)

    def wait_for(self, kind: type[PeerEvent], seconds: float = 5.0) -> PeerEvent:
        """The next event of a kind; those before it are dropped."""
        end = time.monotonic() + seconds
        while True:
            event = self.events.get(timeout=max(0.001, end - time.monotonic()))
            if isinstance(event, kind):
                return event

    def up(self) -> str:
        event = self.wait_for(PeerUp)
        assert isinstance(event, PeerUp)
        return event.peer

    def trouble(self, seconds: float = 8.0) -> str:
        event = self.wait_for(PeerTrouble, seconds)
        assert isinstance(event, PeerTrouble)
        return event.reason

    def counts(self, name: str, at_least: int) -> None:
        """Wait until a counter has come so far."""
        end = time.monotonic() + 5
        while self.transport.counters[name] < at_least:
            assert time.monotonic() < end, self.transport.counters
            time.sleep(0.005)


Start = Callable[..., Running]


def still_works(start: Start, listener: Running) -> None:
    """A peer can still come and be heard."""
    peer = start("witness", peers=listener.transport.listening)
    peer.transport.send(peer.up(), PULL)
    assert isinstance(listener.wait_for(PeerMessage), PeerMessage)


def fit(name: str = "raw") -> Introduction:
    return Introduction("home", name, b"raw-peer", volumes_of(name))


class RawPeer:
    """A DEALER that knows the secret, and sends what it likes."""

    def __init__(self, context: sockets.Context, listener: Running) -> None:
        pair = keys.derive(SECRET)
        self.dealer = sockets.make_dialler(context, pair, pair.public)
        self.dealer.setsockopt(zmq.IMMEDIATE, 0)
        self.dealer.connect(listener.transport.listening[0])

    def send(self, *frames: bytes) -> None:
        self.dealer.send_multipart(frames)

    def greet(self, id: bytes = b"session1", introduction: Introduction | None = None) -> None:
        self.send(id, encode(hello(introduction or fit(), is_reply=False)))
        answer = self.receive()
        assert isinstance(answer, Hello)
        assert answer.is_reply

    def receive(self) -> object:
        """The next message that is more than a sign of life."""
        while True:
            assert self.dealer.poll(5000)
            wire = self.dealer.recv_multipart()
            message = decode(wire[1], wire[2:])
            if not isinstance(message, Heartbeat):
                return message
