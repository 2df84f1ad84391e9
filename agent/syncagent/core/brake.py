"""The brake: a mass of deletes is more often an accident than a wish.

Deletes above max(count, percent of the entries) within a sliding minute, or that empty a volume of several entries,
are held until a person says otherwise. Renames and paths created again are not counted by the caller.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

WINDOW_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class BrakeLimit:
    """How many deletes within a minute pass without a word; ``is_off`` lets all pass."""

    count: int = 100
    percent: int = 25
    is_off: bool = False


class Brake:
    """Counts the deletes of one volume, at its origin and again at each receiver."""

    def __init__(self, limit: BrakeLimit) -> None:
        self.limit = limit
        self._passed: deque[tuple[float, int]] = deque()

    def passed(self, now: float) -> int:
        """How many deletes passed within the last minute."""
        while self._passed and self._passed[0][0] <= now - WINDOW_SECONDS:
            self._passed.popleft()
        return sum(count for _, count in self._passed)

    def allows(self, deletes: int, live: int, now: float) -> bool:
        """Whether so many more deletes may pass, with ``live`` entries before them."""
        if self.limit.is_off or deletes == 0:
            return True
        passed = self.passed(now)
        total, before = passed + deletes, live + passed
        if total >= before and before > 1:
            return False
        return total <= max(self.limit.count, before * self.limit.percent // 100)

    def record(self, deletes: int, now: float) -> None:
        """Deletes passed."""
        if deletes:
            self._passed.append((now, deletes))

    def forgive(self) -> None:
        """A person released what was held: counting starts anew."""
        self._passed.clear()
