"""The index may lag behind the disk, never lead it: looked at after each commit that is to outlast a power cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from syncagent.core.chunking import digest_of
from syncagent.core.plan import StatKey
from syncagent.disk.stat import kind_of
from syncproto.model import Entry, Kind, Path
from twins.disk import MemoryVolume, Node

if TYPE_CHECKING:
    from simulation.machine import Machine


class AheadOfDisk(AssertionError):
    """The index says for good what a power cut would undo on the disk."""


def check_rows(machine: Machine, written: Mapping[Path, bool]) -> None:
    """Raise ``AheadOfDisk`` if a committed row at one of these paths is true of the disk, and not durably so.

    What was never known to be there may come back: then nobody has noticed its delete either.
    """
    volume, saved = machine.volume, machine.index_disk.saved
    if not volume.is_writable and not volume.is_read_only:
        return
    for path in sorted(written):
        entry, (stat, _) = saved["_entries"].get(path), saved["seen"].get(path, (None, None))
        if entry is None or machine.ignores(path):
            continue
        node, left = volume.look(path), volume.durable.find(volume.root, path)
        if not entry.is_live:
            is_ahead = written[path] and node is None and left is not None and kind_of(left.mode) is not None
        else:
            is_seen = node is not None and stat is not None and _is_of(stat, node) and _holds(entry, node)
            is_ahead = is_seen and node is not None and not _is_safe(volume, node, left)
        if is_ahead:
            raise AheadOfDisk(f"{machine.name} committed {path!r} ({entry.kind.name}) before it was durable")


def _is_of(stat: StatKey, node: Node) -> bool:
    """Whether the row is of this very state of the inode."""
    if node.is_directory:
        return (stat.inode, stat.mode, stat.uid, stat.gid) == (node.inode, node.mode, node.uid, node.gid)
    return stat == node.stat


def _holds(entry: Entry, node: Node) -> bool:
    """A coarse clock gives two contents the same times."""
    return entry.kind != Kind.FILE or entry.content == digest_of(node.data)


def _is_safe(volume: MemoryVolume, node: Node, left: Node | None) -> bool:
    if left is not node or node.safe_style is None:
        return False
    if node.is_directory:
        return node.safe_style[:3] == node.style[:3]
    return node.safe_data == node.data and node.safe_style == node.style
