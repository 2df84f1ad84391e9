"""Two sessions of one pair, and the loop that everything runs on."""

from __future__ import annotations

import threading
import time

from contract.peers_harness import VOLUME, volumes_of
from syncagent.ports import PeerDown, PeerEvent, PeerMessage, PeerUp
from syncagent.transport.loop import Loop
from syncproto.messages import ChunkData, Pull
from twins.network import MemoryNetwork, MemoryPeers


def pull(number: int) -> Pull:
    return Pull(VOLUME, number, {}, "b.1", 0)


class Pair:
    """Two agents that dial each other, their pipes sorted: the one that both prefer comes first."""

    def __init__(self) -> None:
        self.network = MemoryNetwork(seed=5)
        self.heard: dict[str, list[PeerEvent]] = {"a": [], "b": []}
        self.volumes = {name: volumes_of(name) for name in "ab"}
        self.agents = {name: self._join(name) for name in "ab"}
        for name, other in (("a", "b"), ("b", "a")):
            self.agents[name].dial(other)
            self.network.settle()
        self.pipes = sorted(self.network.pipes, key=lambda pipe: pipe.ends[0].introduce().instance)
        self.keys = {name: self.ups(name)[0].peer for name in "ab"}

    def _join(self, name: str) -> MemoryPeers:
        return self.network.join(name, lambda: self.volumes[name], self.heard[name].append)

    def ups(self, name: str) -> list[PeerUp]:
        return [event for event in self.heard[name] if isinstance(event, PeerUp)]

    def downs(self, name: str) -> list[PeerDown]:
        return [event for event in self.heard[name] if isinstance(event, PeerDown)]

    def got(self, name: str) -> list[PeerMessage]:
        return [event for event in self.heard[name] if isinstance(event, PeerMessage)]

    def send(self, name: str, number: int) -> None:
        self.agents[name].send(self.keys[name], pull(number))

    def waiting(self) -> list[int]:
        """How many messages are on their way on each pipe."""
        return [sum(map(len, pipe.queues)) for pipe in self.pipes]


def test_both_ends_send_on_the_session_of_the_smaller_instance() -> None:
    pair = Pair()
    pair.send("a", 1)
    pair.send("b", 2)
    assert pair.waiting() == [2, 0]
    pair.network.settle()
    assert [event.message for event in pair.got("a") + pair.got("b")] == [pull(2), pull(1)]


def test_the_loss_of_one_session_is_not_told() -> None:
    for lost in (0, 1):
        pair = Pair()
        pair.network.drop(pair.pipes[lost])
        pair.send("a", 1)
        pair.send("b", 2)
        assert pair.waiting()[1 - lost] == 2
        pair.network.settle()
        assert len(pair.got("a")) == len(pair.got("b")) == 1
        assert not pair.downs("a") + pair.downs("b")
        pair.network.advance(1.0)
        pair.network.settle()
        assert len(pair.network.pipes) == 2
        assert len(pair.ups("a")) == len(pair.ups("b")) == 1


def test_the_loss_of_the_last_session_is_told_once() -> None:
    pair = Pair()
    pair.network.cut("a", "b")
    assert len(pair.downs("a")) == len(pair.downs("b")) == 1
    pair.network.advance(5.0)
    assert not pair.network.pipes
    pair.network.heal("a", "b")
    pair.network.advance(1.0)
    pair.network.settle()
    assert len(pair.ups("a")) == len(pair.ups("b")) == 2


def test_credit_goes_back_to_the_session_on_which_it_was_taken() -> None:
    pair = Pair()
    preferred = pair.pipes[0]
    chunk = ChunkData(VOLUME, 1, (True,))
    for _ in range(15):
        pair.agents["a"].send(pair.keys["a"], chunk, [bytes(2**20)])
    pair.network.settle()
    (end,) = [link for owner, link in zip(preferred.ends, preferred.links, strict=True) if owner.name == "b"]
    taken = sum(event.size for event in pair.got("b"))
    assert end.session.unconsumed_bytes == taken
    pair.agents["b"].consumed(pair.keys["b"], taken)
    assert end.session.unconsumed_bytes == 0


def test_a_stalled_pair_ends_in_silence_and_comes_back() -> None:
    pair = Pair()
    pair.network.stall("a", "b")
    for _ in range(12):
        pair.network.advance(1.0)
        pair.network.settle()
    assert len(pair.downs("a")) == len(pair.downs("b")) == 1
    pair.network.heal("a", "b")
    for _ in range(8):
        pair.network.advance(1.0)
        pair.network.settle()
    assert len(pair.ups("a")) == len(pair.ups("b")) == 2


def test_volumes_that_change_while_another_session_stands_are_told_anew() -> None:
    pair = Pair()
    pair.volumes["a"] = volumes_of("new")
    pair.agents["a"].reset()
    pair.network.settle()
    assert pair.ups("b")[-1].hello.volumes == volumes_of("new")
    told = [type(event) for event in pair.heard["b"] if isinstance(event, PeerUp | PeerDown)]
    assert told == [PeerUp, PeerDown, PeerUp]
    assert len({event.peer for event in pair.ups("b")}) == 1


def test_a_hello_on_its_way_is_overtaken_by_a_reset() -> None:
    network = MemoryNetwork(seed=1)
    heard: list[PeerEvent] = []
    volumes = {"a": volumes_of("a")}
    network.join("b", lambda: (), heard.append)
    a = network.join("a", lambda: volumes["a"], lambda event: None)
    a.dial("b")
    volumes["a"] = volumes_of("new")
    a.reset()
    network.settle()
    assert [event.hello.volumes for event in heard if isinstance(event, PeerUp)][-1] == volumes_of("new")


def test_the_same_seed_gives_the_same_run() -> None:
    def run() -> list[PeerEvent]:
        pair = Pair()
        for number in range(50):
            pair.send("ab"[number % 2], number)
            pair.network.step()
        pair.network.settle()
        return pair.heard["a"] + pair.heard["b"]

    assert run() == run()


def test_everything_posted_by_any_thread_is_done_in_its_order() -> None:
    loop = Loop()
    done: list[tuple[int, int]] = []

    def post(thread: int) -> None:
        for number in range(500):
            loop.post(lambda item=(thread, number): done.append(item))  # type: ignore[misc]

    threads = [threading.Thread(target=post, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 10
    while len(done) < 2000 and time.monotonic() < end:
        loop.turn(time.monotonic() + 1)
    for thread in threads:
        thread.join()
    assert [[n for t, n in done if t == thread] for thread in range(4)] == [list(range(500))] * 4
    loop.close()
    loop.post(lambda: done.clear())
    assert len(done) == 2000
