"""What a person can order a volume to do: forget a member, release or revert held deletes; and what follows of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from syncagent.core.detect import creations_first, deletions_first
from syncagent.engine.problems import printable
from syncproto.model import Kind, Member
from syncproto.version import merge

if TYPE_CHECKING:
    from syncagent.engine.volume import Volume
    from syncagent.engine.wants import Want

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
    """A content that nobody has any more is given up once its holder was forgotten; until then it is a problem."""
    context, now = volume.context, volume.context.now
    wants = volume.fetcher.unobtainable()
    for path in set(volume.lost_contents) - {want.path for want in wants}:
        del volume.lost_contents[path]
        context.problems.clear("content-lost", path)
    for want in wants:
        volume.applier.wake_files(want.dots)  # a loser needs it no longer once its copy is known here
    if not wants or not _all_are_asked(volume):
        return
    for want in wants:
        since = volume.lost_contents.setdefault(want.path, now)
        if now - since >= NOBODY_HAS_IT_SECONDS:
            _nobody_has(volume, want)


def _all_are_asked(volume: Volume) -> bool:
    """Whether every member is connected and has looked at its own disk."""
    views = volume.context.views.values()
    connected = {view.incarnation for view in views}
    if not all(member.incarnation in connected for member in volume.membership.others()):
        return False
    return all(view.state is not None and not view.state.is_held for view in views)


def _nobody_has(volume: Volume, want: Want) -> None:
    context = volume.context
    present = {member.incarnation for member in volume.membership.others()}
    for dot in sorted(want.dots):
        entry = context.index.pending_entry(dot)
        if entry is None or entry.kind != Kind.FILE:
            continue
        if entry.origin not in present and entry.origin != context.index.origin:
            log.warning(
                "volume %s: the content of %s died with its holder and is given up",
                context.options.name,
                printable(entry.path),
            )
            context.reconciler.give_up(entry)
            volume.applier.styler.later(entry.path)
            context.is_changed = True
            continue
        context.problems.add(
            "content-lost",
            "no member has the content of this version any more",
            remedy="bring back the replica that wrote it, or change the file again on any replica",
            path=want.path,
            is_blocking=True,
            wall_ns=context.clock.wall_ns(),
        )
