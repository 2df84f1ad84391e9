"""The simulated world: one heap of what happens next, one clock, one network, one seed.

Nothing here knows the machine it runs on: the same seed gives the same run, event for event. ``digest`` says so.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable
from itertools import count
from random import Random

from twins.network import MemoryNetwork

EPOCH_NS = 1_700_000_000 * 10**9
NETWORK_TICK_SECONDS = 0.25
EVENTS_PER_SECOND_MAX = 10_000
"""More than that in one virtual second is a loop that makes no progress."""

Action = Callable[[], None]


class Livelock(Exception):
    """Something goes on and on without time passing."""


class World:
    """Time, chance and order. ``latency`` is the longest way of a message, in seconds."""

    def __init__(self, seed: int, latency: float = 0.002) -> None:
        self.random = Random(seed)
        self.now = 100.0
        self.latency = latency
        self.network = MemoryNetwork(self.random.randrange(2**32))
        self.each_step: Action = lambda: None
        """Called after every event."""
        self.log: list[str] = []
        self.counts: Counter[str] = Counter()
        self._heap: list[tuple[float, float, int, str, Action]] = []
        self._numbers = count()
        self._hash = hashlib.blake2b(digest_size=16)
        self._carry_at: float | None = None
        self._events = 0
        self._counted_until = 0.0
        self._tick()

    @property
    def digest(self) -> str:
        """Of everything that happened so far, with its time and order."""
        return self._hash.hexdigest()

    def note(self, text: str) -> None:
        """One line of the run's history."""
        self.log.append(f"{self.now:10.4f} {text}")
        self._hash.update(self.log[-1].encode())

    def count(self, name: str) -> None:
        """So often did a fault, a conflict or a crash point happen; ``name`` is "kind: which", say "crash: commit"."""
        self.counts[name] += 1

    def after(self, delay: float, label: str, action: Action) -> None:
        """Have something happen later; what happens at the same time happens in any order."""
        self.at(self.now + delay, label, action)

    def at(self, when: float, label: str, action: Action) -> None:
        """Have something happen at that time, or now if it is past."""
        entry = (max(when, self.now), self.random.random(), next(self._numbers), label, action)
        heapq.heappush(self._heap, entry)

    def run(self, seconds: float) -> None:
        """Let so much time pass. Raises ``Livelock``."""
        end = self.now + seconds
        while self._heap and self._heap[0][0] <= end:
            when, _, _, label, action = heapq.heappop(self._heap)
            self._watch_for_livelock(when, label)
            self.now = when
            self._hash.update(f"{when!r} {label}".encode())
            action()
            self.each_step()
        self.now = end

    def _watch_for_livelock(self, when: float, label: str) -> None:
        self._events += 1
        if when >= self._counted_until:
            self._events, self._counted_until = 0, when + 1.0
        if self._events > EVENTS_PER_SECOND_MAX:
            raise Livelock(f"{EVENTS_PER_SECOND_MAX} events in a second, the last one: {label}")

    # -- the network ---------------------------------------------------------------------------

    def carry_soon(self) -> None:
        """Something may have been sent."""
        if self._carry_at is None or self._carry_at > self.now + self.latency:
            busy = sum(bool(queue) for pipe in self.network.pipes for queue in pipe.queues)
            self._carry_by(self.now + self.random.uniform(0, self.latency) / max(1, busy))

    def _carry_by(self, when: float) -> None:
        self._carry_at = when
        self.at(when, "carry", lambda: self._carry(when))

    def _carry(self, when: float) -> None:
        if when != self._carry_at:
            return
        self._carry_at = None
        self.network.now = self.now
        if self.network.step():
            self.carry_soon()
        elif (due := self.network.next_due()) is not None:
            self._carry_by(max(due, self.now))

    def _tick(self) -> None:
        self.network.now = self.now
        self.network.advance(0.0)
        self.carry_soon()
        self.after(NETWORK_TICK_SECONDS, "tick", self._tick)
