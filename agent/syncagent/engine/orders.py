"""What a person can order a volume to do: forget a member, release or revert held deletes; and what follows of it."""

from __future__ import annotations

import logging
from collections.abc import Set
from typing import TYPE_CHECKING

from syncagent.core.detect import creations_first, deletions_first
from syncagent.engine.problems import printable
from syncagent.engine.wayback import is_within
from syncproto.model import Entry, Member, Path
from syncproto.version import Dot, covers, merge

if TYPE_CHECKING:
    from syncagent.engine.volume import Volume

log = logging.getLogger("syncagent.engine")

NOBODY_HAS_IT_SECONDS = 5.0
LOST_SHOWN_MAX = 100
"""So many of the contents that wait for somebody who is away are shown one by one."""


def forget(volume: Volume, member: Member) -> None:
    """The member will not come back: nothing waits for it any more."""
    volume.membership.retire(member)
    volume.tell_members()


def release(volume: Volume, scope: Path = b"") -> int:
    """Apply the held deletes, of what is at or below a path alone if one is given; gives their number."""
    context, lookout, applier = volume.context, volume.lookout, volume.applier
    local = deletions_first(path for path in lookout.departures.held if is_within(path, scope))
    for path in local:
        lookout.departures.unhold(path)
        lookout.departures.delete(path)
    if scope:
        context.is_changed = True
        _let_pass(volume, {(context.index.origin, context.index.counter)} if local else set())
        return len(local) + applier.release(_held_within(volume, scope))
    count = len(local) + len(applier.holding.held)
    _let_pass(volume, applier.holding.held | {(context.index.origin, context.index.counter)})
    volume.brake.forgive()
    volume.remote_brake.forgive()
    context.is_changed = True
    return count


def _let_pass(volume: Volume, dots: Set[Dot]) -> None:
    """Tell everybody that no brake is to hold the deletes up to these."""
    released = volume.membership.released
    for dot in dots:
        released = merge(released, dict([dot]))
    volume.membership.set_released(released)
    volume.applier.release_up_to(released)
    volume.tell_members()


def _held_within(volume: Volume, scope: Path) -> list[Dot]:
    """The held deletes of peers at or below a path."""
    pending = volume.context.index.pending_entry
    held = sorted(volume.applier.holding.held)
    return [dot for dot in held if (entry := pending(dot)) is not None and is_within(entry.path, scope)]


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


def revert(volume: Volume, scope: Path = b"") -> int:
    """Bring back what was deleted here from those who have it, and answer a peer's deletes with what is here.

    Of what is at or below a path alone, if one is given.
    """
    context, lookout, applier = volume.context, volume.lookout, volume.applier
    # Peers first: what answers them is what the index still has, and that comes back by the second half.
    dots = _held_within(volume, scope)
    for dot in dots:
        applier.holding.held.discard(dot)
        entry = context.index.pending_entry(dot)
        if entry is not None:
            context.reconciler.give_up(entry)
            applier.styler.later(entry.path)
    local = creations_first(path for path in lookout.departures.held if is_within(path, scope))
    for path in local:
        lookout.departures.unhold(path)
        entry = context.index.entry(path)
        if entry is not None and entry.is_live:
            context.index.drop(path)
            context.index.put_pending(entry)
            applier.wake([entry])
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
    away = [each for each in volume.membership.others() if not volume.membership.is_connected(each.incarnation)]
    for entry in entries[:LOST_SHOWN_MAX] if away else entries:
        since = volume.lost_contents.setdefault(entry.path, now)
        if now - since >= NOBODY_HAS_IT_SECONDS:
            if away:
                _somebody_may_have(volume, entry, away)
            else:
                _nobody_has(volume, entry)


def _somebody_may_have(volume: Volume, entry: Entry, away: list[Member]) -> None:
    """It waits for whoever has it to come back, or for a person to say that nobody will."""
    context, membership = volume.context, volume.membership
    names, incarnations = membership.names(), [member.incarnation for member in away]
    holders = [i for i in incarnations if i == entry.origin or covers(membership.applied_of(i), entry.dot)]
    listed = ", ".join(names[incarnation] for incarnation in holders or incarnations)
    context.problems.add(
        "content-lost",
        f"no connected member has the content of this version; not connected, and may have it: {listed}",
        remedy=f"bring it back, or run 'syncctl forget' for {listed} if it is gone for ever: what is here then stands",
        path=entry.path,
        is_blocking=True,
        wall_ns=context.clock.wall_ns(),
    )


def _nobody_has(volume: Volume, entry: Entry) -> None:
    context = volume.context
    name, path = context.options.name, printable(entry.path)
    if context.reconciler.let_go(entry):
        log.info("volume %s: a version of %s that was replaced is let go: no member has it", name, path)
    elif entry.origin == context.index.origin:
        log.warning("volume %s: %s was deleted before anybody had it, and cannot be brought back", name, path)
        if context.index.entry(entry.path) is None:
            volume.lookout.departures.stands(entry)
        else:
            context.reconciler.give_up(entry)
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
