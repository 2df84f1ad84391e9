"""The only door through which a peer's wish touches a volume."""

from __future__ import annotations

from syncagent.tree.counters import TreeCounters
from syncagent.tree.volume import VolumeTree

__all__ = ["TreeCounters", "VolumeTree"]
