"""Reads the volume on behalf of the local user: names, stats, contents.

A finding is what stood there at one instant, or it says why there is none. Nothing is ever inferred from what could
not be read, no link is followed, no mount point crossed, and the volume is not changed, access times included.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass

from syncagent.core.chunking import Chunker, describe
from syncagent.core.ignore import IGNORE_FILE, why_beyond, why_left_out
from syncagent.core.plan import CLOCK_GRANULARITY_NS, StatKey
from syncagent.disk import errors, syscalls
from syncagent.disk.attributes import anchor, read_attributes
from syncagent.disk.content import feed, has_holes, read_range
from syncagent.disk.root import DIRECTORY, LOOK, VolumeRoot
from syncagent.disk.stat import kind_of, stat_key, what_is
from syncagent.ports import Absent, Busy, Finding, Listing, Observation, ScanProblem, Unchanged, Unsupported
from syncproto import limits
from syncproto.model import Kind, Manifest, Path
from syncproto.paths import RESERVED_NAME

IGNORE_BYTES_MAX = 1024 * 1024
TRIES = 3
LONGEST_WRITE_NS = 60 * 10**9
"""Where writers cannot be asked for: one call writes at most 2 GiB, so after a minute it is over."""
WAITING_BYTES_MIN = 8 * 1024 * 1024
"""From this size on, it takes less time to wait for the clock's next tick than to read twice."""
FLUSHED_BYTES_MIN = 1024 * 1024
"""What is this big is made durable by the worker that reads it: it would take long when it is about to be told."""
NO_IGNORE_FILE = ".syncignore is no regular file: make it one, or remove it"
NESTED_MOUNT = "nested mount: give it a volume of its own"


class _Changed(Exception):
    """The path changed while it was looked at."""


@dataclass(slots=True)
class ScanCounters:
    """How much was read. Approximate while several threads scan."""

    files_read: int = 0
    bytes_read: int = 0
    directories_listed: int = 0


