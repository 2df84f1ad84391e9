"""What is looked after twice a second, whatever happens: the root, the watcher, those who are behind, the clocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncagent.engine.clocks import Clocks
from syncagent.engine.orders import release_when_due, see_to_the_unobtainable
from syncagent.engine.suspending import show_replaced

if TYPE_CHECKING:
    from syncagent.engine.volume import Volume

BEHIND_CODE = "behind"
BEHIND_SECONDS = 10.0
COUNT_SECONDS = 5.0
"""So often it is counted what a slow replica lacks, which takes time where it is much."""


class Rounds:
    """The rounds of one volume."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self.clocks = Clocks(volume.context)
        self._count_due = 0.0

    def go(self) -> None:
        """Look after everything once."""
        volume = self._volume
        volume.identity.check_now_and_then()
        volume.watching.settle(is_quiet=volume.is_quiet())
        see_to_the_unobtainable(volume)
        show_replaced(volume.context)
        release_when_due(volume)
        volume.membership.note_who_is_in_step()
        self.clocks.show()
        self._show_the_slow()

    def _show_the_slow(self) -> None:
        """A replica that is connected and has lacked something for long has a slow disk or link, or much to do."""
        context, membership = self._volume.context, self._volume.membership
        if context.now < self._count_due and not context.problems.has(BEHIND_CODE):
            return
        names = membership.names()
        slow = [
            names[member.incarnation]
            for member in membership.others()
            if membership.is_connected(member.incarnation)
            and not membership.is_halted(member.incarnation)
            and (membership.seconds_out_of_step(member.incarnation) or 0.0) > BEHIND_SECONDS
        ]
        self._count_due = context.now + COUNT_SECONDS
        if not slow:
            context.problems.clear(BEHIND_CODE)
            return
        context.problems.add(
            BEHIND_CODE,
            f"connected, and behind for more than {BEHIND_SECONDS:.0f} s: {', '.join(sorted(slow))}",
            remedy="see 'syncctl problems' there, and its link and disk, unless it has much to take in",
            wall_ns=context.clock.wall_ns(),
        )
