"""The watcher for file systems where no events arrive: it asks for a scan at regular times."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal

from syncagent.ports import DirtyPath, WatchLost

INTERVAL_SECONDS = 10.0


class PollingWatcher:
    """Emits ``WatchLost`` every ``interval_seconds``. It does not look at the volume itself.

    ``problem`` is the sentence that says why events cannot be used, where a person can do something about it.
    """

    def __init__(
        self,
        emit: Callable[[DirtyPath | WatchLost], None],
        *,
        interval_seconds: float = INTERVAL_SECONDS,
        problem: str | None = None,
    ) -> None:
        self._emit = emit
        self._interval_seconds = interval_seconds
        self._problem = problem
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def mode(self) -> Literal["events", "poll"]:
        """How changes are noticed."""
        return "poll"

    @property
    def watched_directories(self) -> int:
        """None is watched."""
        return 0

    @property
    def is_alive(self) -> bool:
        """Whether scans are still asked for."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin; the first scan is asked for after one interval."""
        self._stopped.clear()
        self._thread = threading.Thread(target=self._run, name="watch-poll", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread. Safe to call twice."""
        self._stopped.set()
        if self._thread:
            self._thread.join()
        self._thread = None

    def check(self, expected_directories: int) -> str | None:
        """The problem given at the start: polling needs no watches, so none can be missing."""
        return self._problem

    def _run(self) -> None:
        while not self._stopped.wait(self._interval_seconds):
            self._emit(WatchLost("poll"))
