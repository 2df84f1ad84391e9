"""Contents that are assembled beside the volume's files, and wait there to be placed.

They live in ``.syncagent/staging`` of the same file system: ``<digest>`` once complete, ``<digest>.part`` before. Only
what this process has verified itself counts as complete; what an earlier one left over is checked chunk by chunk.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import count

from syncagent.core.chunking import Block, Digester, digest_of
from syncagent.core.plan import StatKey
from syncagent.disk import errors, syscalls
from syncagent.disk.content import feed, has_holes, ignoring_unsupported, write_all, write_new
from syncagent.disk.root import LOOK, VolumeRoot
from syncagent.disk.stat import is_same_but_ctime, stat_key
from syncagent.tree.counters import TreeCounters
from syncagent.tree.private import PrivateDirectory, discard
from syncproto import limits
from syncproto.paths import RESERVED_NAME

DIRECTORY_NAME = b"staging"
DIRECTORY_PATH = RESERVED_NAME + b"/" + DIRECTORY_NAME
PART = b".part"
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_WHOLE_SYSTEM_FROM = 32
"""From so many files on, one flush of the file system is cheaper: 256 files of 4 KiB took 0.92 s one by one on ext4,
and 0.01 to 0.18 s at once."""
_GROUP_MAX = 128
"""So many small files are written before they are flushed: open descriptors are bounded."""
_TRIES_MAX = 5


class Staging:
    """The staging directory of one volume. Safe to use from several threads."""

    def __init__(self, root: VolumeRoot, counters: TreeCounters) -> None:
        self.place = PrivateDirectory(root, DIRECTORY_NAME)
        self.counters = counters
        self._verified: dict[bytes, StatKey] = {}
        self._spares: dict[bytes, list[tuple[bytes, StatKey]]] = {}
        self._serials = count(1)
        self._can_clone = True

    # -- the directory -------------------------------------------------------------------------------

    @property
    def opened(self) -> Callable[[], AbstractContextManager[int]]:
        """Opens the directory, making it if need be."""
        return self.place.opened

    @property
    def opened_if_there(self) -> Callable[[], AbstractContextManager[int | None]]:
        """The same, but gives None where there is no such directory."""
        return self.place.opened_if_there

    def remove_if_empty(self) -> None:
        """Remove the directory where nothing is in it."""
        self.place.remove_if_empty()

    def new_name(self) -> bytes:
        """A name for something that is staged for a moment only."""
        return b"tmp.%d" % next(self._serials)

    def create(self, directory: int, name: bytes) -> int:
        """A new empty file, in the place of whatever has that name."""
        for _ in range(_TRIES_MAX):
            try:
                return os.open(name, _NEW_FILE, 0o600, dir_fd=directory)
            except FileExistsError:
                discard(directory, name)
        raise FileExistsError(errno.EEXIST, f"{DIRECTORY_PATH.decode()} is written to by another program: stop it")

    # -- what is complete ------------------------------------------------------------------------------

    def has(self, digest: bytes) -> bool:
        """Whether the content is complete, and verified by this process."""
        return digest in self._verified

    def flush(self, fd: int) -> None:
        """Make a content durable; raises ``OSError``."""
        os.fdatasync(fd)
        self.counters.content_flushes += 1

    def renew(self, digest: bytes, fd: int) -> None:
        """The agent itself has changed the attributes of a complete content."""
        self._verified[digest] = stat_key(os.fstat(fd))

    def take(self, digest: bytes) -> None:
        """The content was placed: it is here no more."""
        self._verified.pop(digest, None)

    @contextmanager
    def opened_content(self, directory: int, digest: bytes) -> Iterator[int | None]:
        """A complete content by ``os.O_PATH``; None if it is not here, or was touched by somebody else."""
        expected = self._verified.get(digest)
        try:
            fd = os.open(name_of(digest), LOOK, dir_fd=directory) if expected else None
        except FileNotFoundError:
            fd = None
        if fd is None:
            self.take(digest)
            yield None
            return
        try:
            if stat_key(os.fstat(fd)) != expected:
                self.take(digest)
                yield None
            else:
                yield fd
        finally:
            os.close(fd)

    # -- staging whole contents ------------------------------------------------------------------------

    def stage_whole(self, contents: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """Stage small contents; gives back the digests that are not those of their bytes."""
        wrong = [digest for digest, data in contents if digest_of(data) != digest]
        good = [
            (digest, data) for digest, data in dict(contents).items() if digest not in wrong and not self.has(digest)
        ]
        if good:
            with self.opened() as directory:
                for start in range(0, len(good), _GROUP_MAX):
                    self._stage_parts(directory, good[start : start + _GROUP_MAX])
        return wrong

    def _stage_parts(self, directory: int, contents: Sequence[tuple[bytes, bytes]]) -> None:
        """Stage a group, in halves where not so many files may be open at once."""
        try:
            self._stage_group(directory, contents)
        except OSError as error:
            half = len(contents) // 2
            if error.errno not in errors.MACHINE_ERRORS or not half:
                raise
            self._stage_parts(directory, contents[:half])
            self._stage_parts(directory, contents[half:])

    def _stage_group(self, directory: int, contents: Sequence[tuple[bytes, bytes]]) -> None:
        opened: list[tuple[bytes, int]] = []
        try:
            for digest, data in contents:
                fd = self.create(directory, name_of(digest))
                opened.append((digest, fd))
                write_new(fd, data, 0)
                self.counters.bytes_staged += len(data)
            self._flush_all(directory, [fd for _, fd in opened])
            for digest, fd in opened:
                self._verified[digest] = stat_key(os.fstat(fd))
        finally:
            for digest, fd in opened:
                os.close(fd)
                if not self.has(digest):
                    discard(directory, name_of(digest))

    def stage_copy(self, digest: bytes, source: int, *, sparse: bool, count: int = 1) -> bool:
        """Stage a content by copying it from an open file; False if that has not, or not quite, this content.

        ``count`` copies wait to be placed, one after the other; one flush is for all.
        """
        if self.has(digest):
            return True
        names = [name_of(digest), *(name_of(digest) + b".%d" % next(self._serials) for _ in range(count - 1))]
        opened: list[int] = []
        with self.opened() as directory:
            try:
                for name in names:
                    try:
                        fd = self.create(directory, name)
                    except OSError as error:
                        if error.errno not in errors.MACHINE_ERRORS or not opened:
                            raise
                        break  # so many copies as may be open at once
                    opened.append(fd)
                    if self.copy(source, fd, sparse=sparse) != digest:
                        return False
                self._flush_all(directory, opened)
                spares = [(name, stat_key(os.fstat(fd))) for name, fd in zip(names[1:], opened[1:], strict=False)]
                self._spares[digest] = spares
                self._verified[digest] = stat_key(os.fstat(opened[0]))
            finally:
                for fd in opened:
                    os.close(fd)
                if not self.has(digest):
                    for name in names:
                        discard(directory, name)
        return True

    def _flush_all(self, directory: int, opened: Sequence[int]) -> None:
        if len(opened) >= _WHOLE_SYSTEM_FROM:
            syscalls.sync_file_system(directory)
            self.counters.file_system_syncs += 1
            return
        for fd in opened:
            self.flush(fd)

    def placed(self, directory: int, digest: bytes) -> None:
        """The content was placed: a spare copy takes its place in staging, if there is one."""
        self.take(digest)
        spares = self._spares.get(digest)
        while spares:
            name, expected = spares.pop()
            with suppress(OSError):
                syscalls.rename_new(directory, name, directory, name_of(digest))
                found = stat_key(os.stat(name_of(digest), dir_fd=directory, follow_symlinks=False))
                if is_same_but_ctime(expected, found):
                    self._verified[digest] = found
                    return
        self._spares.pop(digest, None)

    def copy(self, source: int, target: int, *, sparse: bool) -> bytes:
        """Copy an open file into a new one, sharing blocks where possible; gives the digest of what was copied."""
        st = os.fstat(source)
        if self._can_clone and st.st_size > limits.CHUNK_BYTES_MAX:
            self._can_clone = ignoring_unsupported(lambda: syscalls.clone(source, target))
            if self._can_clone:
                digester = Digester()
                feed(target, os.fstat(target).st_size, digester, sparse=sparse)
                return digester.digest()
        sink = _CopySink(target, keeps_holes=sparse)
        feed(source, st.st_size, sink, sparse=sparse and has_holes(source, st))
        os.ftruncate(target, sink.size)
        self.counters.bytes_staged += sink.size
        return sink.digest()

    def drop(self, directory: int, digests: Iterable[bytes]) -> None:
        """Drop contents, complete or not."""
        for digest in digests:
            self.take(digest)
            for spare, _ in self._spares.pop(digest, []):
                discard(directory, spare)
            discard(directory, name_of(digest))
            discard(directory, name_of(digest) + PART)

    def forget_all(self) -> None:
        """Nothing counts as complete any more."""
        self._verified.clear()
        self._spares.clear()


class _CopySink(Digester):
    """Writes what it digests."""

    def __init__(self, fd: int, *, keeps_holes: bool) -> None:
        super().__init__()
        self._fd = fd
        self._write = write_new if keeps_holes else write_all

    def update(self, block: Block) -> None:
        self._write(self._fd, block, self.size)
        super().update(block)


def name_of(digest: bytes) -> bytes:
    """The name of a complete content."""
    return digest.hex().encode()
