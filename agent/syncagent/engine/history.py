"""What stood at paths before they were changed: every change has a row, and what peers' changes displaced is kept.

The rows are in the index, in the transaction of the change itself; what is kept is in the tree's store. Both are
bounded by age, the store by its size, the rows by their number, and a full disk takes the store first.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from syncagent.core.transition import Change
from syncagent.ports import Applied, KeptFile, Late, Observation, Outcome, Past
from syncproto.model import Entry, Kind, Metadata, Path

if TYPE_CHECKING:
    from syncagent.engine.context import Context

log = logging.getLogger("syncagent.engine")

ROWS_MAX = 200_000
LATE_SECONDS = 1.0
WATCHED_SECONDS = 65.0
"""So long after something was displaced it is looked at for late writes every ``LATE_SECONDS``."""
TRIM_SECONDS = 5.0
IDLE_SECONDS = 30.0
TRIM_ROWS = 1000
GIVE_WAY_BYTES_MIN = 16 * 1024 * 1024
EXAMINE_FILES = 64


class Historian:
    """Records, keeps in bounds, and finds again."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.look_again: Callable[[Path, float], None] = lambda path, when: None
        """Has a path looked at; the volume puts it here."""
        self._started = context.clock.wall_ns(), context.now
        self._is_fuller = True
        self._displaced_at: float | None = None
        self._late_due = context.now
        self._trim_due = context.now
        self._unknown: list[KeptFile] = []
        self._is_examining = False

    # -- records ---------------------------------------------------------------------------------------

    def applied(self, changes: Iterable[Change], outcomes: Sequence[Outcome]) -> None:
        """The disk has followed these decisions."""
        kept = {outcome.path: outcome for outcome in outcomes if isinstance(outcome, Applied) and outcome.kept}
        for change in changes:
            if change.is_structural:
                self._add(change.path, change.before, change.after, kept.get(change.path))

    def half_applied(self, changes: Iterable[Change], outcomes: Sequence[Outcome]) -> None:
        """The rest was refused: what was displaced so far is noted all the same."""
        kept = {outcome.path: outcome for outcome in outcomes if isinstance(outcome, Applied) and outcome.kept}
        for change in changes:
            if change.path in kept:
                self._add(change.path, change.before, None, kept[change.path])

    def changed(self, before: Entry | None, after: Entry) -> None:
        """A user of this replica has changed a path; of what stood there only the digest is known."""
        self._add(after.path, before, after, None)

    def _add(self, path: Path, before: Entry | None, after: Entry | None, kept: Applied | None) -> None:
        context, at_ns = self._context, self._context.clock.wall_ns()
        stamp = after.stamp if after is not None else at_ns
        if before is None and kept is None and stamp < self._expired_before():
            return  # a first copy of what is old
        kind, dot = (after.kind, after.dot) if after is not None else (Kind.TOMBSTONE, ("", 0))
        name, size = (kept.kept, kept.kept_bytes) if kept is not None else (b"", 0)
        context.index.add_past(Past(path, before, kind, dot, stamp, at_ns, name, size))
        context.is_changed = self._is_fuller = True
        if name:
            self._displaced_at = context.now
            self._late_due = min(self._late_due, context.now + LATE_SECONDS)

    # -- bounds ----------------------------------------------------------------------------------------

    def next_due(self) -> float:
        """When ``run`` has something to do."""
        return min(self._late_due, self._trim_due)

    def run(self) -> None:
        """See to late writes and to the bounds, when it is time."""
        context, now = self._context, self._context.now
        if context.halt or now < self.next_due():
            return
        try:
            if now >= self._late_due:
                is_fresh = self._displaced_at is not None and now - self._displaced_at < WATCHED_SECONDS
                self._late_due = now + (LATE_SECONDS if is_fresh else IDLE_SECONDS)
                self._take_late(context.tree.take_late())
            if now >= self._trim_due:
                self._trim_due = now + TRIM_SECONDS
                self._trim()
        except OSError as error:
            log.warning("volume %s: the history cannot be seen to: %s", context.options.name, error.strerror or error)

    def _take_late(self, late: Iterable[Late]) -> None:
        """What was written to after it was displaced stands in the volume again: a conflict copy."""
        for each in late:
            self.look_again(each.to, self._context.now)
            for past in self._context.index.history_of(each.path) if each.kept else ():
                if past.kept == each.kept:
                    self._context.index.unkeep(past.number)
                    self._context.is_changed = True

    def _expired_before(self) -> int:
        """Nanoseconds; the clock's jumps since the start count for nothing: they would empty the history."""
        context, (wall_ns, at) = self._context, self._started
        return wall_ns + int((context.now - at - context.options.history_age) * 1e9)

    def _trim(self) -> None:
        index, limit = self._context.index, self._context.options.history_size
        expired = self._expired_before()
        old = [past for past in islice(index.oldest_history(), TRIM_ROWS) if past.at_ns < expired]
        self._forget(old, are_rows_dropped=True)
        if not old and not self._is_fuller:
            self._trim_due = self._context.now + IDLE_SECONDS
            return
        sums = index.history_sums
        extra = list(islice(index.oldest_history(), min(TRIM_ROWS, max(0, sums.changes - ROWS_MAX))))
        self._forget(extra, are_rows_dropped=True)
        freed = 0
        if sums.kept_bytes > (limit or 0) or limit is None and sums.kept:
            freed = self._free(sums.kept_bytes - limit if limit is not None else None)
        self._is_fuller = max(len(old), len(extra), freed) >= TRIM_ROWS

    def _free(self, size: int | None) -> int:
        """Let the oldest that is kept go, until so much is free (None: all); gives the number of what went."""
        going: list[Past] = []
        for past in islice(self._context.index.oldest_kept(), TRIM_ROWS):
            if size is not None and size <= 0:
                break
            going.append(past)
            size = None if size is None else size - past.kept_bytes
        self._forget(going, are_rows_dropped=False)
        return len(going)

    def _forget(self, pasts: Sequence[Past], *, are_rows_dropped: bool) -> None:
        context = self._context
        if not pasts:
            return
        self._take_late(context.tree.drop_kept([past.kept for past in pasts if past.kept]))
        for past in pasts:
            if are_rows_dropped:
                context.index.drop_past(past.number)
            else:
                context.index.unkeep(past.number)
        context.is_changed = True

    def gives_way(self, error: object, size: int) -> bool:
        """Whether a full disk has room again for so many bytes, or at least more than before."""
        if not isinstance(error, OSError) or error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return False
        return self._give_way(size)

    def gives_way_to(self, reason: str) -> bool:
        """The same where only the reason is told."""
        return reason.startswith((os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))) and self._give_way(0)

    def _give_way(self, size: int) -> bool:
        try:
            count = self._free(max(size, GIVE_WAY_BYTES_MIN))
        except OSError:
            return False
        if count:
            log.warning("volume %s: the disk is full: %d kept files are let go", self._context.options.name, count)
        return count > 0

    # -- a new process ---------------------------------------------------------------------------------

    def recover(self) -> None:
        """Compare the store with the rows: a lost index finds what is kept, an interrupted move is finished."""
        context, index = self._context, self._context.index
        known = {past.kept: past.number for past in index.oldest_kept()}
        try:
            recovered = context.tree.recover_kept(known)
        except OSError as error:
            log.warning("volume %s: the history cannot be read: %s", context.options.name, error.strerror or error)
            return
        for name in recovered.missing:
            index.unkeep(known[name])
            context.is_changed = True
        self._take_late(recovered.late)
        self._unknown = list(recovered.found)
        if self._unknown:
            log.info("volume %s: %d kept files are found again", context.options.name, len(self._unknown))
            self._examine()

    def _examine(self) -> None:
        """Read what was found again, a few files at a time, and give it rows."""
        files, self._unknown = self._unknown[:EXAMINE_FILES], self._unknown[EXAMINE_FILES:]
        tree = self._context.tree
        if self._is_examining or not files:
            return

        def done(result: object) -> None:
            self._is_examining = False
            for file, seen in zip(files, result, strict=True) if isinstance(result, list) else ():
                if seen is not None and tree is self._context.tree:
                    self._found_again(file, seen)
            self._examine()

        self._is_examining = True
        self._context.workers.submit(lambda: [tree.examine_kept(file.name) for file in files], done)

    def _found_again(self, file: KeptFile, seen: Observation) -> None:
        index = self._context.index
        size = seen.stat.size if seen.kind == Kind.FILE else 0
        register = Metadata(seen.attributes)
        before = Entry(
            file.path, seen.kind, seen.content, "", 0, (), 0, register, size=size, mtime_ns=seen.stat.mtime_ns
        )
        if seen.manifest is not None:
            index.put_manifest(seen.manifest)
        index.add_past(
            Past(file.path, before, Kind.TOMBSTONE, ("", 0), file.at_ns, file.at_ns, file.name, file.kept_bytes)
        )
        self._context.is_changed = self._is_fuller = True
