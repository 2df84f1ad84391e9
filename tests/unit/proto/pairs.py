"""Two ends of a session joined by hand, with time passed by hand."""

from __future__ import annotations

from syncproto.codec import decode
from syncproto.greeting import Introduction
from syncproto.messages import AnyMessage, ChunkData, VolumeHello
from syncproto.session import Established, Event, Session
from unit.proto.samples import VOLUME

ID, OTHER_ID = b"session1", b"session2"
ALICE = Introduction("home", "alice", b"instance", (VolumeHello(VOLUME, "data", "alice.1"),))
BOB = Introduction("home", "bob", b"ecnatsni", (VolumeHello(VOLUME, "data", "bob.1"),))


def chunk(size: int, fill: bytes = b"x") -> tuple[ChunkData, tuple[bytes, ...]]:
    """A bulk message with one frame of ``size`` bytes."""
    return ChunkData(VOLUME, 1, (True,)), (fill * size,)


class Pair:
    """A dialler and a listener, the messages on their way, and what each end was told."""

    def __init__(self, dialler: Introduction = ALICE, listener: Introduction = BOB) -> None:
        self.now = 100.0
        self.dialler = Session(lambda: dialler, self.now, ID)
        self.listener = Session(lambda: listener, self.now)
        self.events: dict[Session, list[Event]] = {self.dialler: [], self.listener: []}

    def other(self, end: Session) -> Session:
        return self.listener if end is self.dialler else self.dialler

    def carry(self, end: Session) -> list[AnyMessage]:
        """Deliver what ``end`` has to say; gives back what it was."""
        wires = end.outgoing(self.now)
        for wire in wires:
            self.events[self.other(end)] += self.other(end).receive(wire, self.now)
        return [decode(wire[1], wire[2:]) for wire in wires]

    def settle(self) -> None:
        while self.carry(self.dialler) + self.carry(self.listener):
            pass

    def wait(self, seconds: float) -> None:
        self.now += seconds
        for end in (self.dialler, self.listener):
            self.events[end] += end.tick(self.now)

    def told(self, end: Session) -> list[Event]:
        """The events since the last call."""
        events, self.events[end] = self.events[end], []
        return events


def established(dialler: Introduction = ALICE, listener: Introduction = BOB) -> Pair:
    pair = Pair(dialler, listener)
    pair.settle()
    assert isinstance(pair.told(pair.dialler)[0], Established)
    assert isinstance(pair.told(pair.listener)[0], Established)
    return pair


def windows(window: int) -> tuple[Introduction, Introduction]:
    """Both ends with so little credit."""
    return with_credit(ALICE, window), with_credit(BOB, window)


def with_credit(introduction: Introduction, window: int) -> Introduction:
    """The same agent with another window."""
    return Introduction(introduction.cluster, introduction.agent, introduction.instance, credit=window)
