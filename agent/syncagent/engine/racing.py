"""Files that were changed so recently that another change could have left the same times: they are read once more.

Until then nothing is put in their place, and they are not taken for another name of the same file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from syncagent.core.plan import CLOCK_GRANULARITY_NS, StatKey
from syncagent.ports import Observation, Row
from syncproto.model import Kind, Path

if TYPE_CHECKING:
    from syncagent.engine.context import Clock

RACY_SECONDS = 0.05
RECENT_MAX = 10_000
WRITTEN_MAX = 100_000


class Races:
    """The paths whose stat cannot be trusted yet."""

    def __init__(self, clock: Clock, look_again: Callable[[Path, float], None]) -> None:
        self._clock = clock
        self._look_again = look_again
        self._paths: set[Path] = set()
        self._written: set[Path] = set()
        self._recent: dict[Path, StatKey] | None = {}
        self._newest = 0

    def __contains__(self, path: Path) -> bool:
        return path in self._paths

    def must_read(self, path: Path) -> bool:
        """Whether a look that begins now must read the file even if its stat is as it was."""
        was_written = path in self._written
        self._written.discard(path)
        return was_written or path in self._paths

    def __len__(self) -> int:
        return len(self._paths)

    def reset(self) -> None:
        """Everything will be looked at anew."""
        self._paths.clear()
        self._written.clear()
        self._recent, self._newest = {}, 0

    def is_just_begun(self, row: Row | None, seen: Observation) -> bool:
        """Whether a content became nothing in this very moment: who saves a file anew is about to write it."""
        age_ns = self._clock.wall_ns() - seen.stat.mtime_ns
        is_empty = seen.kind == Kind.FILE and not seen.stat.size
        return is_empty and row is not None and row.entry.size > 0 and 0 <= age_ns < CLOCK_GRANULARITY_NS

    def observed(self, seen: Observation) -> None:
        """A look read this."""
        if seen.kind == Kind.FILE:
            self.note(seen.path, seen.stat)
        else:
            self.settled(seen.path)

    def note(self, path: Path, stat: StatKey) -> None:
        """This file was read, or written by the agent itself, and has this stat now."""
        self._paths.discard(path)
        if left := stat.racy_ns(self._clock.wall_ns()):
            self._paths.add(path)
            self._look_again(path, self._clock.monotonic() + max(RACY_SECONDS, left / 1e9))

    def wrote(self, path: Path, stat: StatKey) -> None:
        """The agent itself wrote this. Only a clock of whole seconds lets a user's write show the very same times."""
        if stat.is_coarse and not stat.is_directory:
            self.note(path, stat)

    def written(self, path: Path) -> None:
        """Whoever had it open for writing closed it: stores through a map may have left all times as they were."""
        if len(self._written) < WRITTEN_MAX:
            self._written.add(path)

    def doubt(self, path: Path) -> None:
        """It could not be read, though it seems unchanged: it is read once more."""
        self._paths.add(path)
        self._look_again(path, self._clock.monotonic())

    def settled(self, path: Path) -> None:
        """It is gone, or was found to be something else."""
        self._paths.discard(path)

    def is_sound(self, path: Path, stat: StatKey) -> bool:
        """Whether whatever has this stat holds what was at the path."""
        return path not in self._paths and path not in self._written and not stat.racy_ns(self._clock.wall_ns())

    # -- the first scan --------------------------------------------------------------------------------

    def unchanged(self, path: Path, stat: StatKey) -> None:
        """The first scan found what an earlier process had seen; perhaps right before it ended, in the same tick."""
        if self._recent is None or stat.is_directory:
            return
        self._newest = max(self._newest, stat.ctime_ns)
        if self._is_recent(stat):
            self._recent[path] = stat
            if len(self._recent) > RECENT_MAX:
                self._recent = {p: s for p, s in self._recent.items() if self._is_recent(s)}

    def _is_recent(self, stat: StatKey) -> bool:
        return self._newest - stat.ctime_ns <= stat.granularity_ns + CLOCK_GRANULARITY_NS

    def scanned(self) -> None:
        """The first scan is over: what was among the last to be changed is read once more."""
        recent, self._recent = self._recent or {}, None
        for path, stat in recent.items():
            if self._is_recent(stat):
                self._paths.add(path)
                self._look_again(path, self._clock.monotonic())
