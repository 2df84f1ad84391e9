"""Resolves pending entries: decides on an overlay, has the disk follow, and only then writes the decision down.

A unit is one entry (or the two of a rename) with all that its decision changes. If the disk has moved on, the overlay
is dropped: nothing was decided, the path is looked at again, and the entry stays pending.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from syncagent.core.brake import Brake
from syncagent.core.plan import Keep, MakeDirectory, Remove, Step
from syncagent.core.reconcile import Reconciler
from syncagent.core.state import Overlay
from syncagent.core.transition import Change, plan
from syncagent.engine.candidates import Candidates
from syncagent.engine.context import Context
from syncagent.engine.problems import printable
from syncagent.engine.styling import Styler
from syncagent.ports import Applied, Failed, Listing, NotEmpty, Outcome, Stale
from syncproto.model import Entry, Kind, Path
from syncproto.version import Dot, Vector, covers

log = logging.getLogger("syncagent.engine")

UNITS_PER_TURN = 256
PATIENCE_SECONDS = 2.0
RETRY_SECONDS_MAX = 30.0
RENAME_SECONDS = 0.25
SAME_CONTENT_MAX = 16
"""Of files with equal content, so many are looked at to tell a rename."""


class Applier:
    """Works off the pending entries that may have become ready."""

    def __init__(
        self,
        context: Context,
        brake: Brake,
        *,
        want: Callable[[Entry], None],
        look_again: Callable[[Path, float], None],
    ) -> None:
        self._context = context
        self._brake = brake
        self._want = want
        self._look_again = look_again
        self._candidates = Candidates()
        self._waiting: dict[Dot, float] = {}
        self._parked: dict[Dot, tuple[float, int]] = {}
        self._renamed: dict[Dot, float] = {}
        self._judged: set[Dot] = set()
        self._copying: set[bytes] = set()
        self.styler = Styler(context, look_again)
        self._paused_until = 0.0
        self._has_progressed = False
        self.held: set[Dot] = set()
        self._released_up_to: Vector = {}

    # -- what may have become ready --------------------------------------------------------------

    def wake(self, entries: Iterable[Entry]) -> None:
        """These entries may be ready now."""
        for entry in entries:
            self._candidates.add(entry)

    def wake_files(self, dots: Iterable[Dot]) -> None:
        """The contents of these pending files are staged."""
        self._candidates.add_dots(dots, is_live=True)

    def wake_path(self, path: Path) -> None:
        """The path was looked at, or changed: what is pending there may be ready."""
        for entry in self._context.index.pending_at(path):
            self._parked.pop(entry.dot, None)
            self._candidates.add(entry)

    def wake_everything(self) -> None:
        """Look at all that is pending."""
        self._parked.clear()
        self.wake(self._context.index.pending())

    def is_idle(self) -> bool:
        """Whether nothing can be done before something new happens."""
        return not self._candidates and self.styler.is_idle()

    def next_due(self) -> float | None:
        """When a parked entry is tried again."""
        return min((when for when, _ in self._parked.values()), default=None)

    def release_up_to(self, released: Vector) -> None:
        """A person released deletes, here or elsewhere: those at or below the vector pass."""
        self._released_up_to = released
        freed = [dot for dot in self.held if covers(released, dot)]
        self.held.difference_update(freed)
        self._candidates.add_dots(freed, is_live=False)

    # -- one turn ----------------------------------------------------------------------------------

    def run(self) -> bool:
        """Resolve up to a bounded number of entries; True if anything was resolved."""
        context, now = self._context, self._context.now
        if context.halt or now < self._paused_until:
            return False
        self._wake_parked(now)
        progress = False
        dots = self._candidates.take_live(UNITS_PER_TURN)
        if not dots:
            self._hold_a_mass_of_deletes()
            dots = self._candidates.take_deletes(UNITS_PER_TURN)
        for dot in dots:
            entry = context.index.pending_entry(dot)  # it may have been resolved along with another
            if entry is None:
                self._forget(dot)
            elif context.halt is None:
                progress |= self._resolve(entry)
        if progress:
            context.is_changed = True
            self._has_progressed = True
        if self._has_progressed and not self._candidates:
            self._has_progressed = False
            waiting = [e for dot in self._waiting if (e := context.index.pending_entry(dot)) is not None]
            self.wake(waiting)
        self.styler.run()
        return bool(dots)

    def _wake_parked(self, now: float) -> None:
        if not self._parked:
            return
        for dot in [dot for dot, (when, _) in self._parked.items() if when <= now]:
            entry = self._context.index.pending_entry(dot)
            if entry is None:
                self._forget(dot)
            else:
                self._candidates.add(entry)

    def _resolve(self, current: Entry) -> bool:
        context = self._context
        if context.reconciler.is_settled(current):
            context.reconciler.settle(current)
            self.styler.later(current.path)
            self._forget(current.dot)
            return True
        if current.dot in self.held:
            return False
        if self._waits_for_children(current):
            return False
        if not context.reconciler.is_ready(current, context.tree.is_staged):
            if current.kind == Kind.FILE:
                self._want(current)
            else:
                self._waiting.setdefault(current.dot, context.now)
                if current.content is not None:  # half of a rename waits for the other
                    self.wake(context.index.pending_with_content(current.content, SAME_CONTENT_MAX))
            return False
        return self._integrate(current)

    def _forget(self, dot: Dot) -> None:
        self._waiting.pop(dot, None)
        self._renamed.pop(dot, None)
        self._parked.pop(dot, None)
        self._judged.discard(dot)
        self.held.discard(dot)

    def _waits_for_children(self, entry: Entry) -> bool:
        """What takes the place of a directory waits for the deletes of all that is in it, which are known already.

        Otherwise the directory would be revived for children that are about to go. Not for ever: two such waits may
        need each other, and then the rules decide.
        """
        index, now = self._context.index, self._context.now
        if entry.kind == Kind.DIRECTORY or not index.has_live_below(entry.path):
            return False
        since = self._waiting.get(entry.dot, now)
        if now - since > PATIENCE_SECONDS:
            return False
        for path in index.live_below(entry.path):
            here = index.entry(path)
            if here is None or not any(not p.is_live and p.has_seen(here) for p in index.pending_at(path)):
                return False
        self._waiting.setdefault(entry.dot, now)
        self._parked[entry.dot] = (since + PATIENCE_SECONDS + 0.01, 0)
        return True

    # -- a unit ------------------------------------------------------------------------------------

    def _integrate(self, entry: Entry) -> bool:
        context = self._context
        overlay = Overlay(context.index)
        reconciler = Reconciler(overlay)
        clock = context.clock.wall_ns()
        reconciler.integrate(entry, clock)
        dots = [entry.dot]
        if (delete := self._delete_of_a_rename(entry)) is not None:
            reconciler.integrate(delete, clock)
            dots.append(delete.dot)
        changes = [self._change(path, after) for path, (_, after) in overlay.changes().items()]
        todo = plan([c for c in changes if not context.rules.ignores(c.path)], context.tree.is_staged)
        if todo.unlooked:
            for path in todo.unlooked:
                self._look_again(path, context.now)
            self._park(entry, "it is not known what the disk holds there")
            return False
        if todo.needs:
            for needed in todo.needs:
                self._stage_or_want(needed, entry)
            return False
        outcomes = context.tree.apply(todo.steps)
        if outcomes and not isinstance(outcomes[-1], Applied):
            residue = self._after_a_failure(entry, todo.steps, outcomes)
            if residue is None:
                return False
            outcomes = [*outcomes[:-1], Applied(residue, None, None)]
        self._record(overlay, changes, outcomes, dots)
        return True

    def _change(self, path: Path, after: Entry | None) -> Change:
        row = self._context.index.row(path)
        is_absent = path in self._context.residues or row is None
        return Change(path, None if is_absent or row is None else row.entry, row.stat if row else None, after)

    def _record(self, overlay: Overlay, changes: list[Change], outcomes: list[Outcome], dots: list[Dot]) -> None:
        context = self._context
        overlay.commit()
        for change in changes:
            if change.after is None:
                continue
            if not change.is_live:
                context.index.set_stat(change.path, None, None)
                if change.was_live and change.before is not None and change.before.is_live:
                    self._brake.record(1, context.now)
            elif change.is_structural and context.rules.ignores(change.path):
                context.index.set_stat(change.path, None, None)
            else:
                self.styler.later(change.path)
        for outcome in outcomes:
            if isinstance(outcome, Applied):
                if outcome.stat is not None:
                    context.index.set_stat(outcome.path, outcome.stat, outcome.attributes)
                context.count("steps_applied")
                if outcome.displaced is not None:
                    self._look_again(outcome.displaced, context.now)
        context.is_applied |= bool(outcomes)
        for dot in dots:
            self._forget(dot)
        for change in changes:
            context.problems.clear("apply", change.path)
            self.wake_path(change.path)

    def _delete_of_a_rename(self, entry: Entry) -> Entry | None:
        """The pending delete of the name under which the content of ``entry`` is here: then the file is moved."""
        context = self._context
        here = context.index.entry(entry.path)
        if entry.kind != Kind.FILE or entry.content is None or (here is not None and here.is_live):
            return None
        for row in context.index.by_content(entry.content, SAME_CONTENT_MAX):
            for pending in context.index.pending_at(row.entry.path):
                is_old_name = covers(dict(entry.carried), row.entry.dot)
                if is_old_name and not pending.is_live and pending.has_seen(row.entry) and pending.dot not in self.held:
                    return pending
        return None

    def _stage_or_want(self, needed: Entry, entry: Entry) -> None:
        """Stage a content from the file here that has it, else have it fetched."""
        context, digest = self._context, needed.content or b""
        rows = [row for row in context.index.by_content(digest, 1) if row.stat is not None]
        if not rows:
            self._want(needed if needed.dot == entry.dot else entry)
            return
        if digest in self._copying:
            return
        path, stat = rows[0].entry.path, rows[0].stat
        assert stat is not None
        if covers(dict(entry.carried), rows[0].entry.dot) and self._waits_for_its_delete(entry):
            return
        self._copying.add(digest)

        def done(result: object) -> None:
            self._copying.discard(digest)
            if result is True:
                self._candidates.add(entry)
            else:
                self._look_again(path, context.now)
                self._park(entry, f"its content could not be copied from {printable(path)}")
            # A staged content is placed once. Whoever else wants it has it copied again: one after the other.
            self.wake(context.index.pending_with_content(digest, 2))

        context.workers.submit(lambda: context.tree.stage_copy(digest, path, stat, needed.sparse), done)

    def _waits_for_its_delete(self, entry: Entry) -> bool:
        """What looks like a renamed file is moved, not copied, if the delete of its old name comes soon."""
        now = self._context.now
        since = self._renamed.setdefault(entry.dot, now)
        if now - since >= RENAME_SECONDS:
            return False
        self._parked[entry.dot] = (since + RENAME_SECONDS, 0)
        return True

    def drop_collected(self, path: Path, known: Vector) -> bool:
        """Remove what a full exchange showed to be deleted; False if the disk has moved on."""
        context = self._context
        overlay = Overlay(context.index)
        Reconciler(overlay).drop_collected(path, known)
        changes = [self._change(each, after) for each, (_, after) in overlay.changes().items()]
        todo = plan([c for c in changes if not context.rules.ignores(c.path)], context.tree.is_staged)
        if todo.unlooked or todo.needs:
            return False
        outcomes = context.tree.apply(todo.steps)
        if outcomes and not isinstance(outcomes[-1], Applied):
            return False
        self._record(overlay, changes, outcomes, [])
        return True

    # -- when the disk says no -----------------------------------------------------------------------

    def _after_a_failure(self, entry: Entry, steps: list[Step], outcomes: list[Outcome]) -> Path | None:
        """Undo what would look like a user's act, then retry later; gives a directory that stays as a residue."""
        context, last = self._context, outcomes[-1]
        if isinstance(last, NotEmpty) and last.path == steps[-1].path and self._is_residue(last.path):
            context.residues.add(last.path)
            context.index.add_residue(last.path)
            return last.path
        undo: list[Step] = []
        for step, outcome in zip(steps, outcomes[:-1], strict=False):
            if isinstance(outcome, Applied) and isinstance(step, Keep):
                undo.append(Remove(step.to, outcome.stat, Kind.FILE))
                self._look_again(step.path, context.now)
            elif isinstance(outcome, Applied) and isinstance(step, MakeDirectory):
                undo.append(Remove(step.path, outcome.stat, Kind.DIRECTORY))
        for step in reversed(undo):
            context.tree.apply([step])
        context.is_applied = True
        if isinstance(last, Failed):
            self._park(entry, last.reason, path=last.path, is_shown=True)
            if last.is_resource:
                self._paused_until = context.now + 1.0
        else:
            reason = last.reason if isinstance(last, Stale) else "the directory still holds something"
            self._look_again(last.path, context.now)
            self._park(entry, reason, path=last.path)
        return None

    def _is_residue(self, path: Path) -> bool:
        """Whether only what is not replicated is left in a directory; anything else is marked to be looked at."""
        listing = self._context.scanner.list_directory(path)
        if not isinstance(listing, Listing):
            return False
        names = [name for name, _ in listing.children]
        unknown = [
            child
            for child in (path + b"/" + name for name in names)
            if child not in self._context.residues
            and not self._context.rules.ignores(child)
            and not self._context.rules.ignores(child, is_directory=True)
        ]
        for child in unknown:
            self._look_again(child, self._context.now)
        return not unknown

    def _park(self, entry: Entry, reason: str, *, path: Path = b"", is_shown: bool = False) -> None:
        context = self._context
        _, tries = self._parked.get(entry.dot, (0.0, 0))
        delay = min(0.02 * 2**tries, RETRY_SECONDS_MAX)
        self._parked[entry.dot] = (context.now + delay, min(tries + 1, 20))
        log.debug("parked %s: %s", printable(entry.path), reason)
        if is_shown or tries >= 6:
            context.problems.add(
                "apply",
                f"cannot be applied: {reason}",
                remedy="it is tried again; see to the cause",
                path=path or entry.path,
                is_blocking=True,
                wall_ns=context.clock.wall_ns(),
            )

    # -- the brake at the receiver ----------------------------------------------------------------------

    def _hold_a_mass_of_deletes(self) -> None:
        """All deletes that are known so far are judged together."""
        context = self._context
        fresh = [dot for dot in self._candidates.deletes() if dot not in self._judged]
        if not fresh:
            return
        self._judged.update(fresh)
        entries = [e for dot in fresh if (e := context.index.pending_entry(dot)) is not None]
        deletes = [e.dot for e in entries if not covers(self._released_up_to, e.dot) and self._removes_something(e)]
        if not self._brake.allows(len(deletes), context.index.live_count, context.now):
            self.held.update(deletes)
            log.warning("volume %s: %d deletes from peers are held", context.options.name, len(deletes))

    def _removes_something(self, tombstone: Entry) -> bool:
        """Whether the delete takes away what is here, and is no half of a rename."""
        index = self._context.index
        here = index.entry(tombstone.path)
        if here is None or not here.is_live or not tombstone.has_seen(here):
            return False
        if here.kind != Kind.FILE or here.content is None:
            return True
        candidates = [row.entry for row in index.by_content(here.content, SAME_CONTENT_MAX)]
        candidates += index.pending_with_content(here.content, SAME_CONTENT_MAX)
        return not any(e.path != here.path and covers(dict(e.carried), here.dot) for e in candidates)
