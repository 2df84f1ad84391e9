"""Signals, one after the other, for the main thread.

Not by ``sigtimedwait``: CPython 3.11 gives back a signal that never came when a stopped process goes on after its
time-out.
"""

from __future__ import annotations

import queue
import signal
from types import FrameType

WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Signals:
    """Remembers the signals that came, from ``install`` on."""

    def __init__(self) -> None:
        self._came: queue.SimpleQueue[int] = queue.SimpleQueue()

    def install(self) -> None:
        """From the main thread: from now on these signals end nothing by themselves."""
        for number in WATCHED:
            signal.signal(number, self._take)

    def wait(self, seconds: float) -> int | None:
        """The next signal; None if none came in time."""
        try:
            return self._came.get(timeout=seconds)
        except queue.Empty:
            return None

    def _take(self, number: int, frame: FrameType | None) -> None:
        self._came.put(number)
