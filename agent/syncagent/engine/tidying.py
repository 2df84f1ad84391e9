"""Drops what nobody needs any more: tombstones that all have applied, rests in staging, members that are long gone."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from syncagent.engine.volume import Volume

log = logging.getLogger("syncagent.engine")

EVERY_SECONDS = 10.0
SWEEP_SECONDS = 0.5
"""So long after the last change, staging is cleared: an idle volume has no directory of the agent's."""


class Tidier:
    """When to tidy one volume."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._due = volume.context.now + EVERY_SECONDS
        self._sweep_due: float | None = None

    def next_due(self) -> float:
        """When ``run`` has something to do."""
        return self._due if self._sweep_due is None else min(self._due, self._sweep_due)

    def applied(self) -> None:
        """Something was applied: staging may hold a rest of it."""
        self._sweep_due = self._volume.context.now + SWEEP_SECONDS

    def run(self) -> None:
        """Do what is due."""
        now = self._volume.context.now
        if self._sweep_due is not None and now >= self._sweep_due:
            self._sweep_due = None if self._sweep() else now + SWEEP_SECONDS
        if now >= self._due:
            self._due = now + EVERY_SECONDS
            self._tidy()
            self._sweep()

    def _sweep(self) -> bool:
        """Clear staging, if nothing is wanted and all is quiet; False to try again soon."""
        volume = self._volume
        context = volume.context
        if context.halt or context.index.pending_count:
            return True  # whoever applies the rest will sweep
        if len(volume.fetcher) or not volume.is_quiet() or not volume.identity.check():
            return False
        try:
            context.tree.unstage(None)
        except OSError as error:
            log.warning("volume %s: staging cannot be cleared: %s", context.options.name, error.strerror or error)
        return True

    def _tidy(self) -> None:
        volume = self._volume
        context, index, membership = volume.context, volume.context.index, volume.membership
        members = index.members()
        membership.look_for_namesakes()
        membership.retire_the_long_silent()
        if index.members() != members:
            volume.tell_members()
        volume.fetcher.drop_unwanted()
        if context.halt or not volume.is_quiet():
            return
        if index.pending_count and not len(volume.fetcher):
            volume.applier.sweep()
        others = [membership.applied_of(member.incarnation) for member in membership.others()]
        if context.reconciler.collect(others):
            context.is_changed = True
        if not index.pending_count and not len(volume.fetcher):
            index.prune_manifests()
