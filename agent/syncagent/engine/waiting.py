"""Barriers: what was on all disks when somebody asked, as a vector that can be waited for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import xxhash

from syncagent.engine.context import Context, PeerView
from syncproto.messages import Barrier, BarrierReply
from syncproto.version import Vector, merge

GRACE_SECONDS = 0.1
"""Within it the watcher has delivered what was written before the barrier."""
RETURN_SECONDS = 3.0
"""For so long a peer whose session ended is waited for."""
HOPS = 8
KEPT_SECONDS = 3600.0


@dataclass(slots=True)
class _Active:
    started: float
    asked_by: str | None
    hops: int
    waiting: set[str] = field(default_factory=set)
    lost: dict[str, float] = field(default_factory=dict)
    """Incarnations whose session ended before they answered, and when: they are asked again if they come back."""
    known: Vector = field(default_factory=dict)
    is_done: bool = False


class Barriers:
    """The barriers that pass through one volume."""

    def __init__(self, context: Context, is_quiet: Callable[[], bool]) -> None:
        self._context = context
        self._is_quiet = is_quiet
        self._active: dict[bytes, _Active] = {}
        self._drawn = 0

    def begin(self) -> bytes:
        """Ask all that can be reached to look at what is dirty and say what they know; gives the barrier's id."""
        self._drawn += 1
        seed = f"{self._context.index.origin}:{self._drawn}:{self._context.clock.wall_ns()}"
        number: bytes = xxhash.xxh64(seed.encode()).digest()
        self._start(number, None, HOPS)
        return number

    def known(self, number: bytes) -> Vector | None:
        """What the barrier found, None while answers are missing. An unknown one is answered with what is known now."""
        active = self._active.get(number)
        if active is None:
            return self._context.index.known
        return active.known if active.is_done else None

    def awaited(self, number: bytes) -> list[str]:
        """The peers whose answers are missing, by name."""
        active = self._active.get(number)
        views = self._context.views
        return sorted(views[peer].name for peer in active.waiting if peer in views) if active else []

    def _start(self, number: bytes, asked_by: str | None, hops: int) -> None:
        context = self._context
        active = self._active[number] = _Active(context.now, asked_by, hops)
        if hops > 0:
            for view in list(context.views.values()):
                if view.peer != asked_by:
                    active.waiting.add(view.peer)
                    context.peers.send(view.peer, Barrier(context.id, number, hops - 1))

    def on_barrier(self, view: PeerView, message: Barrier) -> None:
        """Pass it on and answer; one that came already by another way is answered at once."""
        if message.id in self._active:
            self._context.peers.send(view.peer, BarrierReply(self._context.id, message.id, {}))
        else:
            self._start(message.id, view.peer, message.hops)

    def on_reply(self, view: PeerView, message: BarrierReply) -> None:
        """A peer has looked."""
        active = self._active.get(message.id)
        if active is not None and view.peer in active.waiting:
            active.waiting.discard(view.peer)
            active.known = merge(active.known, message.known)

    def peer_gone(self, view: PeerView) -> None:
        """Its answer will not come in this session."""
        for active in self._active.values():
            if view.peer in active.waiting:
                active.waiting.discard(view.peer)
                active.lost[view.incarnation] = self._context.now

    def peer_up(self, view: PeerView) -> None:
        """It may owe an answer from its last session."""
        for number, active in self._active.items():
            if active.lost.pop(view.incarnation, None) is not None and not active.is_done:
                active.waiting.add(view.peer)
                self._context.peers.send(view.peer, Barrier(self._context.id, number, max(0, active.hops - 1)))

    def next_due(self) -> float | None:
        """When a barrier that waits only for time may be done."""
        times = [a.started + GRACE_SECONDS for a in self._active.values() if not a.is_done and not a.waiting]
        return min(times, default=None)

    def run(self) -> None:
        """Finish the barriers that are complete."""
        context = self._context
        is_quiet: bool | None = None
        for number, active in list(self._active.items()):
            if active.is_done:
                if context.now - active.started > KEPT_SECONDS:
                    del self._active[number]
                continue
            if active.waiting or context.now - active.started < GRACE_SECONDS:
                continue
            if any(context.now - at < RETURN_SECONDS for at in active.lost.values()):
                continue
            is_quiet = self._is_quiet() if is_quiet is None else is_quiet
            if not is_quiet:
                continue
            active.known = merge(active.known, context.index.known)
            active.is_done = True
            if active.asked_by is not None:
                context.peers.send(active.asked_by, BarrierReply(context.id, number, active.known))
