"""The queue between the thread that reads the kernel and the one that gives hints; it joins the halves of a move.

The library's own queue holds everything behind the first half of a move for half a second, searches all of itself for
each second half, and grows without end. This one holds back only the half move, finds it by its cookie, and gives up
its content when it is full: what is lost is then found by a scan.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

from watchdog.observers.inotify_move_event_grouper import (
    GroupedInotifyEvent,
    InotifyMoveEventGrouper,
    PathedInotifyEvent,
)

HOLD_SECONDS = 0.002
"""How long half a move waits for its other half. The kernel queues both at once: only the reader can be between."""
EVENTS_MAX = 65_536


@dataclass(frozen=True, slots=True)
class Lost:
    """Events were lost at this place of the queue."""

    reason: str


class MoveQueue(InotifyMoveEventGrouper):
    """Events in order, a move as one pair. ``events_max`` bounds the memory."""

    def __init__(self, *, hold_seconds: float = HOLD_SECONDS, events_max: int = EVENTS_MAX) -> None:
        super().__init__()
        self._hold_seconds = hold_seconds
        self._events_max = events_max
        self._changed = threading.Condition()
        self._ready: deque[GroupedInotifyEvent] = deque()
        self._halves: dict[int, tuple[float, PathedInotifyEvent]] = {}
        self._lost: str | None = None
        self._is_closed = False

    def put_event(self, event: PathedInotifyEvent) -> None:
        """Add an event; never blocks."""
        with self._changed:
            if event.ev.is_moved_from:
                self._halves[event.ev.cookie] = (time.monotonic() + self._hold_seconds, event)
            elif event.ev.is_moved_to and (half := self._halves.pop(event.ev.cookie, None)):
                self._ready.append((half[1], event))
            else:
                self._ready.append(event)
            if len(self._ready) + len(self._halves) > self._events_max:
                self._lose(f"more than {self._events_max} changes wait to be looked at")
            self._changed.notify()

    def put_lost(self, reason: str) -> None:
        """Say that events were lost. What waits is dropped with them: the scan that must follow sees it all."""
        with self._changed:
            self._lose(reason)
            self._changed.notify()

    def take(self) -> GroupedInotifyEvent | Lost | None:
        """Wait for the next event, pair of events or loss; None once the queue is closed."""
        with self._changed:
            while not self._is_closed:
                if self._lost is not None:
                    reason, self._lost = self._lost, None
                    return Lost(reason)
                if (half := self._take_half_that_is_due()) is not None:
                    return half
                if self._ready:
                    return self._ready.popleft()
                self._changed.wait(self._seconds_until_due())
            return None

    def read_event(self) -> GroupedInotifyEvent | None:
        """The library's way to read; ``take`` is ours, and the only one that tells of losses."""
        raise NotImplementedError("read this queue with take(), which tells of losses")

    def get_queued_moved_from_event(self, cookie: int) -> PathedInotifyEvent | None:
        """The first half of the move ``cookie``, if it still waits."""
        with self._changed:
            half = self._halves.get(cookie)
            return half[1] if half else None

    def discard_pending_events(self) -> None:
        """Drop what waits."""
        with self._changed:
            self._drop()

    def close(self) -> None:
        """End every present and future ``take``."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _lose(self, reason: str) -> None:
        self._drop()
        self._lost = reason

    def _drop(self) -> None:
        self._ready.clear()
        self._halves.clear()

    def _take_half_that_is_due(self) -> PathedInotifyEvent | None:
        # Insertion order is the order of due times, so the first one is the only one to look at.
        for cookie, (due, event) in self._halves.items():
            if due > time.monotonic():
                return None
            del self._halves[cookie]
            return event
        return None

    def _seconds_until_due(self) -> float | None:
        for due, _ in self._halves.values():
            return max(0.0, due - time.monotonic())
        return None
