"""What is gone from the disk: looked at twice, on a root that is sound, past the brake, and only then deleted.

What was found new goes first, so that a rename announces its new name before the old one goes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from syncagent.core.brake import Brake
from syncagent.core.detect import deletions_first
from syncagent.core.local import Content
from syncagent.core.plan import StatKey
from syncagent.engine.context import Context
from syncagent.engine.problems import printable
from syncagent.ports import Absent, Finding
from syncproto.model import Entry, Kind, Path

log = logging.getLogger("syncagent.engine")

QUIET_SECONDS = 0.02
PATIENCE_SECONDS = 1.0
BATCH_PATHS = 4096

Look = tuple[Path, StatKey | None, Finding]
"""A path, the stat that the index had when the look began, and what was found."""


class Departures:
    """Paths that were not found where the index has something live."""

    def __init__(
        self,
        context: Context,
        brake: Brake,
        *,
        is_left_out: Callable[[Path], bool],
        found: Callable[[Sequence[Look]], None],
        changed: Callable[[Path], None],
        root_is_sound: Callable[[], bool],
    ) -> None:
        self._context = context
        self._brake = brake
        self._is_left_out = is_left_out
        self._found = found
        self._changed = changed
        self._root_is_sound = root_is_sound
        self._gone: dict[Path, float] = {}
        self._confirmed: set[Path] = set()
        self._moved_from: set[Path] = set()
        self.held: set[Path] = set(context.index.held())
        self.is_looking = False
        self._is_kept_by_looks = False
        self._is_kept_by_a_walk = False

    def __len__(self) -> int:
        return len(self._gone)

    def __contains__(self, path: object) -> bool:
        return path in self._gone

    def reset(self) -> None:
        """Forget what was seen; what is held stays held."""
        self._gone.clear()
        self._confirmed.clear()
        self._moved_from.clear()
        self.held = set(self._context.index.held())

    def missed(self, path: Path) -> None:
        """The path is not there: with all that the index has below it, it may be gone."""
        index, now = self._context.index, self._context.now
        entry = index.entry(path)
        if entry is None or not entry.is_live:
            return
        lost = [path, *(index.live_below(path) if entry.kind == Kind.DIRECTORY else [])]
        self.expect_gone(lost, now)

    def expect_gone(self, paths: Iterable[Path], since: float) -> None:
        """These are to be confirmed. What was never here, because it was ignored, is to come instead."""
        for path in paths:
            if path in self.held or self._is_left_out(path):
                continue
            if not self.comes_if_never_here(path):
                self._gone.setdefault(path, since)

    def comes_if_never_here(self, path: Path) -> bool:
        """Whether this disk never had what the index has at the path, which was merely relayed: now it is applied.

        Neither its absence nor what users have put there says anything about it.
        """
        index = self._context.index
        row = index.row(path)
        if row is None or not row.entry.is_live or row.stat is not None:
            return False
        index.drop(path)
        index.put_pending(row.entry)
        self._context.is_changed = True
        self._changed(path)
        return True

    def present(self, path: Path) -> None:
        """The path is there, or there again."""
        self._gone.pop(path, None)
        self._confirmed.discard(path)
        if path in self.held:
            self.unhold(path)

    def moved_away(self, path: Path) -> None:
        """What was here was found under another name: its delete is no loss."""
        self._moved_from.add(path)

    def came_back(self, path: Path) -> bool:
        """Whether what was moved away from here is here again: a user's act, although nothing looks changed."""
        is_back = path in self._moved_from
        self._moved_from.discard(path)
        return is_back

    def next_due(self) -> float | None:
        """When there is something to do next, unless a look or a walk ends before."""
        if not self._gone or self.is_looking or self._is_kept_by_a_walk:
            return None
        is_late_at = min(self._gone.values()) + PATIENCE_SECONDS
        return is_late_at if self._is_kept_by_looks else min(is_late_at, max(self._gone.values()) + QUIET_SECONDS)

    def run(self, *, is_busy: bool, is_walking: bool) -> None:
        """Go on with what is gone, unless creations may still be found.

        Looks may come one after the other without end, so they are not waited for without end; a walk ends.
        """
        self._is_kept_by_looks, self._is_kept_by_a_walk = is_busy, is_walking
        if not self._gone or self.is_looking or is_walking or self._context.halt:
            return
        now = self._context.now
        is_quiet = now - max(self._gone.values()) >= QUIET_SECONDS
        is_late = now - min(self._gone.values()) >= PATIENCE_SECONDS
        if not is_late and (is_busy or not is_quiet):
            return
        unconfirmed = [path for path in self._gone if path not in self._confirmed]
        if unconfirmed:
            self._look_twice(unconfirmed[:BATCH_PATHS])
            return
        paths = [path for path in deletions_first(self._gone) if self._is_still_live(path)]
        self._gone.clear()
        self._confirmed.clear()
        self._delete(paths)

    def _look_twice(self, paths: list[Path]) -> None:
        scanner, index = self._context.scanner, self._context.index
        known = {path: row.stat if (row := index.row(path)) else None for path in paths}

        def done(result: object) -> None:
            self.is_looking = False
            if not isinstance(result, list):
                return
            others: list[Look] = []
            for path, stat, finding in result:
                if isinstance(finding, Absent):
                    if path in self._gone:
                        self._confirmed.add(path)
                else:
                    self._gone.pop(path, None)
                    others.append((path, stat, finding))
            self._found(others)

        self.is_looking = True
        self._context.workers.submit(lambda: [(p, known[p], scanner.examine(p, known[p])) for p in paths], done)

    def _is_still_live(self, path: Path) -> bool:
        entry = self._context.index.entry(path)
        return entry is not None and entry.is_live

    def _delete(self, paths: list[Path]) -> None:
        context, now = self._context, self._context.now
        if not paths or not self._root_is_sound():
            return
        counted = [path for path in paths if path not in self._moved_from]
        if self._brake.allows(len(counted), context.index.live_count, now):
            self._brake.record(len(counted), now)
        else:
            self._hold(counted)
            paths = [path for path in paths if path in self._moved_from]
        for path in paths:
            self.delete(path)
        self._moved_from.difference_update(paths)

    def delete(self, path: Path) -> None:
        """Record that a user deleted the path."""
        context, index = self._context, self._context.index
        entry = index.entry(path)
        self._moved_from.discard(path)
        if entry is None or not entry.is_live:
            return
        for pending in index.pending_at(path):
            if not pending.is_live and pending.has_seen(entry) and not index.has_live_below(path):
                context.reconciler.integrate(pending, context.clock.wall_ns())  # a kill came before the commit
                context.history.changed(entry, pending)
                break
        else:
            deleted = context.reconciler.change(path, Content(Kind.TOMBSTONE), context.clock.wall_ns())
            context.history.changed(entry, deleted)
            context.count("local_changes")
        index.set_stat(path, None, None)
        context.found(path)
        log.debug("volume %s: %s is deleted", context.options.name, printable(path))
        self._changed(path)

    def stands(self, entry: Entry) -> None:
        """A delete that was reverted is made after all: of what was deleted here nobody has the content."""
        index = self._context.index
        index.drop_pending(entry.dot)
        index.put(entry)
        self.delete(entry.path)

    def _hold(self, paths: list[Path]) -> None:
        context = self._context
        for path in paths:
            self.held.add(path)
            context.index.hold(path)
        context.is_changed = True
        log.warning(
            "volume %s: %d deletes are held; 'syncctl hold' lists them, 'syncctl release' applies them, "
            "'syncctl revert' brings the files back",
            context.options.name,
            len(paths),
        )

    def unhold(self, path: Path) -> None:
        """The delete is held no longer."""
        self.held.discard(path)
        self._context.index.unhold(path)
        self._context.is_changed = True
