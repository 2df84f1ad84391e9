"""Files that were replaced or removed: moved aside first, and gone only once it is sure that nobody wrote to them.

A file that turns out to be another than the expected one is never thrown away: it gets a name beside the path, where
the next look finds it. The name aside tells what was expected, so that a later process can tell what an interrupted
one left over.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count

from syncagent.core.plan import StatKey
from syncagent.disk import errors, syscalls
from syncagent.disk.root import PLACE, READ, VolumeRoot
from syncagent.disk.stat import is_as_expected, is_same_but_ctime, stat_key
from syncagent.disk.syscalls import Lease
from syncagent.ports import OPEN_FOR_WRITING
from syncproto import limits
from syncproto.model import Path
from syncproto.paths import parent

LATE_WRITE_SECONDS = 60.0
"""Where writers cannot be asked for, a displaced file is kept this long: what is written into it late is not lost."""
_NAME = re.compile(rb"aside\.(\d+)\.(\d+)\.(\d+)\.(-?\d+)\.\d+")


class StaleStep(Exception):
    """The disk is not as the step expects it."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Target:
    """A leaf that is about to be displaced, found as expected. ``fd`` is None where it cannot be read."""

    path: Path
    key: StatKey
    device: int
    fd: int | None
    lease: Lease

    def is_untouched(self, after: os.stat_result) -> bool:
        """Whether what was moved aside is what was expected, and no writer was on his way to it."""
        key = stat_key(after)
        if after.st_dev != self.device:  # an overlay copied it up for the rename: another inode, the same file
            key = StatKey(self.key.inode, key.size, key.mtime_ns, key.ctime_ns, key.mode, key.uid, key.gid)
        if not is_same_but_ctime(self.key, key):
            return False
        return self.lease is not Lease.HELD or self.fd is None or syscalls.is_lease_whole(self.fd)


@contextmanager
def expected_leaf(directory: int, name: bytes, path: Path, expect: StatKey) -> Iterator[Target]:
    """Make sure that the expected leaf stands at a name and nobody writes to it; raises ``StaleStep``.

    As long as the block lasts, whoever wants to open it for writing waits, where the file system can do that.
    """
    st = look(directory, name)
    require(path, st, expect)
    assert st is not None
    try:
        fd = _open_quietly(directory, name) if stat.S_ISREG(st.st_mode) else None
    except BlockingIOError:  # another program has a write lease on it
        raise StaleStep(path, OPEN_FOR_WRITING) from None
    if fd is None:
        yield Target(path, expect, st.st_dev, None, Lease.REFUSED)
        return
    try:
        lease = syscalls.take_lease(fd)
        if lease is Lease.WRITERS:
            raise StaleStep(path, OPEN_FOR_WRITING)
        if stat_key(os.fstat(fd)) != expect:
            raise StaleStep(path, "it has changed")
        yield Target(path, expect, st.st_dev, fd, lease)
    finally:
        os.close(fd)  # which ends the lease


def look(directory: int, name: bytes) -> os.stat_result | None:
    """What stands at a name, itself and not what it links to; None for nothing."""
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def require(path: Path, st: os.stat_result | None, expect: StatKey | None) -> None:
    """Raise ``StaleStep`` unless the path is as expected."""
    if expect is None:
        if st is not None:
            raise StaleStep(path, "something is there already")
    elif st is None:
        raise StaleStep(path, "it is gone")
    elif not is_as_expected(expect, stat_key(st)):
        raise StaleStep(path, "it has changed")


def _open_quietly(directory: int, name: bytes) -> int | None:
    """Open for reading; None where that is not permitted."""
    for flags in (READ | os.O_NOATIME, READ):
        with suppress(PermissionError):
            return os.open(name, flags, dir_fd=directory)
    return None


@dataclass(frozen=True, slots=True)
class _Aside:
    name: bytes
    path: Path
    key: StatKey
    is_leased: bool
    since: float


