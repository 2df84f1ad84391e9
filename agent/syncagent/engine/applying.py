"""Resolves pending entries: decides on an overlay, has the disk follow, and only then writes the decision down.

A unit is one entry (or the two of a rename) with all that its decision changes. If the disk has moved on, the overlay
is dropped: nothing was decided, the path is looked at again, and the entry stays pending.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from syncagent.core.brake import Brake
from syncagent.core.ignore import IGNORE_FILE
from syncagent.core.plan import Step
from syncagent.core.reconcile import Reconciler
from syncagent.core.state import Overlay
from syncagent.core.transition import Change, plan
from syncagent.engine.candidates import Candidates
from syncagent.engine.context import SAME_CONTENT_MAX, Context
from syncagent.engine.failing import give_back_residues, is_residue, undo
from syncagent.engine.holding import Holding
from syncagent.engine.problems import printable, split
from syncagent.engine.racing import RACY_SECONDS
from syncagent.engine.ruling import applied_here, is_change_ignored, is_ignored
from syncagent.engine.sourcing import Sourcer
from syncagent.engine.styling import Styler
from syncagent.ports import Applied, Failed, NotEmpty, Outcome, Stale
from syncproto.model import Entry, Kind, Path
from syncproto.version import Dot, Vector

log = logging.getLogger("syncagent.engine")

UNITS_PER_TURN = 256
PATIENCE_SECONDS = 2.0
RETRY_SECONDS_MAX = 10.0
RESOURCE_SECONDS_MAX = 2.0
"""A full disk and the like stop all for a second at a time: what was refused then need not wait long."""
LOOK_SECONDS_MAX = 2.0
"""So often what a look may explain is tried again."""


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
        self._want = want
        self._look_again = look_again
        self._candidates = Candidates()
        self._waiting: dict[Dot, float] = {}
        self._parked: dict[Dot, float] = {}
        self._tries: dict[Dot, int] = {}
        self._shown: dict[Dot, Path] = {}
        self.holding = Holding(context, brake)
        self._sourcer = Sourcer(
            context,
            want=want,
            look_again=look_again,
            wake=self.wake,
            park_until=self._park_until,
            park=self._park,
        )
        self.styler = Styler(context, look_again)
        self._paused_until = 0.0
        self._woken_at = 0
        self._progressed_at = 0.0
        self.rules_changed: Callable[[], None] = lambda: None
        """Called when the file with the rules of what is ignored was changed or removed here."""

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
        index = self._context.index
        for entry in index.pending_at(path):
            self._parked.pop(entry.dot, None)
            self._candidates.add(entry)
        if index.pending_count and (here := index.entry(path)) is not None and here.kind == Kind.FILE:
            self._wake_next(here)

    def _wake_next(self, resolved: Entry) -> None:
        """Of those who want one content only some are woken when it is at hand: each that is resolved wakes the next.

        However it was resolved, a look at the disk included: else a chain of copies ends there.
        """
        if resolved.content is not None:
            self.wake(self._context.index.pending_with_content(resolved.content, 2))

    def wake_everything(self) -> None:
        """Look at all that is pending."""
        self._forget_resolved()
        self._parked.clear()
        self.wake(self._context.index.pending())

    def is_idle(self) -> bool:
        """Whether nothing can be done before something new happens."""
        return not self._candidates and self.styler.is_idle()

    def next_due(self) -> float | None:
        """When there is something to do next."""
        due = min(self._parked.values(), default=None) if self.is_idle() else self._context.now
        return None if due is None else max(due, self._paused_until)

    def release_up_to(self, released: Vector) -> None:
        """A person released deletes, here or elsewhere: those at or below the vector pass."""
        self._candidates.add_dots(self.holding.release_up_to(released), is_live=False)

    def release(self, dots: Iterable[Dot]) -> int:
        """A person released these deletes, here alone; gives their number."""
        freed = [dot for dot in dots if dot in self.holding.held]
        self.holding.held.difference_update(freed)
        self._candidates.add_dots(freed, is_live=False)
        return len(freed)

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
            self.holding.judge(self._candidates.deletes())
            dots = self._candidates.take_deletes(UNITS_PER_TURN)
        for dot in dots:
            entry = context.index.pending_entry(dot)  # it may have been resolved along with another
            if entry is None:
                self._forget(dot)
            elif context.halt is None:
                progress |= self._resolve(entry)
        if progress:
            context.is_changed = True
            self._progressed_at = now
        is_open = self._waiting or self.holding.held
        if not self._candidates and is_open and self._woken_at != context.index.sequence:
            self._woken_at = context.index.sequence  # something was resolved, here or by a look
            self._forget_resolved()
            waiting = [e for dot in self._waiting if (e := context.index.pending_entry(dot)) is not None]
            self.wake(waiting)
        self.styler.run()
        return bool(dots)

    def _wake_parked(self, now: float) -> None:
        if not self._parked:
            return
        for dot in [dot for dot, when in self._parked.items() if when <= now]:
            del self._parked[dot]
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
            context.problems.clear("apply", current.path)
            self._wake_next(current)
            return True
        if current.dot in self.holding.held:
            return False
        if self._waits_for_children(current):
            return False
        is_at_hand = self._is_never_needed if is_ignored(context, current) else context.tree.is_staged
        if not context.reconciler.is_ready(current, is_at_hand):
            if current.kind == Kind.FILE:
                if not self._sourcer.stage_kept(current):
                    self._want(current)
            else:
                self._waiting.setdefault(current.dot, context.now)
                if current.content is not None:  # half of a rename waits for the other
                    self.wake(context.index.pending_with_content(current.content, SAME_CONTENT_MAX))
            return False
        return self._integrate(current)

    def _is_never_needed(self, digest: bytes) -> bool:
        """An entry that is ignored is only relayed: it waits for no content, which perhaps no neighbour has."""
        return True

    def _forget_resolved(self) -> None:
        for dot in [*self._shown, *self.holding.held]:
            if self._context.index.pending_entry(dot) is None:
                self._forget(dot)

    def _forget(self, dot: Dot) -> None:
        self._waiting.pop(dot, None)
        self._parked.pop(dot, None)
        self._tries.pop(dot, None)
        if (path := self._shown.pop(dot, None)) is not None:  # it may have been resolved by a look
            self._context.problems.clear("apply", path)
        self._sourcer.forget(dot)
        self.holding.forget(dot)

    def _waits_for_children(self, entry: Entry) -> bool:
        """What takes the place of a directory waits for the deletes of all that is in it, which are known already.

        Otherwise the directory would be revived for children that are about to go. A delete may wait as long as theirs
        do. A file may not: their deletes may wait for its content, and then, when nothing moves, the rules decide.
        """
        index, now = self._context.index, self._context.now
        if entry.kind == Kind.DIRECTORY or not index.has_live_below(entry.path):
            return False
        since = max(self._waiting.get(entry.dot, now), self._progressed_at)
        if entry.is_live and now - since > PATIENCE_SECONDS:
            return False
        for path in index.live_below(entry.path):
            here = index.entry(path)
            if here is None or not any(not p.is_live and p.has_seen(here) for p in index.pending_at(path)):
                return False
        self._waiting.setdefault(entry.dot, now)
        if entry.is_live:
            self._park_until(entry, since + PATIENCE_SECONDS + 0.01)
        return True

    # -- a unit ------------------------------------------------------------------------------------

    def _integrate(self, entry: Entry) -> bool:
        context = self._context
        overlay = Overlay(context.index)
        reconciler = Reconciler(overlay)
        clock = context.clock.wall_ns()
        reconciler.integrate(entry, clock)
        dots = [entry.dot]
        if (delete := self._sourcer.delete_of_a_rename(entry, self.holding.held)) is not None:
            reconciler.integrate(delete, clock)
            dots.append(delete.dot)
        changes = [self._change(path, after) for path, (_, after) in overlay.changes().items()]
        if give_back_residues(context, self._look_again, changes):
            self._park(entry, "a directory that stayed there is looked at first")
            return False
        todo = plan(applied_here(context, changes), context.tree.is_staged)
        if todo.unlooked:
            for path in todo.unlooked:
                self._look_again(path, context.now)
            self._park(entry, "it is not known what the disk holds there")
            return False
        if todo.needs:
            for needed in todo.needs:
                self._sourcer.stage_or_want(needed, entry)
            return False
        if self._is_racy(changes):
            self._park_until(entry, context.now + RACY_SECONDS)
            return False
        outcomes = context.tree.apply(todo.steps)
        if outcomes and not isinstance(outcomes[-1], Applied):
            residue = self._after_a_failure(entry, todo.steps, outcomes)
            if residue is None:
                context.history.half_applied(changes, outcomes)
                return False
            outcomes = [*outcomes[:-1], Applied(residue, None, None)]
        self._record(overlay, changes, outcomes, dots)
        return True

    def _is_racy(self, changes: list[Change]) -> bool:
        """Whether a file would be displaced that may have changed without a trace: it is read again first."""
        here = applied_here(self._context, changes)
        racy = [c.path for c in here if c.is_structural and c.was_live and c.path in self._context.races]
        for path in racy:  # its look may have been passed over, while it was ignored
            self._look_again(path, self._context.now)
        leaving = (c.path for c in here if c.was_live and c.after is not None and c.after.is_live)
        return bool(racy) or any(path in self._context.departing for path in leaving)

    def _change(self, path: Path, after: Entry | None) -> Change:
        row = self._context.index.row(path)
        is_absent = path in self._context.residues or row is None
        return Change(path, None if is_absent or row is None else row.entry, row.stat if row else None, after)

    def _record(self, overlay: Overlay, changes: list[Change], outcomes: list[Outcome], dots: list[Dot]) -> None:
        context = self._context
        overlay.commit()
        context.history.applied(applied_here(context, changes), outcomes)
        for change in changes:
            if change.after is None:
                continue
            if not change.is_live:
                context.index.set_stat(change.path, None, None)
                context.problems.clear_path(change.path)
            elif change.is_structural and is_change_ignored(context, change):
                context.index.set_stat(change.path, None, None)
            else:
                self.styler.later(change.path)
        for outcome in outcomes:
            if isinstance(outcome, Applied):
                if outcome.stat is not None:
                    context.index.set_stat(outcome.path, outcome.stat, outcome.attributes)
                    context.races.wrote(outcome.path, outcome.stat)
                context.count("steps_applied")
                if outcome.displaced is not None:
                    self._look_again(outcome.displaced, context.now)
        context.is_applied |= bool(outcomes)
        for dot in dots:
            self._forget(dot)
        for change in changes:
            context.problems.clear("apply", change.path)
            context.has_new_rules |= change.path == IGNORE_FILE
            self.wake_path(change.path)
        if any(change.path == IGNORE_FILE for change in changes):
            self.rules_changed()

    def sweep(self) -> None:
        """Nothing moves, and something is pending: should a wake-up have been lost, this ends the wait."""
        if self.is_idle():
            self._context.count("sweeps")
            self.wake(self._context.index.pending())

    def drop_collected(self, entry: Entry, known: Vector) -> bool:
        """Remove what a full exchange showed to be deleted; False if the disk has moved on."""
        context = self._context
        overlay = Overlay(context.index)
        Reconciler(overlay).drop_collected(entry, known)
        changes = [self._change(each, after) for each, (_, after) in overlay.changes().items()]
        todo = plan(applied_here(context, changes), context.tree.is_staged)
        if todo.unlooked or todo.needs or self._is_racy(changes):
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
        if (
            isinstance(last, NotEmpty)
            and len(outcomes) == len(steps)  # it is to be gone, not to make room for what would come next
            and is_residue(context, self._look_again, last.path)
        ):
            context.residues.add(last.path)
            context.index.add_residue(last.path)
            return last.path
        undo(context, self._look_again, steps, outcomes[:-1])
        if isinstance(last, Failed) and last.is_resource and context.history.gives_way_to(last.reason):
            self.wake([entry])
        elif isinstance(last, Failed):
            self._park(entry, last.reason, path=last.path, is_shown=True)
            if last.is_resource:
                self._paused_until = context.now + 1.0
                self._parked[entry.dot] = min(self._parked[entry.dot], context.now + RESOURCE_SECONDS_MAX)
        else:
            reason = last.reason if isinstance(last, Stale) else "the directory still holds something"
            self._park(entry, reason, path=last.path, is_looked_at=True)
        return None

    def _park_until(self, entry: Entry, when: float) -> None:
        self._parked[entry.dot] = when

    def _park(
        self, entry: Entry, reason: str, *, path: Path = b"", is_shown: bool = False, is_looked_at: bool = False
    ) -> None:
        context = self._context
        tries = self._tries.get(entry.dot, 0)
        delay = min(0.02 * 2**tries, LOOK_SECONDS_MAX if is_looked_at else RETRY_SECONDS_MAX)
        self._parked[entry.dot] = context.now + delay
        self._tries[entry.dot] = min(tries + 1, 20)
        if is_looked_at:  # not at once a second time: what is found wakes the entry, and that may change nothing
            for each in dict.fromkeys((path or entry.path, entry.path)):  # a half-done move is told from its new name
                self._look_again(each, context.now + (delay if tries else 0.0))
        log.debug("parked %s: %s", printable(entry.path), reason)
        if is_shown or tries >= 6:
            if (shown := self._shown.get(entry.dot)) not in (None, path or entry.path):
                context.problems.clear("apply", shown or b"")
            self._shown[entry.dot] = path or entry.path
            cause, remedy = split(reason, "see to this cause")
            context.problems.add(
                "apply",
                f"cannot be applied: {cause}",
                remedy=f"{remedy}; it is tried again",
                path=path or entry.path,
                is_blocking=True,
                wall_ns=context.clock.wall_ns(),
            )
