"""Walks directories: the truth that hints only hurry up.

A listing is compared with the index, directory by directory, so that a walk needs no memory of the whole tree and may
be interrupted anywhere. An unchanged path is not opened.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from syncagent.core.plan import StatKey
from syncagent.engine.context import Context
from syncagent.engine.looking import BATCH_PATHS, Lookout
from syncagent.ports import Absent, Listing, Observation, Row, ScanProblem
from syncproto.model import Kind, Path

log = logging.getLogger("syncagent.engine")

DIRECTORIES_PER_JOB = 64
LISTS_AT_ONCE = 2
RETRY_SECONDS = 10.0


class Walker:
    """Directories still to be listed. A full walk goes down everywhere, a walk of a new directory only into the new."""

    def __init__(
        self, context: Context, *, changed: Callable[[Path], None], root_listed: Callable[[StatKey, bool], None]
    ) -> None:
        self._context = context
        self._root_listed = root_listed
        self._changed = changed
        self.lookout: Lookout | None = None
        self._queue: deque[Path] = deque()
        self._queued: set[Path] = set()
        self._backlog: deque[Path] = deque()
        self._unlisted: dict[Path, float] = {}
        self._root_due = self._unread_due = 0.0
        self.jobs = 0
        self.is_full = False
        self.directories = 0
        """How many directories the last full walk has listed: the watcher is compared with it."""

    def reset(self) -> None:
        """Forget what was to be walked."""
        self._queue.clear()
        self._queued.clear()
        self._backlog.clear()
        self.is_full = False

    def is_walking(self) -> bool:
        """Whether anything is still to be listed or examined."""
        return bool(self._queue or self.jobs or self._backlog)

    def list_again(self, path: Path) -> None:
        """The directory has changed; if it could not be listed before, that is tried again at once."""
        if path in self._unlisted:
            self.add(path)

    def start_full(self) -> None:
        """Look at everything."""
        self.reset()
        self.is_full = True
        self.directories = 0
        if self.lookout is not None:
            for path in self._context.problems.paths("unreadable"):  # it may be gone, and in no listing
                self.lookout.look_again(path, self._context.now)
            for path in self._context.problems.paths("unserved"):
                self.lookout.races.doubt(path)
        self.add(b"")

    def add(self, directory: Path) -> None:
        """List this directory, and go on into what is new below it."""
        if directory not in self._queued:
            self._queued.add(directory)
            self._queue.append(directory)

    def add_changed(self, directory: Path) -> None:
        """List it unless a full walk does so anyway: it may be another directory of the same name."""
        if not self.is_full:
            self.add(directory)

    def run(self) -> None:
        """Begin as many listings and looks as the bounds allow."""
        lookout, context = self.lookout, self._context
        assert lookout is not None
        if context.halt:
            return
        for path in [path for path, when in self._unlisted.items() if when <= context.now]:
            self._unlisted[path] = context.now + RETRY_SECONDS
            self.add(path)
        if context.now >= self._unread_due and len(context.problems):
            self._unread_due = context.now + RETRY_SECONDS
            for path in context.problems.paths("unreadable"):  # what was an I/O error may be over without a trace
                lookout.look_again(path, context.now)
        if context.now >= self._root_due and context.problems.has("root-attributes"):
            self._root_due = context.now + RETRY_SECONDS
            self.add(b"")
        while self._backlog and lookout.jobs < LISTS_AT_ONCE:
            batch = [self._backlog.popleft() for _ in range(min(BATCH_PATHS, len(self._backlog)))]
            lookout.examine(batch)
        if len(self._backlog) > 16 * BATCH_PATHS:
            return
        while self._queue and self.jobs < LISTS_AT_ONCE:
            batch = [self._queue.popleft() for _ in range(min(DIRECTORIES_PER_JOB, len(self._queue)))]
            self._queued.difference_update(batch)
            self._list(batch)

    def _list(self, directories: list[Path]) -> None:
        scanner = self._context.scanner

        def done(result: object) -> None:
            self.jobs -= 1
            if not isinstance(result, list):
                log.error("volume %s: a listing failed: %s", self._context.options.name, result)
                return
            for path, listing in zip(directories, result, strict=True):
                if not self._context.halt:
                    self._listed(path, listing)

        self.jobs += 1
        self._context.workers.submit(lambda: [scanner.list_directory(path) for path in directories], done)

    def _listed(self, path: Path, listing: Listing | Absent | ScanProblem) -> None:
        context, lookout = self._context, self.lookout
        assert lookout is not None
        if isinstance(listing, Absent):
            self._unlisted.pop(path, None)
            if path:
                lookout.missed(path)
            return
        if isinstance(listing, ScanProblem):
            self._unlisted[path] = context.now + RETRY_SECONDS
            lookout.unreadable(path, "cannot be listed", listing.reason)
            return
        if self._unlisted.pop(path, None) is not None and not self.is_full:
            self.start_full()  # nobody knows what it missed below
            return
        context.problems.clear("unreadable", path)
        if not path:
            self._root_listed(listing.stat, bool(listing.children))
        self.directories += 1
        rows = {row.entry.path.rpartition(b"/")[2]: row for row in context.index.children(path)}
        strangers = set()
        for stranger in listing.unsupported:
            strangers.add(stranger.path.rpartition(b"/")[2])
            context.problems.add("unsupported", stranger.reason, path=stranger.path, wall_ns=context.clock.wall_ns())
            lookout.missed_below_a_stranger(stranger.path, context.index.row(stranger.path))
        for name, stat in listing.children:
            child = path + b"/" + name if path else name
            self._compare(child, stat, rows.pop(name, None))
        for name, row in rows.items():
            if name not in strangers and row.entry.is_live:
                lookout.missed(row.entry.path)

    def _compare(self, path: Path, stat: StatKey, row: Row | None) -> None:
        context, lookout = self._context, self.lookout
        assert lookout is not None
        is_directory = stat.is_directory
        if lookout.is_left_out(path) or is_directory and context.rules.ignores(path, is_directory=True):
            return
        is_live = row is not None and row.entry.is_live
        is_as_known = row is not None and is_live and row.stat == stat
        if is_as_known:
            lookout.departures.present(path)
            lookout.races.unchanged(path, stat)
            if not is_directory:
                context.problems.clear("unreadable", path)  # it was read when it had this very stat
            if self.is_full:
                self._changed(path)
        elif not is_live and not is_directory and (known := self._same_inode(stat)) is not None:
            lookout.found([(path, row.stat if row else None, _as_observed(path, known))])
        elif path not in lookout.dirty:
            self._backlog.append(path)
        if is_directory and (self.is_full or not is_as_known) and (is_live or path in context.residues):
            self.add(path)  # a changed one may be another: deleted, made anew and filled at once

    def _same_inode(self, stat: StatKey) -> Row | None:
        """The row of the very same file under another name, untouched since: its content is known without reading."""
        rows = self._context.index.by_inode(stat.inode)
        races = self._context.races
        return next((r for r in rows if r.stat == stat and races.is_sound(r.entry.path, stat)), None)


def _as_observed(path: Path, row: Row) -> Observation:
    assert row.stat is not None and row.attributes is not None
    kind = row.entry.kind
    content = row.entry.content if kind in (Kind.FILE, Kind.SYMLINK) else None
    return Observation(path, kind, row.stat, row.attributes, content, None, row.entry.sparse)
