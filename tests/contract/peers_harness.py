"""The same agents on the real transport over loopback and on its in-memory twin."""

from __future__ import annotations

import queue
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from syncagent.ports import PeerDown, PeerEvent, PeerMessage, Peers, PeerTrouble, PeerUp
from syncagent.transport import Transport
from syncproto.messages import VolumeHello, VolumeMessage
from twins.network import MemoryNetwork, MemoryPeers

VOLUME = b"v" * 16
SECRET = b"a secret for tests only"


class _Node(Peers, Protocol):
    def reset(self, peer: str | None = None) -> None: ...

    def backlog_bytes(self, peer: str) -> int: ...


@dataclass
class Agent:
    """One agent under test, and all that its engine would have heard, oldest first."""

    name: str
    volumes: tuple[VolumeHello, ...]
    events: list[PeerEvent] = field(default_factory=list)
    peers: _Node = field(init=False)

    def ups(self) -> list[PeerUp]:
        return [event for event in self.events if isinstance(event, PeerUp)]

    def downs(self) -> list[PeerDown]:
        return [event for event in self.events if isinstance(event, PeerDown)]

    def troubles(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, PeerTrouble)]

    def got(self) -> list[PeerMessage]:
        return [event for event in self.events if isinstance(event, PeerMessage)]

    def messages(self) -> list[VolumeMessage]:
        return [event.message for event in self.got()]

    def peer(self, name: str) -> str:
        """The key of the peer of that name that came last and is still there."""
        gone = {event.peer for event in self.downs()}
        return [event.peer for event in self.ups() if event.hello.agent == name and event.peer not in gone][-1]


class Network(Protocol):
    """What a test may do with either of them."""

    trouble_seconds: float

    def agent(self, name: str, dials: Sequence[str] = (), cluster: str = "home", secret: bytes = SECRET) -> Agent:
        """Start an agent that dials others by name, whether they are there or not."""

    def leave(self, agent: Agent) -> None:
        """End an agent."""

    def until(self, condition: Callable[[], bool]) -> None:
        """Let things happen until the condition holds; fail if it does not within seconds."""

    def idle(self) -> None:
        """Let what is under way arrive, to see that nothing else does."""

    def close(self) -> None: ...


def volumes_of(name: str) -> tuple[VolumeHello, ...]:
    return (VolumeHello(VOLUME, "data", f"{name}.1"),)


class TwinNetwork:
    trouble_seconds = 3.0

    def __init__(self) -> None:
        self.memory = MemoryNetwork(seed=1)
        self._peers: dict[int, MemoryPeers] = {}

    def agent(self, name: str, dials: Sequence[str] = (), cluster: str = "home", secret: bytes = SECRET) -> Agent:
        made = Agent(name, volumes_of(name))
        peers = self.memory.join(name, lambda: made.volumes, made.events.append, cluster, secret)
        made.peers = self._peers[id(made)] = peers
        for target in dials:
            peers.dial(target)
        return made

    def leave(self, agent: Agent) -> None:
        self._peers[id(agent)].leave()

    def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(200):
            self.memory.settle()
            if condition():
                return
            self.memory.advance(0.1)
        raise AssertionError("it did not happen")

    def idle(self) -> None:
        for _ in range(5):
            self.memory.settle()
            self.memory.advance(0.1)

    def close(self) -> None:
        pass


class RealNetwork:
    trouble_seconds = 0.2

    def __init__(self) -> None:
        self._ports: dict[str, int] = {}
        self._queues: dict[int, tuple[Agent, queue.SimpleQueue[PeerEvent]]] = {}
        self._running: dict[int, Transport] = {}

    def _address(self, name: str) -> str:
        if name not in self._ports:
            with socket.create_server(("127.0.0.1", 0)) as free:
                self._ports[name] = free.getsockname()[1]
        return f"tcp://127.0.0.1:{self._ports[name]}"

    def agent(self, name: str, dials: Sequence[str] = (), cluster: str = "home", secret: bytes = SECRET) -> Agent:
        made = Agent(name, volumes_of(name))
        heard: queue.SimpleQueue[PeerEvent] = queue.SimpleQueue()
        addresses = [self._address(target) for target in dials]
        transport = Transport(name, cluster, secret, [self._address(name)], addresses, lambda: made.volumes, heard.put)
        made.peers = transport
        self._queues[id(made)] = made, heard
        self._running[id(made)] = transport
        transport.start()
        return made

    def leave(self, agent: Agent) -> None:
        self._running.pop(id(agent)).stop()

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 10
        while not self._drain(condition):
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.002)

    def _drain(self, condition: Callable[[], bool]) -> bool:
        """One event at a time, so that a test can stop the world where it wants."""
        for made, heard in self._queues.values():
            while not heard.empty():
                made.events.append(heard.get())
        return condition()

    def idle(self) -> None:
        time.sleep(0.15)
        self._drain(lambda: True)

    def close(self) -> None:
        for transport in self._running.values():
            transport.stop(0)
