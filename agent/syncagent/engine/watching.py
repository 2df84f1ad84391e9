"""The watcher of one volume: what it misses is shown, and put right as soon as that can be done."""

from __future__ import annotations

from collections.abc import Callable

from syncagent.engine.context import Context
from syncagent.engine.surroundings import Disk, Watch
from syncagent.ports import DirtyPath, WatchLost

POLL = "poll"
"""The reason that a poller gives: nothing was lost."""
RENEWED = "it is watched from now on"
UNWATCHED_SECONDS = 10.0
"""So often everything is looked at while not everything is watched."""
LOSS_SHOWN_SECONDS = 5.0
"""So long a loss of events is shown at least: the scan that makes it good may take no time at all."""


class Watching:
    """Begins, checks and renews the watcher, and says how often a scan is needed beside it."""

    def __init__(self, context: Context, disk: Disk, emit: Callable[[DirtyPath | WatchLost], None]) -> None:
        self._context = context
        self._disk = disk
        self._emit = emit
        self._watch: Watch | None = None
        self._lost_at: float | None = None

    @property
    def mode(self) -> str:
        """How changes are noticed: ``events`` or ``poll``."""
        return self._watch.mode if self._watch is not None else POLL

    def begin(self) -> None:
        """Watch the root as its path leads to it now."""
        self.end()
        try:
            self._watch = self._disk.watch(self._emit)
        except OSError as error:
            self._show(f"the volume cannot be watched: {error.strerror or error}; see to this cause")

    def end(self) -> None:
        """No more hints."""
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    def lost(self, reason: str) -> None:
        """Hints were lost: a full scan follows, and makes it good."""
        if reason in (POLL, RENEWED):
            return
        context, self._lost_at = self._context, self._context.now
        context.count("watch_losses")
        context.problems.add(
            "events-lost",
            f"changes may have been missed: {reason}",
            remedy="nothing need be done: everything is looked at",
            wall_ns=context.clock.wall_ns(),
        )

    def scanned(self, directories: int) -> None:
        """A full scan has listed so many directories: is each of them watched? What is not is tried again."""
        sentence = self._check(directories)
        if sentence is not None and not self._gives_events():
            self.begin()  # the cause may be gone by now
            sentence = self._check(directories)
            if self._gives_events():
                self._emit(WatchLost(RENEWED))
        if sentence is None:
            self._context.problems.clear("watch")
        else:
            self._show(sentence)

    def settle(self, *, is_quiet: bool) -> None:
        """Now and then: a loss is made good once everything was looked at."""
        if self._lost_at is not None and is_quiet and self._context.now - self._lost_at >= LOSS_SHOWN_SECONDS:
            self._lost_at = None
            self._context.problems.clear("events-lost")

    def scan_interval(self) -> float:
        """How often everything must be looked at."""
        wished = self._context.options.scan_interval
        is_whole = self.mode == "events" and not self._context.problems.has("watch")
        return wished if is_whole else min(UNWATCHED_SECONDS, wished)

    def _gives_events(self) -> bool:
        return self._watch is not None and self._watch.mode == "events" and self._watch.is_alive

    def _check(self, directories: int) -> str | None:
        if self._watch is None:
            return "the volume is not watched; see to the cause in the agent's log"
        return self._watch.check(directories)

    def _show(self, sentence: str) -> None:
        text, _, remedy = sentence.rpartition("; ")
        self._context.problems.add(
            "watch", text or sentence, remedy=remedy if text else "", wall_ns=self._context.clock.wall_ns()
        )
