"""How often the disk was asked to make something durable."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class TreeCounters:
    """Counts since the tree was opened."""

    directory_fsyncs: int = 0
    content_flushes: int = 0
    file_system_syncs: int = 0
    bytes_staged: int = 0
    steps_applied: int = 0
