"""The assembly of big contents from chunks, in any order, resumed where an earlier process stopped."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from syncagent.core.chunking import Block, Digester, chunk_id, chunk_offsets, zero_chunk_id
from syncagent.disk.content import PAGE_BYTES, feed, fill_holes, has_holes, punch_zeros, read_range, write_all
from syncagent.tree.private import discard
from syncagent.tree.staging import PART, Staging, name_of
from syncproto.model import Chunk, Manifest

_OPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Parts:
    """Big contents that are not complete yet. Different contents may be used by different threads."""

    def __init__(self, staging: Staging) -> None:
        self._staging = staging
        self._begun: dict[bytes, Manifest] = {}

    def begin(self, manifest: Manifest) -> list[int]:
        """Open the assembly; gives the numbers of the chunks that are already there. Raises ``OSError``."""
        if self._staging.has(manifest.digest):
            return list(range(len(manifest.chunks)))
        if sum(chunk.length for chunk in manifest.chunks) != manifest.size:
            raise OSError(errno.EINVAL, "the manifest's chunks do not add up to its size")
        with self._staging.opened() as directory:
            fd = self._open_or_create(directory, manifest.digest)
            try:
                is_new = os.fstat(fd).st_size == 0
                os.ftruncate(fd, manifest.size)
                present = _zero_chunks(manifest) if is_new else _whole_chunks(fd, manifest)
                _require_room(fd, manifest, present)
            finally:
                os.close(fd)
        self._begun[manifest.digest] = manifest
        return present

    def _open_or_create(self, directory: int, digest: bytes) -> int:
        name = name_of(digest) + PART
        try:
            fd = os.open(name, _OPEN, dir_fd=directory)
        except FileNotFoundError:
            return self._staging.create(directory, name)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR, errno.ENXIO):
                raise
            return self._staging.create(directory, name)
        st = os.fstat(fd)
        if stat.S_ISREG(st.st_mode) and st.st_nlink == 1:
            return fd
        os.close(fd)
        return self._staging.create(directory, name)

    @contextmanager
    def _opened(self, digest: bytes) -> Iterator[tuple[int, int, Manifest]]:
        """(staging directory, the part's descriptor, its manifest)."""
        manifest = self._begun.get(digest)
        if manifest is None:
            raise OSError(errno.ENOENT, "this content is not being assembled")
        with self._staging.opened() as directory:
            fd = os.open(name_of(digest) + PART, _OPEN, dir_fd=directory)
            try:
                yield directory, fd, manifest
            finally:
                os.close(fd)

    def fill_from(self, manifest: Manifest, numbers: Sequence[int], source_fd: int, source: Manifest) -> list[int]:
        """Copy chunks from an open file that ``source`` describes; gives the numbers that were really there."""
        places = dict(zip(source.chunks, chunk_offsets(source), strict=False))
        offsets = chunk_offsets(manifest)
        filled = []
        with self._opened(manifest.digest) as (_, fd, _):
            for number in numbers:
                chunk = manifest.chunks[number]
                place = places.get(chunk)
                if place is None:
                    continue
                data = read_range(source_fd, place, chunk.length)
                if _is_chunk(chunk, data):
                    write_all(fd, data, offsets[number])
                    self._staging.counters.bytes_staged += len(data)
                    filled.append(number)
        return filled

    def write(self, digest: bytes, offset: int, data: Block) -> None:
        """Write bytes at their place; raises ``OSError``."""
        with self._opened(digest) as (_, fd, manifest):
            if offset < 0 or offset + len(data) > manifest.size:
                raise OSError(errno.EINVAL, "bytes beyond the end of a content that is being assembled")
            write_all(fd, data, offset)
            self._staging.counters.bytes_staged += len(data)

    def finish(self, manifest: Manifest, *, sparse: bool) -> list[int]:
        """Verify the whole and make it durable; gives the numbers of the wrong chunks, none if it is complete.

        If every chunk is right and the whole is not, then no single chunk is to blame, and all count as wrong.
        """
        digest = manifest.digest
        if self._staging.has(digest):
            return []
        with self._opened(digest) as (directory, fd, _):
            sink = _PunchingSink(fd) if sparse else Digester()
            feed(fd, manifest.size, sink, sparse=True)
            if sink.digest() != digest:
                whole = set(_whole_chunks(fd, manifest))
                every = range(len(manifest.chunks))
                return [number for number in every if number not in whole] or list(every)
            if not sparse:
                fill_holes(fd, os.fstat(fd))
            self._complete(directory, fd, digest)
        return []

    def _complete(self, directory: int, fd: int, digest: bytes) -> None:
        try:
            self._staging.flush(fd)
        except OSError:
            # The pages count as clean now, whatever reached the disk: begin anew.
            discard(directory, name_of(digest) + PART)
            self.drop([digest])
            raise
        os.rename(name_of(digest) + PART, name_of(digest), src_dir_fd=directory, dst_dir_fd=directory)
        self._staging.renew(digest, fd)
        self.drop([digest])

    def drop(self, digests: Sequence[bytes] | None) -> None:
        """Forget assemblies; None forgets all."""
        for digest in list(self._begun) if digests is None else digests:
            self._begun.pop(digest, None)


class _PunchingSink(Digester):
    """Turns pages of zeros into holes as they are read."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd

    def update(self, block: Block) -> None:
        if self.size % PAGE_BYTES == 0:
            punch_zeros(self._fd, block, self.size)
        super().update(block)


def _is_chunk(chunk: Chunk, data: bytes) -> bool:
    return len(data) == chunk.length and chunk_id(data) == chunk.id


def _zero_chunks(manifest: Manifest) -> list[int]:
    return [n for n, chunk in enumerate(manifest.chunks) if chunk.id == zero_chunk_id(chunk.length)]


def _whole_chunks(fd: int, manifest: Manifest) -> list[int]:
    """The chunks that the file really holds; holes are not read."""
    is_sparse = has_holes(fd, os.fstat(fd))
    whole = []
    for number, (chunk, offset) in enumerate(zip(manifest.chunks, chunk_offsets(manifest), strict=False)):
        if is_sparse and _is_hole(fd, offset, chunk.length):
            if chunk.id == zero_chunk_id(chunk.length):
                whole.append(number)
        elif _is_chunk(chunk, read_range(fd, offset, chunk.length)):
            whole.append(number)
    return whole


def _is_hole(fd: int, offset: int, length: int) -> bool:
    try:
        return os.lseek(fd, offset, os.SEEK_DATA) >= offset + length
    except OSError as error:
        return error.errno == errno.ENXIO


def _require_room(fd: int, manifest: Manifest, present: Sequence[int]) -> None:
    """Say that the disk is full before it is."""
    here = set(present)
    missing = sum(chunk.length for number, chunk in enumerate(manifest.chunks) if number not in here)
    room = os.fstatvfs(fd)
    free = room.f_bavail * room.f_frsize + os.fstat(fd).st_blocks * 512
    if 0 < room.f_blocks and free < missing:
        raise OSError(errno.ENOSPC, f"{missing} bytes are missing of a file and {free} are free on its disk")
