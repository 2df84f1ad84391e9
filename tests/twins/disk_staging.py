"""The in-memory twin of the staging directory."""

from __future__ import annotations

import errno
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Sequence

from syncagent.core.chunking import chunk_id, chunk_offsets, digest_of, zero_chunk_id
from syncagent.core.plan import StatKey
from syncproto.model import Manifest, Path
from twins.disk import MemoryVolume


class MemoryStaging(ABC):
    """The staging calls of the port ``Tree``."""

    def __init__(self, volume: MemoryVolume) -> None:
        self._volume = volume
        self._verified: set[bytes] = set()
        self._spares: dict[bytes, int] = {}
        self._begun: dict[bytes, Manifest] = {}

    @abstractmethod
    def _require_usable(self) -> None:
        """Raise ``OSError`` where nothing can be staged."""

    def _require_room(self) -> None:
        self._require_usable()
        self._volume.trouble.require("write")
        for is_so, number in ((self._volume.is_read_only, errno.EROFS), (self._volume.is_full, errno.ENOSPC)):
            if is_so:
                raise OSError(number, os.strerror(number))

    def is_staged(self, digest: bytes) -> bool:
        """Whether this content is complete, verified by this process and ready to be placed, once."""
        return digest in self._verified

    def _admit(self, digest: bytes, data: bytes) -> None:
        self._volume.trouble.require("sync")
        self._volume.staged[digest] = node = self._volume.new_node(stat.S_IFREG | 0o600, data)
        self._volume.durable.sync_data(node)
        self._verified.add(digest)

    def stage_whole(self, contents: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """Stage small contents (digest, bytes); gives back the digests that did not verify."""
        self._require_room()
        wrong = [digest for digest, data in contents if digest_of(data) != digest]
        for digest, data in contents:
            if digest not in wrong and digest not in self._verified:
                self._volume.trouble.require_room(len(data))
                self._admit(digest, data)
        return wrong

    def stage_copy(self, digest: bytes, path: Path, stat: StatKey, sparse: bool, count: int = 1) -> bool:
        """Stage copies of a content from a file of the volume; False if the file is no longer that."""
        self._require_room()
        node = self._volume.look(path)
        if node is None or node.stat != stat:
            return False
        if digest not in self._verified:
            self._volume.trouble.require("read")
            if digest_of(node.data) != digest:
                return False
            self._volume.trouble.require_room(len(node.data) * count)
            self._admit(digest, node.data)
            self._volume.staged[digest].sparse = sparse and node.sparse
            self._spares[digest] = count - 1
        return True

    def _placed(self, digest: bytes) -> None:
        """The content was placed: a spare copy takes its place in staging, if there is one."""
        node = self._volume.staged.pop(digest)
        self._verified.discard(digest)
        if self._spares.get(digest, 0) > 0:
            self._spares[digest] -= 1
            self._admit(digest, node.data)
            self._volume.staged[digest].sparse = node.sparse

    def stage_begin(self, manifest: Manifest) -> list[int]:
        """Open the staging of a big content; gives the numbers of the chunks that are already there, verified."""
        self._require_room()
        if manifest.digest in self._verified:
            return list(range(len(manifest.chunks)))
        if sum(chunk.length for chunk in manifest.chunks) != manifest.size:
            raise OSError(errno.EINVAL, "the manifest's chunks do not add up to its size")
        part = self._volume.parts.get(manifest.digest)
        if part is None and (left := self._volume.staged.pop(manifest.digest, None)) is not None:
            part = bytearray(left.data)
        self._begun[manifest.digest] = manifest
        if part is None or len(part) != manifest.size:
            self._volume.parts[manifest.digest] = bytearray(manifest.size)
            return [n for n, chunk in enumerate(manifest.chunks) if chunk.id == zero_chunk_id(chunk.length)]
        self._volume.parts[manifest.digest] = part
        return self._whole_chunks(manifest)

    def _whole_chunks(self, manifest: Manifest) -> list[int]:
        part, offsets = self._volume.parts[manifest.digest], chunk_offsets(manifest)
        pieces = [bytes(part[start:end]) for start, end in zip(offsets, offsets[1:], strict=False)]
        return [n for n, chunk in enumerate(manifest.chunks) if chunk_id(pieces[n]) == chunk.id]

    def _part(self, digest: bytes) -> tuple[bytearray, Manifest]:
        if digest not in self._begun:
            raise OSError(errno.ENOENT, "this content is not being assembled")
        return self._volume.parts[digest], self._begun[digest]

    def stage_local(self, manifest: Manifest, numbers: Sequence[int], path: Path, source: Manifest) -> list[int]:
        """Fill chunks from a file of the volume that is described by ``source``; gives the numbers it could fill."""
        self._require_room()
        node = self._volume.look(path)
        if node is None or not stat.S_ISREG(node.mode):
            return []
        part, _ = self._part(manifest.digest)
        places = dict(zip(source.chunks, chunk_offsets(source), strict=False))
        offsets, filled = chunk_offsets(manifest), []
        for number in numbers:
            chunk = manifest.chunks[number]
            if chunk in places:
                data = node.data[places[chunk] : places[chunk] + chunk.length]
                if len(data) == chunk.length and chunk_id(data) == chunk.id:
                    part[offsets[number] : offsets[number] + chunk.length] = data
                    filled.append(number)
        return filled

    def stage_write(self, digest: bytes, offset: int, data: bytes) -> None:
        """Write bytes of a big content at their place. Raises ``OSError``."""
        self._require_room()
        part, manifest = self._part(digest)
        if offset < 0 or offset + len(data) > manifest.size:
            raise OSError(errno.EINVAL, "bytes beyond the end of a content that is being assembled")
        taken = self._volume.trouble.take_room(len(data))
        part[offset : offset + taken] = data[:taken]
        if taken < len(data):  # a short write, and then the disk is full
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def stage_finish(self, manifest: Manifest, sparse: bool) -> list[int]:
        """Verify and flush; empty if the content is whole, else the numbers of the chunks that are wrong."""
        self._require_room()
        if manifest.digest in self._verified:
            return []
        part, _ = self._part(manifest.digest)
        if digest_of(bytes(part)) != manifest.digest:
            whole, every = set(self._whole_chunks(manifest)), range(len(manifest.chunks))
            return [number for number in every if number not in whole] or list(every)
        self._admit(manifest.digest, bytes(part))
        self._volume.staged[manifest.digest].sparse = sparse and bytes(4096) in part
        del self._volume.parts[manifest.digest], self._begun[manifest.digest]
        return []

    def unstage(self, digests: Sequence[bytes] | None) -> None:
        """Drop staged contents, None all there are."""
        self._require_usable()
        for digest in [*self._volume.staged, *self._volume.parts] if digests is None else digests:
            self._verified.discard(digest)
            self._spares.pop(digest, None)
            self._volume.staged.pop(digest, None)
            self._volume.parts.pop(digest, None)
            self._begun.pop(digest, None)