class Displaced:
    """What was moved aside and is not yet gone. Used under the tree's lock."""

    def __init__(self, root: VolumeRoot, clock: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._clock = clock
        self._waiting: list[_Aside] = []
        self._serials = count(1)

    def name_for(self, staged_inode: int, expected: StatKey) -> bytes:
        """A name in the staging directory for what is about to be exchanged with, or moved to, this place."""
        numbers = (staged_inode, expected.inode, expected.size, expected.mtime_ns, next(self._serials))
        return b"aside.%d.%d.%d.%d.%d" % numbers

    def accept(self, staging: int, name: bytes, target: Target) -> bool:
        """Take what was moved aside for removal, if it is what was expected; else the caller must keep it."""
        after = os.stat(name, dir_fd=staging, follow_symlinks=False)
        if not target.is_untouched(after):
            return False
        if after.st_nlink > 1 or not stat.S_ISREG(after.st_mode):  # it has another name, or nobody can write to it
            os.unlink(name, dir_fd=staging)
        else:
            is_leased = target.lease is Lease.HELD
            self._waiting.append(_Aside(name, target.path, stat_key(after), is_leased, self._clock()))
        return True

    def settle(self, staging: int, *, is_last: bool = False) -> list[Path]:
        """Remove what nobody wrote to since; gives the paths at which the rest was put back into the volume."""
        waiting, self._waiting = self._waiting, []
        rescued = []
        for aside in waiting:
            st = look(staging, aside.name)
            if st is None:
                continue
            if stat_key(st) != aside.key or (aside.is_leased and _has_writers(staging, aside.name)):
                rescued.append(self.rescue(staging, aside.name, aside.path))
            elif aside.is_leased or is_last or self._clock() - aside.since >= LATE_WRITE_SECONDS:
                os.unlink(aside.name, dir_fd=staging)
            else:
                self._waiting.append(aside)
        return rescued

    @property
    def names(self) -> frozenset[bytes]:
        """The names in the staging directory that wait for their removal."""
        return frozenset(aside.name for aside in self._waiting)

    def rescue(self, staging: int, name: bytes, path: Path) -> Path:
        """Give what was displaced a free name beside the path, or at the root; gives that name."""
        try:
            with self._root.opened(parent(path), PLACE) as directory:
                return self._rename_beside(staging, name, directory, path)
        except OSError as error:
            if error.errno not in errors.GONE_ERRORS:
                raise
            return self._rename_beside(staging, name, self._root.fd, path.rpartition(b"/")[2])

    def _rename_beside(self, staging: int, name: bytes, directory: int, path: Path) -> Path:
        above, slash, last = path.rpartition(b"/")
        for number in count(1):
            suffix = b"~displaced-%d" % number
            free = last[: limits.NAME_BYTES_MAX - len(suffix)] + suffix
            with suppress(FileExistsError):
                syscalls.rename_new(staging, name, directory, free)
                return above + slash + free
        raise AssertionError("counting never ends")

    # -- what an interrupted process left over -----------------------------------------------------------

    def recover(self, staging: int, name: bytes) -> bool:
        """Deal with a leftover if it is one of ours; gives whether it was.

        What it was expected to be, or the new content on its way, is known elsewhere; anything else nobody has seen.
        """
        match = _NAME.fullmatch(name)
        st = look(staging, name)
        if match is None or st is None:
            return match is not None
        staged_inode, inode, size, mtime_ns = map(int, match.groups())
        is_known = st.st_ino == staged_inode or (st.st_ino, st.st_size, st.st_mtime_ns) == (inode, size, mtime_ns)
        if is_known and not stat.S_ISDIR(st.st_mode):
            os.unlink(name, dir_fd=staging)
        else:
            self._rename_beside(staging, name, self._root.fd, b"recovered")
        return True


def _has_writers(directory: int, name: bytes) -> bool:
    fd = _open_quietly(directory, name)
    if fd is None:
        return False
    try:
        return syscalls.has_writers(fd, unknown=False)
    finally:
        os.close(fd)
