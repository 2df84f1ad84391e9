"""The twin of the transport: agents joined in one process, by the real sessions, over pipes of bytes.

Nothing happens by itself. ``step`` carries one message, ``advance`` lets time pass, and everything random comes from
one seed. A pipe keeps order and loses nothing while it stands, as TCP does; ``cut`` breaks it, and what was on its way
is lost; ``stall`` holds everything back until ``heal``; ``half_open`` breaks it for one end only. ``weather`` has a way
from one agent to another delay, lose, repeat and swap messages, or drop what a slow reader leaves lying.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

from syncagent.ports import PeerEvent
from syncagent.transport.peering import Link, Peering
from syncagent.transport.trouble import Trouble
from syncproto.codec import pack
from syncproto.greeting import Introduction
from syncproto.messages import VolumeHello, VolumeMessage
from syncproto.session import Closed, Session, Wire

Parcel = tuple[float, Wire]
"""A message on its way, and when it arrives."""

RETRY_SECONDS = 0.5
REFUSED_RETRY_SECONDS = 5.0
SELF_RETRY_SECONDS = 60.0
TROUBLE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Weather:
    """How messages fare on the way from one agent to another. Chances are from 0 to 1, times are seconds."""

    loss: float = 0.0
    twice: float = 0.0
    swap: float = 0.0
    """The chance that a message overtakes the one before it."""
    delay: float = 0.0
    """The longest delay; it varies from message to message, and order is kept."""
    pause: float = 0.0
    """A slow reader takes one message in this time."""
    room: int = 0
    """So many messages wait for a slow reader; what comes then is dropped and nobody is told. 0: no limit."""
    is_held: bool = False
    """Nothing arrives for now."""


FAIR = Weather()


class MemoryPeers:
    """One agent's end of a ``MemoryNetwork``: a ``Peers``."""

    def __init__(
        self, network: MemoryNetwork, introduce: Callable[[], Introduction], emit: Callable[[PeerEvent], None]
    ) -> None:
        first = introduce()
        self.name, self.secret = first.agent, b""
        self.introduce = introduce
        self.peering = Peering(first.instance, self._tell)
        self.dials: dict[str, _Dial] = {}
        self.is_gone = False
        self._network, self._emit = network, emit

    def send(self, peer: str, message: VolumeMessage, frames: Sequence[bytes] = ()) -> None:
        self.peering.send(peer, pack(message, frames))
        self.peering.flush(self._network.now)

    def consumed(self, peer: str, size: int) -> None:
        self.peering.consumed(peer, size)
        self.peering.flush(self._network.now)

    def backlog_bytes(self, peer: str) -> int:
        """Bulk that waits for the peer's credit."""
        return self.peering.backlog_bytes(peer)

    def dial(self, name: str) -> None:
        """Name another agent as a peer, whether or not it is there."""
        self.dials[name] = _Dial(self._network, self, name, self._tell)
        self._network.advance(0.0)

    def reset(self, peer: str | None = None) -> None:
        """End the sessions and have new Hellos exchanged."""
        links = self.peering.links(peer)
        for dial in self.dials.values():
            if dial.link is not None and (dial.link in links or not dial.link.session.is_established):
                self.peering.begin(dial.link, dial.new_session(), "new Hellos are exchanged")
        for link in links:
            if not link.session.is_dialler:
                self.peering.forget(link, "new Hellos are exchanged")
        self.peering.flush(self._network.now)

    def leave(self) -> None:
        """Vanish as a killed process does: its connections break."""
        self.is_gone = True
        self._network.remove(self)

    def _tell(self, event: PeerEvent) -> None:
        if not self.is_gone:
            self._emit(event)


