"""Clocks that are far apart: shown, because a wrong one may let the older of two concurrent contents win.

Nothing is lost by it: time only orders what is concurrent.
"""

from __future__ import annotations

from dataclasses import dataclass

from syncagent.engine.context import Context, PeerView
from syncproto.messages import VolumeState

CODE = "clock"
SECONDS_APART = 60.0
REMEDY = "set the clocks, and keep them right by NTP; nothing is lost meanwhile, but the older of two edits may win"


@dataclass(slots=True)
class _Heard:
    """How many seconds a peer's clock was ahead, in its last two messages: one that came late shows too little."""

    name: str
    last: float
    before: float

    @property
    def ahead(self) -> float:
        return min(self.last, self.before, key=abs)


class Clocks:
    """What the peers' clocks show, beside ours."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._heard: dict[str, _Heard] = {}

    def heard(self, view: PeerView, state: VolumeState) -> None:
        """A peer has told its time."""
        if not state.clock_ms:
            return
        ahead = state.clock_ms / 1000 - self._context.clock.wall_ns() / 1e9
        known = self._heard.get(view.peer)
        self._heard[view.peer] = _Heard(view.name, ahead, known.last if known else 0.0)

    def show(self) -> None:
        """Compare; whose clock is wrong can be told where the others agree."""
        context = self._context
        self._heard = {peer: heard for peer, heard in self._heard.items() if peer in context.views}
        apart = [heard for heard in self._heard.values() if abs(heard.ahead) > SECONDS_APART]
        if not apart:
            context.problems.clear(CODE)
            return
        context.problems.add(CODE, self._sentence(apart), remedy=REMEDY, wall_ns=context.clock.wall_ns())

    def _sentence(self, apart: list[_Heard]) -> str:
        aheads = [heard.ahead for heard in apart]
        names = ", ".join(sorted(heard.name for heard in apart))
        if len(apart) == len(self._heard) > 1 and max(aheads) - min(aheads) <= SECONDS_APART:
            return f"this machine's clock is {_offset(-aheads[0])} those of {names}, which agree"
        told = "; ".join(sorted(f"that of {heard.name} is {_offset(heard.ahead)}" for heard in apart))
        return f"clocks are far apart: {told} this machine's"


def _offset(seconds: float) -> str:
    size = abs(seconds)
    unit, name = next((u, n) for u, n in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")) if size >= u)
    return f"{size / unit:.1f} {name} {'ahead of' if seconds > 0 else 'behind'}"