class VolumeScanner:
    """The scanner of one volume. Safe to use from several threads."""

    def __init__(self, root: bytes, *, clock: Callable[[], int] = time.time_ns) -> None:
        """Open the root directory; raises ``OSError``. ``clock`` gives the time that files are stamped with."""
        self._root = VolumeRoot(root)
        self._clock = clock
        self.counters = ScanCounters()

    def close(self) -> None:
        """Give the root's descriptor back."""
        self._root.close()

    # -- directories ---------------------------------------------------------------------------------

    def list_directory(self, path: Path) -> Listing | Absent | ScanProblem:
        """List one directory; b'' is the root."""
        try:
            self._root.require_same()
            with self._root.opened(path, DIRECTORY) as fd:
                return self._list(path, fd)
        except OSError as error:
            if path and error.errno in errors.GONE_ERRORS:
                return Absent(path)
            return ScanProblem(path, errors.describe(error))

    def _list(self, path: Path, fd: int) -> Listing:
        self.counters.directories_listed += 1
        above = os.fstat(fd)
        children: list[tuple[bytes, StatKey]] = []
        unsupported: list[Unsupported] = []
        with os.scandir(fd) as entries:
            names = sorted(os.fsencode(entry.name) for entry in entries)
        for child in names:
            if not path and child == RESERVED_NAME:
                continue
            try:
                st = os.stat(child, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:  # gone since the names were read: it is as if it never was there
                continue
            full = path + b"/" + child if path else child
            if reason := _why_unsupported(full, st, above.st_dev):
                unsupported.append(Unsupported(full, reason))
            else:
                children.append((child, stat_key(st)))
        return Listing(path, stat_key(above), tuple(children), tuple(unsupported))

    # -- single paths ----------------------------------------------------------------------------------

    def examine(self, path: Path, known: StatKey | None) -> Finding:
        """Look at one path; read and hash only if its stat differs from ``known``."""
        try:
            self._root.require_same()
            for _ in range(TRIES):
                try:
                    return self._look(path, known)
                except _Changed:
                    continue
        except OSError as error:
            if error.errno in errors.GONE_ERRORS:
                return Absent(path)
            if error.errno == errno.EXDEV:
                return Unsupported(path, NESTED_MOUNT)
            return ScanProblem(path, errors.describe(error))
        return Busy(path)

    def _look(self, path: Path, known: StatKey | None) -> Finding:
        with self._root.opened(path, LOOK) as fd:
            if reason := why_beyond(path):
                return Unsupported(path, reason)
            st = os.fstat(fd)
            kind = kind_of(st.st_mode)
            if kind is None:
                return Unsupported(path, what_is(st.st_mode))
            if stat_key(st) == known:
                return Unchanged(path)
            if kind == Kind.FILE:
                return self._read(path, stat_key(st))
            is_link = kind == Kind.SYMLINK
            content = os.readlink(b"", dir_fd=fd) if is_link else None
            attributes, notes = read_attributes(st, None if is_link else anchor(fd))
            _require_unchanged(fd, st)
        return Observation(path, kind, stat_key(st), attributes, content, notes=notes)

    def _read(self, path: Path, seen: StatKey) -> Finding:
        with self._root.opened_file(path) as fd:
            st = os.fstat(fd)
            if stat_key(st) != seen:
                raise _Changed
            if st.st_size > limits.FILE_SIZE_MAX:
                return Unsupported(path, f"it is larger than {limits.FILE_SIZE_MAX} bytes")
            is_sparse = has_holes(fd, st)
            is_at_rest = self._is_at_rest(fd, st)
            self.counters.files_read += 1
            digest, manifest = self._digest(fd, st, is_sparse)
            if not is_at_rest and self._digest(fd, st, is_sparse)[0] != digest:
                raise _Changed
            attributes, notes = read_attributes(st, fd)
            if st.st_size >= FLUSHED_BYTES_MIN:
                os.fsync(fd)
            _require_unchanged(fd, st)
        if manifest is not None and len(manifest.chunks) > limits.CHUNKS_MAX:
            return Unsupported(path, f"it has more than {limits.CHUNKS_MAX} chunks")
        return Observation(path, Kind.FILE, seen, attributes, digest, manifest, is_sparse, notes)

    def _is_at_rest(self, fd: int, st: os.stat_result) -> bool:
        """Whether an unchanged stat will mean an unchanged content, so that one reading is enough.

        A write sets the time when it begins, and may copy bytes long after: as long as there may be one under way, or
        one could begin within the same tick, only two equal readings show what the file held between them.
        """
        if syscalls.has_writers(fd, unknown=self._clock() - st.st_mtime_ns < LONGEST_WRITE_NS):
            return False
        if not stat_key(st).is_racy(self._clock()):
            return True
        if st.st_size < WAITING_BYTES_MIN or stat_key(st).is_coarse:
            return False
        time.sleep(CLOCK_GRANULARITY_NS / 1e9)
        _require_unchanged(fd, st)
        return True

    def _digest(self, fd: int, st: os.stat_result, is_sparse: bool) -> tuple[bytes, Manifest | None]:
        if st.st_size <= limits.CHUNK_BYTES_MAX:
            data = read_range(fd, 0, st.st_size + 1)
            self.counters.bytes_read += len(data)
            return describe(data[: limits.CHUNK_BYTES_MAX])
        chunker = Chunker()
        self.counters.bytes_read += feed(fd, st.st_size, chunker, sparse=is_sparse)
        return chunker.finish()

    # -- ignore rules ----------------------------------------------------------------------------------

    def read_ignore_file(self) -> bytes | None:
        """The content of ``.syncignore`` at the root, None without one; raises ``OSError`` where it cannot be read."""
        self._root.require_same()
        for _ in range(TRIES):
            try:
                with self._root.opened_file(IGNORE_FILE) as fd:
                    return _ignore_rules(fd)
            except FileNotFoundError:
                return None
            except _Changed:
                continue
            except OSError as error:
                if error.errno == errno.ELOOP:
                    raise OSError(errno.EINVAL, NO_IGNORE_FILE) from None
                raise
        raise OSError(errno.EBUSY, ".syncignore changes all the time")


def _ignore_rules(fd: int) -> bytes:
    st = os.fstat(fd)
    if not stat.S_ISREG(st.st_mode):
        raise OSError(errno.EINVAL, NO_IGNORE_FILE)
    if st.st_size > IGNORE_BYTES_MAX:
        raise OSError(errno.EFBIG, f".syncignore is longer than {IGNORE_BYTES_MAX} bytes: shorten it")
    text = read_range(fd, 0, st.st_size + 1)
    _require_unchanged(fd, st)
    return text


def _require_unchanged(fd: int, before: os.stat_result) -> None:
    if stat_key(os.fstat(fd)) != stat_key(before):
        raise _Changed


def _why_unsupported(path: Path, st: os.stat_result, device: int) -> str | None:
    if reason := why_left_out(path):
        return reason
    if kind_of(st.st_mode) is None:
        return what_is(st.st_mode)
    if stat.S_ISDIR(st.st_mode) and st.st_dev != device:
        return NESTED_MOUNT
    if len(path) > limits.PATH_BYTES_MAX:
        return f"its path is longer than {limits.PATH_BYTES_MAX} bytes"
    return None