class _Pipe:
    """A connection between two agents, with the messages on their way in either direction, and when each is due."""

    def __init__(self, dial: _Dial, network: MemoryNetwork, dialler: MemoryPeers, listener: MemoryPeers) -> None:
        self.ends = (dialler, listener)
        self.queues: tuple[deque[Parcel], deque[Parcel]] = (deque(), deque())
        self.is_broken = False
        self.has_lost = [False, False]
        """Which end knows that the connection is gone."""
        self._network = network
        self._free_at = [0.0, 0.0]
        heard = Session(listener.introduce, network.now)
        self.links = (
            Link(dial.new_session(), listener.name, partial(self._transmit, 0), dial.ended),
            Link(heard, dialler.name, partial(self._transmit, 1), lambda closed: self._listener_ended()),
        )

    def weather(self, end: int) -> Weather:
        """On the way that starts at this end."""
        return self._network.weather_of(self.ends[end].name, self.ends[1 - end].name)

    def _transmit(self, end: int, wire: Wire) -> bool:
        if self.is_broken or self.has_lost[end]:
            return False
        if not self.has_lost[1 - end]:
            self._enqueue(self.queues[end], wire, self.weather(end))
        return True

    def _enqueue(self, queue: deque[Parcel], wire: Wire, weather: Weather) -> None:
        network = self._network
        if weather is FAIR:
            queue.append((network.now, wire))
            return
        if weather.room and len(queue) >= weather.room or network.random.random() < weather.loss:
            network.lost += 1
            return
        at = network.now + network.random.uniform(0, weather.delay)
        at = max(at, queue[-1][0]) if queue else at
        if queue and network.random.random() < weather.swap:
            last_at, last = queue.pop()
            queue.append((last_at, wire))
            wire = last
        queue.append((at, wire))
        if network.random.random() < weather.twice:
            queue.append((at, wire))

    def due(self, end: int) -> float | None:
        """When the next message of this end arrives; None if none is on its way, or it is held back."""
        if not self.queues[end] or self.weather(end).is_held:
            return None
        return max(self.queues[end][0][0], self._free_at[end])

    def deliver(self, end: int, now: float) -> None:
        """The message sent longest ago by this end arrives at the other."""
        (_, wire), receiver = self.queues[end].popleft(), self.ends[1 - end]
        self._free_at[end] = now + self.weather(end).pause
        receiver.peering.receive(self.links[1 - end], list(wire), now)
        receiver.peering.flush(now)

    def tick(self, now: float) -> None:
        for end, (owner, link) in enumerate(zip(self.ends, self.links, strict=True)):
            if not self.has_lost[end]:
                owner.peering.tick(link, now)
                owner.peering.flush(now)

    def snap(self) -> None:
        """The connection breaks; both ends notice."""
        if not self.is_broken:
            self.is_broken = True
            for end in (0, 1):
                self.lose(end)

    def lose(self, end: int) -> None:
        """This end notices that the connection is gone."""
        if not self.has_lost[end]:
            self.has_lost[end] = True
            self.queues[1 - end].clear()
            self.ends[end].peering.lose(self.links[end], "the connection was lost")

    def _listener_ended(self) -> None:
        if self.has_lost[0]:
            self._network.drop(self)


class _Dial:
    """A configured peer: connects whenever there is no connection, and it is time to try."""

    def __init__(
        self, network: MemoryNetwork, owner: MemoryPeers, name: str, emit: Callable[[PeerEvent], None]
    ) -> None:
        self.pipe: _Pipe | None = None
        self.link: Link | None = None
        self.retry_at = 0.0
        self._network, self._owner, self._name = network, owner, name
        self._trouble = Trouble(name, emit)
        self._failing_since: float | None = None

    def new_session(self) -> Session:
        return Session(self._owner.introduce, self._network.now, self._network.random.randbytes(8))

    def tick(self) -> None:
        """Connect if it is time to, and report what does not work."""
        now = self._network.now
        if self.link is not None and self.link.session.is_established:
            self._failing_since = None
            self._trouble.clear()
        if self.pipe is not None or now < self.retry_at:
            return
        self.retry_at = now + RETRY_SECONDS
        self._failing_since = now if self._failing_since is None else self._failing_since
        target = self._network.reach(self._owner, self._name)
        if isinstance(target, str):
            if now >= self._failing_since + TROUBLE_SECONDS:
                self._trouble.set(target)
            return
        self.pipe = self._network.join_ends(self, self._owner, target)
        self.link = self.pipe.links[0]
        self._owner.peering.opened(self.link)
        self._owner.peering.flush(now)

    def ended(self, closed: Closed) -> None:
        """The session is over."""
        if closed.code == "no-session" and self.link is not None:
            self._owner.peering.begin(self.link, self.new_session(), closed.reason)
            return
        if closed.code == "self":
            self.retry_at = self._network.now + SELF_RETRY_SECONDS
        elif closed.code not in ("lost", "closed", "silence"):
            self._trouble.set(closed.reason)
            self.retry_at = self._network.now + REFUSED_RETRY_SECONDS
        pipe, self.pipe, self.link = self.pipe, None, None
        if pipe is not None and (not pipe.has_lost[0] or pipe.has_lost[1]):
            self._network.drop(pipe)


