"""The local side: looks at paths that may have changed, and records what users did.

Hints only mark paths. What is found new is recorded before what is found gone, and what is gone is looked at twice, on
a root that is still the same, before a delete is believed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from syncagent.core.brake import Brake
from syncagent.core.detect import Restyled, Rewritten, Same, Seen, creations_first, detect
from syncagent.core.dirty import DirtySet
from syncagent.core.ignore import why_beyond
from syncagent.core.lineage import UNKNOWN, Lineage
from syncagent.core.local import Content
from syncagent.core.plan import StatKey
from syncagent.engine.context import Context
from syncagent.engine.departing import QUIET_SECONDS, Departures, Look
from syncagent.engine.problems import printable, split
from syncagent.engine.racing import Races
from syncagent.ports import (
    Absent,
    Busy,
    Finding,
    Observation,
    Row,
    ScanProblem,
    Unchanged,
    Unsupported,
)
from syncproto.model import Entry, Kind, Path
from syncproto.paths import RESERVED_NAME, above, parent

log = logging.getLogger("syncagent.engine")

BATCH_PATHS = 256
BATCHES_AT_ONCE = 2
BUSY_SHOWN_SECONDS = 2.0


class Lookout:
    """Which paths are dirty, what was found at them, and what that makes of the index."""

    def __init__(
        self,
        context: Context,
        brake: Brake,
        *,
        walk: Callable[[Path], None],
        walk_changed: Callable[[Path], None],
        is_walking: Callable[[], bool],
        changed: Callable[[Path], None],
        root_is_sound: Callable[[], bool],
    ) -> None:
        self._context = context
        self._walk = walk
        self._walk_changed = walk_changed
        self._is_walking = is_walking
        self._changed = changed
        self._root_is_sound = root_is_sound
        self.dirty = DirtySet()
        self.departures = context.departing = Departures(
            context,
            brake,
            is_left_out=self.is_left_out,
            found=self.found,
            changed=changed,
            root_is_sound=root_is_sound,
        )
        self.races = context.races = Races(context.clock, self.look_again)
        self._growing: dict[Path, float] = {}
        self._moves: list[Path] = []
        self.jobs = 0
        self.is_joining = False
        """Whether what is found is not known to be younger or older than what others have: a first scan."""
        self.lineage_of: Callable[[Path], Lineage] = lambda path: UNKNOWN
        """What a former incarnation knew of a path; the volume puts the question here."""

    def reset(self) -> None:
        """The index begins anew, or the volume is halted."""
        self.dirty = DirtySet()
        self._growing.clear()
        self.races.reset()
        self.departures.reset()

    def is_quiet(self) -> bool:
        """Whether everything that was marked has been looked at. What keeps growing does not count for ever."""
        now = self._context.now
        waiting = [p for p in self._growing if now - self._growing[p] < BUSY_SHOWN_SECONDS]
        idle = len(self.dirty) <= len(self.races) + len(self._growing) and not self.jobs and not waiting
        return idle and not self.departures

    def next_due(self) -> float | None:
        """When there is something to do next."""
        times = [self.dirty.next_due() if self.jobs < BATCHES_AT_ONCE else None, self.departures.next_due()]
        return min((when for when in times if when is not None), default=None)

    # -- looks ----------------------------------------------------------------------------------------

    def look_again(self, path: Path, when: float) -> None:
        """Something showed that the index may be wrong about the path."""
        self.dirty.mark_later(path, when, self._context.now)

    def run(self) -> None:
        """Begin looks at what is due, and settle what is gone."""
        now = self._context.now
        while self.jobs < BATCHES_AT_ONCE and (due := self.dirty.take_due(now, BATCH_PATHS)):
            self.examine(p for p in due if p and not self._is_passed_over(p))
        self.departures.run(is_busy=bool(self.jobs), is_walking=self._is_walking())

    def is_left_out(self, path: Path) -> bool:
        """Whether the path is not replicated by its name: nothing is concluded from its presence or absence."""
        rules, index = self._context.rules, self._context.index
        if why_beyond(path) is not None or rules.ignores(path):
            return True
        if not rules.ignores(path, is_directory=True):
            return False
        entry = index.entry(path)
        return entry is not None and entry.kind == Kind.DIRECTORY

    def _is_passed_over(self, path: Path) -> bool:
        """Whether the path is not even looked at. What is left out by its own name is: it is shown that it is."""
        directory = parent(path)
        is_below = bool(directory) and self.is_left_out(directory)
        return is_below or path == RESERVED_NAME or self._context.rules.ignores(path)

    def examine(self, paths: Iterable[Path], done: Callable[[], None] | None = None) -> None:
        """Look at these paths in a worker."""
        index, scanner = self._context.index, self._context.scanner
        wanted: list[tuple[Path, StatKey | None, bool]] = []
        for path in paths:
            row = index.row(path)
            wanted.append((path, row.stat if row else None, self.races.must_read(path)))
        if not wanted:
            if done is not None:
                done()
            return

        def job() -> list[Look]:
            return [(p, stat, scanner.examine(p, None if must_read else stat)) for p, stat, must_read in wanted]

        def finished(result: object) -> None:
            self.jobs -= 1
            if isinstance(result, list):
                self.found(result)
            else:
                log.error("volume %s: a look failed: %s", self._context.options.name, result)
                for path, _, _ in wanted:
                    self.look_again(path, self._context.now + 1.0)
            if done is not None:
                done()

        self.jobs += 1
        self._context.workers.submit(job, finished)

    # -- findings -------------------------------------------------------------------------------------

    def found(self, looks: Sequence[Look]) -> None:
        """Take in what was found, creations first. A look that the index has overtaken is repeated."""
        if self._context.halt:
            return
        observations: dict[Path, Observation] = {}
        for path, known, finding in looks:
            if self._context.rules.ignores(path):  # by now
                continue
            row = self._context.index.row(path)
            if (row.stat if row else None) != known:
                self.races.written(path)  # it may have been, and what was read is not taken in
                self.look_again(path, self._context.now)
            elif isinstance(finding, Observation):
                observations[path] = finding
            else:
                self._take_other(path, row, finding)
        for path in creations_first(observations):
            self._observed(observations[path])
        self._finish_moves()

    def _finish_moves(self) -> None:
        """The old names of what was found moved go in the same breath, so that peers move it too.

        The same file was just seen under its new name; one more look shows that the old name is free.
        """
        moved, self._moves = self._moves, []
        for path in moved:
            row = self._context.index.row(path)
            if row is not None and isinstance(self._context.scanner.examine(path, row.stat), Absent):
                self.departures.present(path)
                self.departures.delete(path)

    def _take_other(self, path: Path, row: Row | None, finding: Finding) -> None:
        context = self._context
        match finding:
            case Unchanged():
                self.races.settled(path)
                self._present(path)
                self._changed(path)
            case Absent():
                self.races.settled(path)
                if row is not None and row.stat is not None and context.problems.has("not-kept", path):
                    self._look_at_other_names(path, row.stat)
                context.problems.clear_path(path)
                self._growing.pop(path, None)
                self.missed(path)
            case Busy():
                self._is_growing(path)
            case Unsupported(reason=reason):
                context.problems.add("unsupported", reason, path=path, wall_ns=context.clock.wall_ns())
                self.missed_below_a_stranger(path, row)
            case ScanProblem(reason=reason):
                self.unreadable(path, "cannot be read", reason)
            case _:
                raise TypeError(finding)

    def unreadable(self, path: Path, what: str, reason: str) -> None:
        """Nothing could be learnt of a path: that is a problem, unless the whole root is gone."""
        context = self._context
        if self._root_is_sound():
            cause, remedy = split(reason, "see to this cause")
            text, now = f"{what}: {cause}", context.clock.wall_ns()
            context.problems.add("unreadable", text, remedy=remedy, path=path, is_blocking=True, wall_ns=now)

    def _is_growing(self, path: Path) -> None:
        context, now = self._context, self._context.now
        since = self._growing.setdefault(path, now)
        self.dirty.mark_growing(path, now)
        if now - since > BUSY_SHOWN_SECONDS:
            context.problems.add(
                "busy",
                "is being written without a pause: no instant of it could be read",
                remedy="it is published as soon as it holds still",
                path=path,
                is_blocking=True,
                wall_ns=context.clock.wall_ns(),
            )

    def _present(self, path: Path) -> None:
        self.departures.present(path)
        self._growing.pop(path, None)
        self._context.problems.clear_path(path)

    def _observed(self, seen: Observation) -> None:
        context, path = self._context, seen.path
        if context.rules.ignores(path, is_directory=seen.kind == Kind.DIRECTORY):
            return
        self._present(path)
        context.problems.clear("unserved", path)
        for note in seen.notes:
            context.problems.add("not-kept", note, path=path, wall_ns=context.clock.wall_ns())
        if not self._has_parents(path):
            self.look_again(path, context.now)
            return
        row = context.index.row(path)
        if path in context.residues:
            if seen.kind == Kind.DIRECTORY:
                return  # it stays out until something replicable is put into it: see _has_parents
            self._drop_residue(path)
        if seen.kind != Kind.DIRECTORY and context.index.has_live_below(path):
            self._children_first(path)
            return
        if self.races.is_just_begun(row, seen):
            self.dirty.mark_growing(path, context.now)
            return
        self.races.observed(seen)
        self._judge(row, seen)
        self._changed(path)

    def _drop_residue(self, path: Path) -> None:
        self._context.residues.discard(path)
        self._context.index.drop_residue(path)
        self._context.is_changed = True

    def _has_parents(self, path: Path) -> bool:
        """Parents get their counters before their children: look at those that are not known yet."""
        index = self._context.index
        for directory in above(path):
            entry = index.entry(directory)
            if entry is not None and entry.kind == Kind.DIRECTORY:
                continue
            if directory in self._context.residues:
                self._drop_residue(directory)
            finding = self._context.scanner.examine(directory, None)
            if not isinstance(finding, Observation) or finding.kind != Kind.DIRECTORY:
                return False
            self._observed(finding)
            entry = index.entry(directory)
            if entry is None or entry.kind != Kind.DIRECTORY:
                return False
        return True

    def _children_first(self, path: Path) -> None:
        """A directory became a file: its children are gone, and their deletes go first."""
        now = self._context.now
        self.departures.expect_gone(self._context.index.live_below(path), now - QUIET_SECONDS)
        self.look_again(path, now + 2 * QUIET_SECONDS)

    # -- what it means ----------------------------------------------------------------------------------

    def _judge(self, row: Row | None, seen: Observation) -> None:
        context, index, path = self._context, self._context.index, seen.path
        entry = row.entry if row else None
        is_other = entry is not None and (entry.kind, entry.content) != (seen.kind, seen.content)
        if is_other and self.departures.comes_if_never_here(path):
            row = entry = None
        stat, held = (row.stat, row.attributes) if row else (None, None)
        verdict = detect(entry, stat, held, Seen(seen.kind, seen.content, seen.stat, seen.attributes))
        origin = None
        if isinstance(verdict, Rewritten):
            if (origin := self._source(seen)) is not None:
                self.departures.moved_away(origin.path)
            if self._is_a_peers_work(entry, seen):
                return
        elif self.departures.came_back(path):
            verdict = Rewritten(verdict.attributes if isinstance(verdict, Restyled) else None)
        if isinstance(verdict, Restyled):
            context.reconciler.change_metadata(path, verdict.attributes, context.clock.wall_ns())
            log.debug("volume %s: attributes of %s", context.options.name, printable(path))
        elif isinstance(verdict, Rewritten):
            self._record(entry, seen, verdict, origin)
        elif isinstance(verdict, Same) and row is not None and row.stat == seen.stat and held == seen.attributes:
            return
        if seen.manifest is not None:
            index.put_manifest(seen.manifest)
        index.set_stat(path, seen.stat, seen.attributes)
        context.found(path)
        if seen.kind == Kind.DIRECTORY and row is not None and row.stat != seen.stat:
            self._walk_changed(path)
        if seen.notes:
            self._look_at_other_names(path, seen.stat)

    def _look_at_other_names(self, path: Path, stat: StatKey) -> None:
        """A hard-linked file is written to under one name, and the watcher tells only that one."""
        for row in self._context.index.by_inode(stat.inode):
            if row.entry.path != path and row.stat != stat:
                self.look_again(row.entry.path, self._context.now)

    def _record(self, entry: Entry | None, seen: Observation, verdict: Rewritten, origin: Entry | None) -> None:
        context = self._context
        size = seen.stat.size if seen.kind == Kind.FILE else 0
        content = Content(seen.kind, seen.content, size, seen.stat.mtime_ns, seen.sparse)
        is_new = entry is None or not entry.is_live
        if is_new and self.is_joining:
            context.reconciler.adopt(seen.path, content, seen.attributes, self.lineage_of(seen.path))
        else:
            clock, source = context.clock.wall_ns(), origin if is_new else None
            minted = context.reconciler.change(seen.path, content, clock, attributes=verdict.attributes, source=source)
            context.history.changed(entry, minted)
            if source is not None:
                context.moved.add(minted.dot)
                self._moves.append(source.path)
        context.count("local_changes")
        log.debug("volume %s: %s is new or changed", context.options.name, printable(seen.path))
        if seen.kind == Kind.DIRECTORY and is_new:
            self._walk(seen.path)

    def _source(self, seen: Observation) -> Entry | None:
        """The entry that was moved here: the same inode, under a name that is gone or about to be found gone."""
        if seen.kind != Kind.FILE:
            return None
        entries = (row.entry for row in self._context.index.by_inode(seen.stat.inode))
        return next((e for e in entries if e.path != seen.path and e.content == seen.content), None)

    def _is_a_peers_work(self, entry: Entry | None, seen: Observation) -> bool:
        """What a pending entry wants is on the disk already: a kill came between the rename and the commit."""
        context = self._context
        for pending in context.index.pending_at(seen.path):
            is_next = entry is None or pending.has_seen(entry)
            if is_next and pending.kind == seen.kind and pending.content == seen.content:
                context.reconciler.integrate(pending, context.clock.wall_ns())
                context.history.changed(entry, pending)
                context.index.set_stat(seen.path, seen.stat, seen.attributes)
                if seen.manifest is not None:
                    context.index.put_manifest(seen.manifest)
                context.found(seen.path)
                if seen.kind == Kind.DIRECTORY:
                    self._walk(seen.path)  # what users put into it is theirs
                self._changed(seen.path)
                return True
        return False

    # -- what is not there, or is a stranger ----------------------------------------------------------------

    def missed(self, path: Path) -> None:
        """The path is not there."""
        if path in self._context.residues:
            self._drop_residue(path)
        self.departures.missed(path)

    def missed_below_a_stranger(self, path: Path, row: Row | None) -> None:
        """Something unsupported took the place of an entry: "no longer supported" is never "deleted"."""
        if row is not None and row.entry.is_live:
            self._context.problems.add(
                "replaced",
                "was replaced by something that is not replicated; the others keep what they have",
                path=path,
                remedy="remove it, or rename it",
                is_blocking=True,
                wall_ns=self._context.clock.wall_ns(),
            )
