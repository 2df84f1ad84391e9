"""Which pending entries may have become ready: creations by dot, parents before children; then deletes by dot."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from syncproto.model import Entry
from syncproto.version import Dot


class Candidates:
    """Two heaps of dots, each dot once."""

    def __init__(self) -> None:
        self._live: list[Dot] = []
        self._deletes: list[Dot] = []
        self._known: set[Dot] = set()

    def __len__(self) -> int:
        return len(self._known)

    def add(self, entry: Entry) -> None:
        """The entry may be ready."""
        self.add_dots([entry.dot], is_live=entry.is_live)

    def add_dots(self, dots: Iterable[Dot], *, is_live: bool) -> None:
        """The same for dots of entries of one sort."""
        for dot in dots:
            if dot not in self._known:
                self._known.add(dot)
                heapq.heappush(self._live if is_live else self._deletes, dot)

    def take_live(self, count: int) -> list[Dot]:
        """Remove and give the first creations."""
        return self._take(self._live, count)

    def take_deletes(self, count: int) -> list[Dot]:
        """Remove and give the first deletes."""
        return self._take(self._deletes, count)

    def deletes(self) -> list[Dot]:
        """All deletes, in no order; they stay."""
        return list(self._deletes)

    def _take(self, heap: list[Dot], count: int) -> list[Dot]:
        taken = [heapq.heappop(heap) for _ in range(min(count, len(heap)))]
        self._known.difference_update(taken)
        return taken
