"""Which paths may have changed, and when each is due for a look.

A path that was closed, renamed or deleted is due at once. One that is seen growing, or was created without a close, is
due when it has been quiet, at the latest after a second. Times are seconds of a monotonic clock.
"""

from __future__ import annotations

from syncproto.model import Path

QUIET_SECONDS = 0.02
PATIENCE_SECONDS = 1.0
PATHS_MAX = 200_000
"""Above this the set says that everything is dirty: a full scan is cheaper than so many looks."""


class DirtySet:
    """Paths to look at, each with the time when it is due and the time when it was first marked."""

    def __init__(self) -> None:
        self._due: dict[Path, float] = {}
        self._since: dict[Path, float] = {}
        self.is_everything = False

    def __len__(self) -> int:
        return len(self._due)

    def __contains__(self, path: Path) -> bool:
        return path in self._due

    def mark_closed(self, path: Path, now: float) -> None:
        """The path is due at once."""
        self._mark(path, now, now)

    def mark_growing(self, path: Path, now: float) -> None:
        """The path is due when it has been quiet, or when patience is over."""
        since = self._since.get(path, now)
        self._mark(path, min(now + QUIET_SECONDS, since + PATIENCE_SECONDS), now)

    def mark_later(self, path: Path, due: float, now: float) -> None:
        """The path is due at ``due``, unless it is due sooner already."""
        self._mark(path, min(due, self._due.get(path, due)), now)

    def _mark(self, path: Path, due: float, now: float) -> None:
        if len(self._due) >= PATHS_MAX:
            self._due.clear()
            self._since.clear()
            self.is_everything = True
            return
        self._due[path] = due
        self._since.setdefault(path, now)

    def take_due(self, now: float, count_max: int) -> list[Path]:
        """Remove and give back the paths that are due, the longest waiting first."""
        due = [path for path, when in self._due.items() if when <= now][:count_max]
        for path in due:
            del self._due[path]
            del self._since[path]
        return due

    def take_everything(self) -> bool:
        """Whether a flood made everything dirty; said once."""
        was, self.is_everything = self.is_everything, False
        return was

    def next_due(self) -> float | None:
        """When the next path is due."""
        return min(self._due.values(), default=None)
