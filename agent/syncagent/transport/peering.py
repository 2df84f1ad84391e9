"""Which sessions lead to which agent, and what the engine hears of them. No sockets here.

Two agents that dial each other have two sessions; both stay. The engine sees one peer, which comes with the first and
goes with the last. What is sent takes the session whose dialler has the smaller instance id, so both ends mostly use
the same one. A message that is lost with a session is repaired by a pull.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from syncagent.ports import PeerAddress, PeerDown, PeerEvent, PeerMessage, PeerUp
from syncproto.codec import Parcel
from syncproto.messages import Hello
from syncproto.session import Closed, Established, Event, Received, Session, Wire

log = logging.getLogger(__name__)

COUNTERS = (
    "messages_in",
    "messages_out",
    "bytes_in",
    "bytes_out",
    "bulk_bytes_in",
    "bulk_bytes_out",
    "sessions",
    "dropped_messages",
    "dropped_peers",
    "decode_errors",
    "auth_refused",
    "connections",
    "connections_admitted",
)
"""Connections are those that others made to us: any that was not admitted came to nothing, or still might."""


class Link:
    """One connection to another agent, dialled or accepted, and the session on it.

    ``transmit`` hands one message over and says whether the connection still stands. ``ended`` is told when a session
    is over, or when a Hello was refused.
    """

    def __init__(
        self, session: Session, address: str, transmit: Callable[[Wire], bool], ended: Callable[[Closed], None]
    ) -> None:
        self.session = session
        self.address = address
        self.transmit = transmit
        self.ended = ended
        self.peer: str | None = None


@dataclass
class _Peer:
    """An agent that has sessions with us. ``hello`` is the one the engine was told."""

    hello: Hello
    links: list[tuple[bytes, int, Link]] = field(default_factory=list)
    """Sorted: by the instance of the dialler, then by age. The first one is for sending."""


class Peering:
    """Drives the sessions of all links, and keeps the list of peers. Called by one thread only."""

    def __init__(self, instance: bytes, emit: Callable[[PeerEvent], None]) -> None:
        self.counters: Counter[str] = Counter(dict.fromkeys(COUNTERS, 0))
        self._instance = instance
        self._emit = emit
        self._peers: dict[str, _Peer] = {}
        self._unflushed: dict[Link, None] = {}
        self._ages = count()

    # -- links ---------------------------------------------------------------------------------

    def opened(self, link: Link) -> None:
        """A link has something to say: its Hello."""
        self._unflushed[link] = None

    def receive(self, link: Link, wire: list[bytes], now: float) -> None:
        """A message came on a link."""
        self.counters["messages_in"] += 1
        self.counters["bytes_in"] += sum(map(len, wire))
        self._handle(link, link.session.receive(wire, now))

    def tick(self, link: Link, now: float) -> None:
        """Let the link's session know the time, if it wants to."""
        if now >= link.session.deadline:
            self._handle(link, link.session.tick(now))

    def probe(self, link: Link) -> None:
        """Send a sign of life, to learn whether the connection still stands."""
        link.session.ping()
        self._unflushed[link] = None

    def lose(self, link: Link, reason: str) -> None:
        """The connection is gone."""
        self._handle(link, link.session.lose(reason))

    def close(self, link: Link, reason: str) -> None:
        """End a link's session in good order."""
        self._handle(link, link.session.close("closed", reason))

    def forget(self, link: Link, reason: str) -> None:
        """A listener ends a session and has the dialler begin another."""
        self._handle(link, link.session.forget(reason))

    def begin(self, link: Link, session: Session, reason: str) -> None:
        """A dialler begins another session on the same link."""
        old, link.session = link.session, session
        for event in old.lose(reason):
            self._left(link, event)
        self._unflushed[link] = None

    def flush(self, now: float) -> None:
        """Hand over everything that may be sent."""
        while self._unflushed:
            link = next(iter(self._unflushed))
            del self._unflushed[link]
            for wire in link.session.outgoing(now):
                if not link.transmit(wire):
                    self.lose(link, "the connection was lost")
                    break
                self.counters["messages_out"] += 1
                self.counters["bytes_out"] += sum(map(len, wire))
                self.counters["bulk_bytes_out"] += sum(map(len, wire[2:]))

    # -- peers ---------------------------------------------------------------------------------

    def send(self, peer: str, parcel: Parcel) -> None:
        """Queue a message for a peer; without a session it is dropped."""
        known = self._peers.get(peer)
        link = known.links[0][2] if known else None
        if link is None or not link.session.send_parcel(parcel):
            self.counters["dropped_messages"] += 1
        if link is not None:
            self._unflushed[link] = None

    def consumed(self, peer: str, size: int) -> None:
        """Give credit back, to whichever session of the peer it came on."""
        for _, _, link in self._peers[peer].links if peer in self._peers else ():
            part = min(size, link.session.unconsumed_bytes)
            if part:
                link.session.consumed(part)
                self._unflushed[link] = None
                size -= part

    def links(self, peer: str | None) -> list[Link]:
        """The links with established sessions to one peer, or to all."""
        peers = [known for key, known in self._peers.items() if peer in (None, key)]
        return [link for known in peers for _, _, link in known.links]

    def backlog_bytes(self, peer: str) -> int:
        """Bulk that waits for the peer's credit. May be asked on any thread."""
        known = self._peers.get(peer)
        return sum(link.session.backlog_bytes for _, _, link in known.links) if known else 0

    # -- events --------------------------------------------------------------------------------

    def _handle(self, link: Link, events: list[Event]) -> None:
        self._unflushed[link] = None
        for event in events:
            if isinstance(event, Received):
                self._received(link, event)
            elif isinstance(event, Established):
                self._joined(link, event.hello)
            else:
                self._left(link, event)
                link.ended(event)

    def _received(self, link: Link, event: Received) -> None:
        assert link.peer is not None
        self.counters["bulk_bytes_in"] += sum(map(len, event.frames))
        self._emit(PeerMessage(link.peer, event.message, event.frames, event.size))

    def _joined(self, link: Link, hello: Hello) -> None:
        self.counters["sessions"] += 1
        link.peer = key = f"{hello.agent}#{hello.instance.hex()}"
        dialler = self._instance if link.session.is_dialler else hello.instance
        known = self._peers.get(key)
        if known is None:
            known = self._peers[key] = _Peer(hello)
            self._emit(PeerUp(key, hello, link.address))
            log.info("connected to agent %s at %s", hello.agent, link.address)
        elif known.hello.volumes != hello.volumes:
            known.hello = hello
            self._emit(PeerDown(key, "its volumes changed"))
            self._emit(PeerUp(key, hello, link.address))
        if link.session.is_dialler:
            self._emit(PeerAddress(link.address, key))
        known.links.append((dialler, next(self._ages), link))
        known.links.sort(key=lambda item: item[:2])

    def _left(self, link: Link, event: Event) -> None:
        assert isinstance(event, Closed)
        if event.is_fault:
            self.counters["dropped_peers"] += 1
            self.counters["decode_errors"] += 1
            log.warning("dropped %s at %s: %s", link.peer or "an agent", link.address, event.reason)
        if link.peer is None:
            return
        key, link.peer = link.peer, None
        known = self._peers[key]
        known.links = [item for item in known.links if item[2] is not link]
        if not known.links:
            del self._peers[key]
            self._emit(PeerDown(key, event.reason))
            log.info("lost agent %s at %s: %s", known.hello.agent, link.address, event.reason)