class MemoryNetwork:
    """All agents, all pipes, one clock."""

    def __init__(self, seed: int = 0) -> None:
        self.now = 0.0
        self.random = Random(seed)
        self.agents: dict[str, MemoryPeers] = {}
        self.pipes: list[_Pipe] = []
        self.lost = 0
        """How many messages vanished on their way."""
        self._cut: set[frozenset[str]] = set()
        self._weather: dict[tuple[str, str], Weather] = {}

    def join(
        self,
        name: str,
        volumes: Callable[[], tuple[VolumeHello, ...]],
        emit: Callable[[PeerEvent], None],
        cluster: str = "default",
        secret: bytes = b"",
    ) -> MemoryPeers:
        """Start an agent; one that has left may come again under its name."""
        instance = self.random.randbytes(8)
        agent = MemoryPeers(self, lambda: Introduction(cluster, name, instance, volumes()), emit)
        agent.secret = secret
        self.agents[name] = agent
        return agent

    # -- what happens --------------------------------------------------------------------------

    def step(self) -> bool:
        """Carry one message, chosen by the seed among those that are next on their pipe; False if there is none."""
        due = [(pipe.due(end), pipe, end) for pipe in self.pipes for end in (0, 1) if pipe.queues[end]]
        ready = [(pipe, end) for when, pipe, end in due if when is not None and when <= self.now]
        if not ready:
            return False
        pipe, end = self.random.choice(ready)
        pipe.deliver(end, self.now)
        return True

    def next_due(self) -> float | None:
        """When the next message arrives."""
        times = [when for pipe in self.pipes for end in (0, 1) if (when := pipe.due(end)) is not None]
        return min(times, default=None)

    def settle(self) -> None:
        """Carry messages until none is on its way."""
        while self.step():
            pass

    def advance(self, seconds: float) -> None:
        """Let time pass: heartbeats, silence, new attempts to connect."""
        self.now += seconds
        for pipe in list(self.pipes):
            pipe.tick(self.now)
        for agent in list(self.agents.values()):
            for dial in list(agent.dials.values()):
                dial.tick()

    # -- faults --------------------------------------------------------------------------------

    def cut(self, one: str, other: str) -> None:
        """Break what joins the two, and let nothing join them until ``heal``."""
        self._cut.add(frozenset((one, other)))
        for pipe in [pipe for pipe in self.pipes if _names(pipe) == {one, other}]:
            self.drop(pipe)

    def stall(self, one: str, other: str) -> None:
        """Hold back what the two say to each other, until ``heal``."""
        for way in ((one, other), (other, one)):
            self.set_weather(*way, Weather(is_held=True))

    def set_weather(self, sender: str, receiver: str, weather: Weather) -> None:
        """From now on messages of the one to the other fare like this, until ``heal``."""
        self._weather[sender, receiver] = weather

    def weather_of(self, sender: str, receiver: str) -> Weather:
        """How messages of the one to the other fare."""
        return self._weather.get((sender, receiver), FAIR)

    def half_open(self, one: str, other: str) -> None:
        """What joins the two breaks, and only ``one`` notices: what ``other`` sends vanishes."""
        for pipe in [pipe for pipe in self.pipes if _names(pipe) == {one, other}]:
            pipe.lose(0 if pipe.ends[0].name == one else 1)

    def heal(self, one: str, other: str) -> None:
        """End ``cut``, ``stall`` and bad weather. A connection that is half open stays so."""
        self._cut.discard(frozenset((one, other)))
        self._weather.pop((one, other), None)
        self._weather.pop((other, one), None)

    def remove(self, agent: MemoryPeers) -> None:
        """An agent has left."""
        if self.agents.get(agent.name) is agent:
            del self.agents[agent.name]
        for pipe in [pipe for pipe in self.pipes if agent in pipe.ends]:
            self.drop(pipe)

    # -- for the ends --------------------------------------------------------------------------

    def reach(self, owner: MemoryPeers, name: str) -> MemoryPeers | str:
        """The agent of that name, or why it cannot be reached."""
        target = self.agents.get(name)
        if target is None:
            return f"nothing listens at {name}: start the agent there"
        if frozenset((owner.name, name)) in self._cut:
            return f"{name} does not answer"
        if target.secret != owner.secret:
            return f"this agent's secret differs from that of {name}"
        return target

    def join_ends(self, dial: _Dial, dialler: MemoryPeers, listener: MemoryPeers) -> _Pipe:
        """Make the connection."""
        pipe = _Pipe(dial, self, dialler, listener)
        self.pipes.append(pipe)
        return pipe

    def drop(self, pipe: _Pipe) -> None:
        """End a connection; what is on its way is lost."""
        if pipe in self.pipes:
            self.pipes.remove(pipe)
            pipe.snap()


def _names(pipe: _Pipe) -> frozenset[str]:
    return frozenset(end.name for end in pipe.ends)
