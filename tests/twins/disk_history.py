"""The in-memory twin of the store of what was replaced or removed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from syncagent.core.chunking import describe, digest_of
from syncagent.disk.stat import kind_of
from syncagent.ports import KeptFile, Late, Observation, Recovered
from syncproto.model import Kind, Path
from twins.disk import MemoryVolume
from twins.disk_staging import MemoryStaging
from twins.inode import Node


@dataclass(frozen=True)
class Kept:
    """One thing in the store."""

    path: Path
    at_ns: int
    node: Node


class MemoryHistory(MemoryStaging, ABC):
    """The history's calls of the port ``Tree``. Nobody writes late here: who has a file open keeps it in its place."""

    def __init__(self, volume: MemoryVolume, keep_bytes: int | None) -> None:
        super().__init__(volume)
        self._keep_bytes = keep_bytes

    @abstractmethod
    def _require_usable(self) -> None:
        """Raise ``OSError`` where nothing can be staged."""

    def _displace(self, path: Path, node: Node) -> tuple[bytes, int]:
        """Take a leaf away from its path: into the store, unless it has another name or is too large."""
        volume = self._volume
        is_file = kind_of(node.mode) == Kind.FILE
        if self._keep_bytes is None or len(node.data) > self._keep_bytes or is_file and node.links > 1:
            volume.delete(path)
            return b"", 0
        volume.detach(path)
        volume.kept_drawn += 1
        name = b"%d.%s" % (volume.kept_drawn, path.replace(b"/", b"%2F"))
        volume.kept[name] = Kept(path, volume.wall_ns(), node)
        return name, len(node.data)

    def recover_kept(self, known: Collection[bytes]) -> Recovered:
        """Compare the store with the names that are known of it."""
        self._require_usable()
        there = self._volume.kept
        found = [KeptFile(name, kept.path, kept.at_ns, len(kept.node.data)) for name, kept in sorted(there.items())]
        return Recovered(tuple(file for file in found if file.name not in known), frozenset(known) - set(there))

    def take_late(self) -> list[Late]:
        """Nothing is ever late here."""
        return []

    def examine_kept(self, name: bytes) -> Observation | None:
        """Read and hash what is kept under a name."""
        kept = self._volume.kept.get(name)
        if kept is None:
            return None
        node, kind = kept.node, kind_of(kept.node.mode)
        assert kind is not None
        if kind == Kind.SYMLINK:
            return Observation(kept.path, kind, node.stat, node.attributes, node.data)
        digest, manifest = describe(node.data)
        return Observation(kept.path, kind, node.stat, node.attributes, digest, manifest, node.sparse)

    def read_kept(self, name: bytes, offset: int, length: int) -> bytes | None:
        """Bytes of a kept file for a peer, None if it is not there."""
        kept = self._volume.kept.get(name)
        return None if kept is None else kept.node.data[offset : offset + length]

    def stage_kept(self, digest: bytes, name: bytes, sparse: bool, count: int = 1) -> bool:
        """Stage a content by copying what is kept; False if that is not there, or is another content by now."""
        self._require_room()
        kept = self._volume.kept.get(name)
        if kept is None or kind_of(kept.node.mode) != Kind.FILE or digest_of(kept.node.data) != digest:
            return False
        if digest not in self._verified:
            self._volume.trouble.require("read")
            self._volume.trouble.require_room(len(kept.node.data) * count)
            self._admit(digest, kept.node.data)
            self._volume.staged[digest].sparse = sparse and kept.node.sparse
            self._spares[digest] = count - 1
        return True

    def drop_kept(self, names: Sequence[bytes]) -> list[Late]:
        """Keep these no longer."""
        self._require_usable()
        for name in names:
            self._volume.kept.pop(name, None)
        return []
