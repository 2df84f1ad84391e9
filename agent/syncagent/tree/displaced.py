"""Files that were replaced or removed: moved into the history, or aside until it is sure that nobody wrote to them.

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

from syncagent.core.conflict import DISPLACED
from syncagent.core.plan import StatKey
from syncagent.disk import errors, syscalls
from syncagent.disk.root import PLACE, READ, VolumeRoot
from syncagent.disk.stat import is_as_expected, is_same_but_ctime, stat_key
from syncagent.disk.syscalls import Lease
from syncagent.ports import OPEN_FOR_WRITING, Late
from syncagent.tree.history import Store
from syncagent.tree.private import PrivateDirectory
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
class Shelf:
    """Where what is displaced goes: a name in the staging directory, or in the history."""

    directory: int
    name: bytes
    is_history: bool


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of what was displaced: kept under a name in the history, or put at a path; neither: it goes."""

    kept: bytes = b""
    kept_bytes: int = 0
    path: Path | None = None


GOES = Fate()


@dataclass(frozen=True, slots=True)
class _Aside:
    name: bytes
    path: Path
    key: StatKey
    is_leased: bool
    is_history: bool
    since: float


class Displaced:
    """What was moved aside and may still be written to. Used under the tree's lock."""

    def __init__(
        self,
        root: VolumeRoot,
        staging: PrivateDirectory,
        store: Store,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        """``clock`` gives seconds that never go back, ``wall`` nanoseconds since the epoch."""
        self._root = root
        self._staging = staging
        self._store = store
        self._clock = clock
        self._wall = wall
        self._waiting: list[_Aside] = []
        self._serials = count(1)

    @contextmanager
    def shelf(self, path: Path, expected: StatKey, staged_inode: int = 0) -> Iterator[Shelf]:
        """A free name for what is about to be exchanged with, or moved from, this path."""
        if self._store.keeps(expected.size):
            with self._store.place.opened() as directory:
                name = self._store.new_name(directory, path, self._wall(), staged_inode, expected)
                try:
                    yield Shelf(directory, name, is_history=True)
                finally:
                    if look(directory, name) is None:
                        self._store.forget_name(directory, name)
            return
        numbers = (staged_inode, expected.inode, expected.size, expected.mtime_ns, next(self._serials))
        with self._staging.opened() as directory:
            yield Shelf(directory, b"aside.%d.%d.%d.%d.%d" % numbers, is_history=False)

    def accept(self, shelf: Shelf, target: Target) -> Fate | None:
        """Take what was moved to a shelf, if it is what was expected; else (None) the caller must see to it."""
        after = os.stat(shelf.name, dir_fd=shelf.directory, follow_symlinks=False)
        if not target.is_untouched(after):
            return None
        is_file = stat.S_ISREG(after.st_mode)
        if is_file and after.st_nlink > 1 or not is_file and not shelf.is_history:  # it has another name, or no writers
            os.unlink(shelf.name, dir_fd=shelf.directory)
            return GOES
        if is_file:
            is_leased = target.lease is Lease.HELD
            aside = _Aside(shelf.name, target.path, stat_key(after), is_leased, shelf.is_history, self._clock())
            self._waiting.append(aside)
        return Fate(shelf.name, after.st_blocks * 512) if shelf.is_history else GOES

    def settle(self, *, is_last: bool = False) -> list[Late]:
        """Have done with what nobody wrote to since; gives what was put back into the volume."""
        waiting, self._waiting = self._waiting, []
        late: list[Late] = []
        for is_history, place in ((False, self._staging), (True, self._store.place)):
            with place.opened_if_there() as directory:
                for aside in waiting if directory is not None else ():
                    assert directory is not None
                    if aside.is_history is is_history and (found := self._settle(directory, aside, is_last)):
                        late.append(found)
        return late

    def _settle(self, directory: int, aside: _Aside, is_last: bool) -> Late | None:
        st = look(directory, aside.name)
        if st is None:
            return None
        if stat_key(st) != aside.key or (aside.is_leased and _has_writers(directory, aside.name)):
            to = self.rescue(directory, aside.name, aside.path)
            if aside.is_history:
                self._store.forget_name(directory, aside.name)
            return Late(aside.path, to, aside.name if aside.is_history else b"")
        if not (aside.is_leased or is_last or self._clock() - aside.since >= LATE_WRITE_SECONDS):
            self._waiting.append(aside)
        elif not aside.is_history:
            os.unlink(aside.name, dir_fd=directory)
        return None

    @property
    def names(self) -> frozenset[bytes]:
        """The names in the staging directory that wait for their removal."""
        return frozenset(aside.name for aside in self._waiting if not aside.is_history)

    @property
    def is_waiting(self) -> bool:
        """Whether anything may still be written to."""
        return bool(self._waiting)

    def rescue(self, directory: int, name: bytes, path: Path) -> Path:
        """Give what was displaced a free name beside the path, or at the root; gives that name."""
        try:
            with self._root.opened(parent(path), PLACE) as above:
                return self._rename_beside(directory, name, above, path)
        except OSError as error:
            if error.errno not in errors.GONE_ERRORS:
                raise
            return self._rename_beside(directory, name, self._root.fd, path.rpartition(b"/")[2])

    def _rename_beside(self, source: int, name: bytes, directory: int, path: Path) -> Path:
        above, slash, last = path.rpartition(b"/")
        for number in count(1):
            suffix = DISPLACED % number
            free = last[: limits.NAME_BYTES_MAX - len(suffix)] + suffix
            with suppress(FileExistsError):
                syscalls.rename_new(source, name, directory, free)
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
