"""What one volume's engine is given: its root on the disk, and its surroundings in the process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from syncagent.engine.context import Clock, Workers
from syncagent.ports import DirtyPath, Index, Peers, Scanner, Tree, WatchLost

HINTS_MAX = 100_000


class Watch(Protocol):
    """A running watcher, as far as the engine cares."""

    @property
    def mode(self) -> str:
        """``events`` or ``poll``."""

    @property
    def is_alive(self) -> bool:
        """Whether hints can still come."""

    def check(self, expected_directories: int) -> str | None:
        """A sentence if it watches less than there is."""

    def stop(self) -> None:
        """End it."""


class Disk(Protocol):
    """Opens the volume's root anew: after a halt the old descriptors lead to what is gone."""

    def open(self) -> tuple[Scanner, Tree]:
        """A scanner and a tree for the root as its path leads to it now. Raises ``OSError``."""

    def watch(self, emit: Callable[[DirtyPath | WatchLost], None]) -> Watch:
        """Begin to watch the root."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The ports and threads around one volume."""

    index: Index
    disk: Disk
    peers: Peers
    workers: Workers
    clock: Clock
    post: Callable[[Callable[[], None]], None]
    """Has the engine's thread do something soon."""
    rehello: Callable[[], None]
    """Begins all sessions anew, so that peers learn a new incarnation."""


class Hints:
    """Takes hints from any thread to the engine's. A flood of hints becomes one full scan."""

    def __init__(
        self, post: Callable[[Callable[[], None]], None], take: Callable[[DirtyPath | WatchLost], None]
    ) -> None:
        self._post = post
        self._take = take
        self._queue: deque[DirtyPath | WatchLost] = deque()
        self._is_told = False

    def put(self, hint: DirtyPath | WatchLost) -> None:
        """From any thread: something may have changed."""
        if len(self._queue) < HINTS_MAX:
            self._queue.append(hint)
        elif not isinstance(self._queue[-1], WatchLost):
            self._queue.append(WatchLost("more hints than could be taken"))
        if not self._is_told:
            self._is_told = True
            self._post(self._take_all)

    def _take_all(self) -> None:
        self._is_told = False  # before the queue is looked at: whoever puts from here on posts again
        while self._queue:
            self._take(self._queue.popleft())
