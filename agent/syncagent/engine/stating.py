"""Tells peers what this replica knows and has applied: soon after a change, and as a heartbeat."""

from __future__ import annotations

from collections.abc import Callable

from syncagent.engine.context import Context
from syncagent.engine.membership import NO_DIGEST, Membership
from syncproto.limits import HEARTBEAT_SECONDS
from syncproto.messages import VolumeState

PAUSE_SECONDS = 0.02


class Herald:
    """When the state of one volume is told, and what it says."""

    def __init__(self, context: Context, membership: Membership, is_held_back: Callable[[], bool]) -> None:
        self._context = context
        self._membership = membership
        self._is_held_back = is_held_back
        self._due: float | None = None
        self._sent = 0.0
        self._pending_since: float | None = None

    def soon(self) -> None:
        """Something has changed; several changes within a moment are told at once."""
        if self._due is None:
            self._due = max(self._context.now, self._sent + PAUSE_SECONDS)
        if not self._context.index.pending_count:
            self._pending_since = None
        elif self._pending_since is None:
            self._pending_since = self._context.now

    def next_due(self) -> float:
        """When ``run`` has something to tell."""
        beat = self._sent + HEARTBEAT_SECONDS
        return beat if self._due is None else min(beat, self._due)

    def run(self) -> None:
        """Tell all peers, if it is time."""
        context = self._context
        if context.now < self.next_due():
            return
        self._due, self._sent = None, context.now
        if context.views:
            state = self.message()
            for peer in context.views:
                context.peers.send(peer, state)

    def message(self) -> VolumeState:
        """What this replica knows and has applied, and what it has heard of others."""
        context, index = self._context, self._context.index
        return VolumeState(
            volume=context.id,
            incarnation=index.origin,
            sequence=index.sequence,
            known=index.known,
            applied=index.applied,
            digest=index.digest if not context.halt else NO_DIGEST,
            entries=index.live_count,
            pending=index.pending_count,
            collected=index.collected,
            is_held=self._is_held_back(),
            relayed=self._membership.relayed(),
            clock_ms=max(0, context.clock.wall_ns() // 1_000_000),
        )

    def own_lag_seconds(self) -> float | None:
        """For how long something has been pending here; None if nothing is."""
        return None if self._pending_since is None else round(self._context.now - self._pending_since, 3)
