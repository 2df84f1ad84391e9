"""What a person can order a volume to do: forget a member, release or revert held deletes; and what follows of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from syncagent.core.detect import creations_first, deletions_first
from syncagent.engine.problems import printable
from syncproto.model import Entry, Member
from syncproto.version import covers, merge

if TYPE_CHECKING:
    from syncagent.engine.volume import Volume

log = logging.getLogger("syncagent.engine")

NOBODY_HAS_IT_SECONDS = 5.0


def forget(volume: Volume, member: Member) -> None:
    """The member will not come back: nothing waits for it any more."""
    volume.membership.retire(member)
    volume.tell_members()


def release(volume: Volume) -> int:
    """Apply the held deletes; gives their number."""
    context, lookout, applier = volume.context, volume.lookout, volume.applier
    local = deletions_first(lookout.departures.held)
    for path in local:
        lookout.departures.unhold(path)
        lookout.departures.delete(path)
    count = len(local) + len(applier.holding.held)
    released = volume.membership.released
    for dot in applier.holding.held | {(context.index.origin, context.index.counter)}:
        released = merge(released, dict([dot]))
    volume.membership.set_released(released)
    applier.release_up_to(released)
    volume.brake.forgive()
    volume.remote_brake.forgive()
    volume.tell_members()
    context.is_changed = True
    return count


def release_when_due(volume: Volume) -> None:
    """Apply held deletes after ``release_after`` without a person's word, where the volume is configured so."""
    context, patience = volume.context, volume.context.options.release_after
    if not volume.lookout.departures.held and not volume.applier.holding.held:
        volume.held_since = None
    elif volume.held_since is None:
        volume.held_since = context.now
    elif patience is not None and context.now - volume.held_since >= patience:
        log.warning("volume %s: held deletes are applied after %.0f s", context.options.name, patience)
        release(volume)


def revert(volume: Volume) -> int:
    """Bring back what was deleted here from those who have it, and answer a peer's deletes with what is here."""
    context, lookout, applier = volume.context, volume.lookout, volume.applier
    local = creations_first(lookout.departures.held)
    for path in local:
        lookout.departures.unhold(path)
        entry = context.index.entry(path)
        if entry is not None and entry.is_live:
            context.index.drop(path)
            context.index.put_pending(entry)
            applier.wake([entry])
    dots = sorted(applier.holding.held)
    applier.holding.held.clear()
    for dot in dots:
        entry = context.index.pending_entry(dot)
        if entry is not None:
            context.reconciler.give_up(entry)
            applier.styler.later(entry.path)
    context.is_changed = True
    return len(local) + len(dots)


def see_to_the_unobtainable(volume: Volume) -> None:
    """A content that nobody has any more is let go where it would lose, given up where its holder was forgotten.

    Until then it is a problem.
    """
    context, now = volume.context, volume.context.now
    dots = [dot for want in volume.fetcher.unobtainable() for dot in sorted(want.dots)]
    entries = [entry for dot in dots if (entry := context.index.pending_entry(dot)) is not None]
    for path in set(volume.lost_contents) - {entry.path for entry in entries}:
        del volume.lost_contents[path]
        context.problems.clear("content-lost", path)
    if not all(volume.membership.is_connected(member.incarnation) for member in volume.membership.others()):
        return
    for entry in entries:
        since = volume.lost_contents.setdefault(entry.path, now)
        if now - since >= NOBODY_HAS_IT_SECONDS:
            _nobody_has(volume, entry)


def _nobody_has(volume: Volume, entry: Entry) -> None:
    context = volume.context
    name, path = context.options.name, printable(entry.path)
    if context.reconciler.let_go(entry):
        log.info("volume %s: a version of %s that was replaced is let go: no member has it", name, path)
    elif _died_with_its_holder(volume, entry):
        log.warning("volume %s: the content of %s died with its holder and is given up", name, path)
        context.reconciler.give_up(entry)
    else:
        context.problems.add(
            "content-lost",
            "no member has the content of this version any more",
            remedy="bring back the replica that wrote it, or change the file again on any replica",
            path=entry.path,
            is_blocking=True,
            wall_ns=context.clock.wall_ns(),
        )
        return
    volume.applier.styler.later(entry.path)
    context.is_changed = True


def _died_with_its_holder(volume: Volume, entry: Entry) -> bool:
    """Whether its writer is off the list, and nobody may still have it.

    Who has it and is not connected here would have told it to those who are: they lack it, or are still fetching it.
    """
    views = volume.context.views.values()
    if any(view.state is None or view.state.is_held for view in views):
        return False
    others = [member.incarnation for member in volume.membership.others()]
    if entry.origin in (*others, volume.context.index.origin):
        return False
    if all(view.state is not None and covers(view.state.applied, entry.dot) for view in views):
        return True
    asked = {view.incarnation for view in views}
    return not any(covers(volume.membership.applied_of(each), entry.dot) for each in others if each not in asked)
