"""Steps: what each does to the disk. Every one checks what it expects on the open directory right before it acts."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import assert_never

from syncagent.core import plan
from syncagent.core.plan import StatKey, Step
from syncagent.disk.attributes import Surroundings, anchor, dress, read_attributes, restyle
from syncagent.disk.root import LOOK, VolumeRoot
from syncagent.disk.stat import is_as_expected, is_same_but_ctime, kind_of, stat_key
from syncagent.ports import Applied
from syncagent.tree.arrival import Arrival, Place, opened_place
from syncagent.tree.displaced import GOES, Fate, StaleStep, expected_leaf, look
from syncagent.tree.private import discard
from syncagent.tree.staging import Staging, name_of
from syncproto.model import Attributes, Kind, Path
from syncproto.paths import parent

_NO_LINK_ERRORS = frozenset({errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.EACCES, errno.EXDEV, errno.ENOSYS})
_BORN_MAX = 100_000
_OWNER_MAY_RENAME = stat.S_IWUSR | stat.S_IXUSR


@dataclass(slots=True)
class Touched:
    """What is not durable yet: directories whose names changed, and inodes themselves.

    ``born``: directories that were made here a while ago, with their times. What is placed in them later belongs to the
    first copy and leaves their time as it is, unless somebody else has changed something there.
    """

    directories: set[Path] = field(default_factory=set)
    inodes: set[Path] = field(default_factory=set)
    born: dict[Path, int] = field(default_factory=dict)


class Batch:
    """The steps of one call. What an earlier step did to a stat, a later one that expects the old stat is told."""

    def __init__(self, root: VolumeRoot, staging: Staging, arrival: Arrival, touched: Touched) -> None:
        self._root = root
        self._staging = staging
        self._arrival = arrival
        self._touched = touched
        self._renewed: dict[Path, tuple[StatKey, StatKey]] = {}

    def do(self, step: Step) -> Applied:
        """Do one step; raises ``StaleStep``, ``DirectoryNotEmpty`` or ``OSError``."""
        first, latest = self._renewed.get(step.path, (None, None))
        expect = latest if latest is not None and step.expect == first else step.expect
        with opened_place(self._root, step.path, expect) as place:
            self._touched.directories.add(parent(step.path))
            match step:
                case plan.Place():
                    return self._place(step, place)
                case plan.MakeDirectory():
                    return self._make_directory(step, place)
                case plan.MakeSymlink():
                    return self._make_symlink(step, place)
                case plan.SetAttributes():
                    return self._set_attributes(step, place)
                case plan.Remove():
                    fate = self._arrival.remove(place)
                    self._touched.directories.discard(step.path)
                    self._touched.inodes.discard(step.path)
                    return _with_fate(Applied(step.path, None, None), fate)
                case plan.Keep():
                    return self._keep(step, place)
                case plan.Move():
                    return self._move(step, place)
                case _:
                    assert_never(step)

    # -- arrivals --------------------------------------------------------------------------------------

    def _place(self, step: plan.Place, place: Place) -> Applied:
        place.require()
        with self._staging.opened() as staging, self._staging.opened_content(staging, step.digest) as fd:
            if fd is None:
                raise StaleStep(step.path, "its content is not staged")
            try:
                self._dress(fd, place, step.attributes, step.mtime_ns)
                applied = self._put(staging, name_of(step.digest), fd, place)
            finally:
                self._staging.renew(step.digest, fd)
            self._staging.placed(staging, step.digest)
            return applied

    def _put(self, staging: int, staged: bytes, fd: int, place: Place) -> Applied:
        before = stat_key(os.fstat(fd))
        with self._keeping_time(place):
            fate = self._arrival.put(staging, staged, place)
        return _with_fate(_applied(place.path, fd, before), fate)

    @contextmanager
    def _keeping_time(self, place: Place) -> Iterator[None]:
        """What is placed in a directory during its first copy does not count as a change of it."""
        mtime_ns = self._touched.born.get(parent(place.path))
        if mtime_ns is not None and os.fstat(place.directory).st_mtime_ns != mtime_ns:
            del self._touched.born[parent(place.path)]
            mtime_ns = None
        yield
        if mtime_ns is not None:
            with suppress(OSError):  # it has another owner by now
                os.utime(anchor(place.directory), ns=(mtime_ns, mtime_ns))

    def _make_symlink(self, step: plan.MakeSymlink, place: Place) -> Applied:
        place.require()
        if not step.target:
            raise OSError(errno.EINVAL, "a symlink needs a target")
        with self._temporary() as (staging, staged):
            os.symlink(step.target, staged, dir_fd=staging)
            with _opened(staging, staged) as fd:
                os.utime(anchor(fd), ns=(step.mtime_ns, step.mtime_ns))
                if step.attributes is not None:
                    dress(anchor(fd), step.attributes)
                return self._put(staging, staged, fd, place)

    def _make_directory(self, step: plan.MakeDirectory, place: Place) -> Applied:
        """Made aside, so that it never shows with a wrong owner or mode, which would look like a user's wish."""
        place.require()
        with self._temporary() as (staging, staged):
            os.mkdir(staged, 0o700, dir_fd=staging)
            with _opened(staging, staged) as fd:
                self._dress(fd, place, step.attributes, None)
                mode = stat.S_IMODE(os.fstat(fd).st_mode)
                if mode & _OWNER_MAY_RENAME != _OWNER_MAY_RENAME:
                    os.chmod(anchor(fd), mode | _OWNER_MAY_RENAME)
                with self._keeping_time(place):
                    fate = self._arrival.put(staging, staged, place)
                if mode & _OWNER_MAY_RENAME != _OWNER_MAY_RENAME:
                    os.chmod(anchor(fd), mode)
                self._touched.directories.add(step.path)
                if step.mtime_ns is not None:
                    with suppress(PermissionError):
                        os.utime(anchor(fd), ns=(step.mtime_ns, step.mtime_ns))
                    if len(self._touched.born) < _BORN_MAX:
                        self._touched.born[step.path] = step.mtime_ns
                return _with_fate(_applied(step.path, fd, None), fate)

    def _dress(self, fd: int, place: Place, attributes: Attributes | None, mtime_ns: int | None) -> None:
        """Give what is staged all that it shall have, before anybody can see it."""
        target, is_directory = anchor(fd), stat.S_ISDIR(os.fstat(fd).st_mode)
        if mtime_ns is not None:
            os.utime(target, ns=(mtime_ns, mtime_ns))
        if attributes is None:
            os.chmod(target, (0o777 if is_directory else 0o666) & ~_UMASK)
        Surroundings.of(place.directory).hand_down(target, is_directory=is_directory)
        if attributes is not None:
            dress(target, attributes)

    @contextmanager
    def _temporary(self) -> Iterator[tuple[int, bytes]]:
        """The staging directory and a name in it for one step; whatever is left under the name goes at the end."""
        with self._staging.opened() as staging:
            staged = self._staging.new_name()
            try:
                yield staging, staged
            finally:
                discard(staging, staged)

    # -- attributes ------------------------------------------------------------------------------------

    def _set_attributes(self, step: plan.SetAttributes, place: Place) -> Applied:
        expect = place.expected()
        if step.kind == Kind.FILE and step.mtime_ns is not None:
            # A new time would hide what is written at the same moment: whoever wants to write waits.
            with expected_leaf(place.directory, place.name, step.path, expect):
                return self._restyle(step, place, expect)
        return self._restyle(step, place, expect)

    def _restyle(self, step: plan.SetAttributes, place: Place, expect: StatKey) -> Applied:
        with _opened(place.directory, place.name) as fd:
            st = os.fstat(fd)
            if not is_as_expected(expect, stat_key(st)) or kind_of(st.st_mode) != step.kind:
                raise StaleStep(step.path, "it has changed")
            if step.kind == Kind.FILE and st.st_nlink > 1:
                applied = self._replace_by_copy(step, place)
            else:
                if step.attributes is not None:
                    restyle(anchor(fd), step.attributes)
                if step.mtime_ns is not None:
                    os.utime(anchor(fd), ns=(st.st_atime_ns, step.mtime_ns))
                applied = _restyled(step, fd, expect)
        self._touched.inodes.add(step.path)  # to flush its directory says nothing of the inode itself
        self._renew(step.path, expect, applied.stat)
        return applied

    def _replace_by_copy(self, step: plan.SetAttributes, place: Place) -> Applied:
        """The other names of a hard link may be anybody's, even outside the volume: they keep what they have."""
        with self._temporary() as (staging, staged):
            self._copy(place, staging, staged)
            with _opened(staging, staged) as fd:
                if step.mtime_ns is not None:
                    os.utime(anchor(fd), ns=(step.mtime_ns, step.mtime_ns))
                if step.attributes is not None:
                    dress(anchor(fd), step.attributes)
                return self._put(staging, staged, fd, place)

    # -- second names ----------------------------------------------------------------------------------

    def _keep(self, step: plan.Keep, place: Place) -> Applied:
        expect = place.expected()
        with opened_place(self._root, step.to, None) as to:
            self._touched.directories.add(parent(step.to))
            self._touched.inodes.add(step.to)
            try:
                with expected_leaf(place.directory, place.name, place.path, expect):
                    _link(place, to, expect)
                applied = _look(to, expect)
            except OSError as error:
                if error.errno not in _NO_LINK_ERRORS or stat.S_ISDIR(expect.mode):
                    raise
                self._keep_by_copy(place, to)
                applied = _look(to, None)
        here = look(place.directory, place.name)
        self._renew(step.path, expect, stat_key(here) if here else None)
        self._renew(step.to, expect, applied.stat)
        return applied

    def _keep_by_copy(self, place: Place, to: Place) -> None:
        expect = place.expected()
        if stat.S_ISLNK(expect.mode):
            with _opened(place.directory, place.name) as fd:
                held, _ = read_attributes(os.fstat(fd), None)
                link = os.readlink(b"", dir_fd=fd)
            self._make_symlink(plan.MakeSymlink(to.path, None, link, held, expect.mtime_ns), to)
            return
        with self._temporary() as (staging, staged):
            self._copy(place, staging, staged)
            self._arrival.put(staging, staged, to)

    def _copy(self, place: Place, staging: int, staged: bytes) -> None:
        """Copy the expected file of a place with all that is its own; whoever wants to write to it waits."""
        with expected_leaf(place.directory, place.name, place.path, place.expected()) as target:
            if target.fd is None:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            st = os.fstat(target.fd)
            held, _ = read_attributes(st, target.fd)
            fd = self._staging.create(staging, staged)
            try:
                self._staging.copy(target.fd, fd, sparse=True)
                os.utime(fd, ns=(st.st_atime_ns, st.st_mtime_ns))
                dress(fd, held)
                self._staging.flush(fd)
            finally:
                os.close(fd)

    def _move(self, step: plan.Move, place: Place) -> Applied:
        expect = place.expected()
        with opened_place(self._root, step.to, None) as to:
            self._touched.directories.add(parent(step.to))
            self._touched.inodes.add(step.to)  # its bytes may be a local program's, which need not have flushed them
            with self._keeping_time(to):
                self._arrival.move(place, to)
            applied = _look(to, expect)
        self._renew(step.to, expect, applied.stat)
        return applied

    # -- what became of stats --------------------------------------------------------------------------

    def _renew(self, path: Path, before: StatKey, after: StatKey | None) -> None:
        if after is not None:
            first, latest = self._renewed.get(path, (before, before))
            self._renewed[path] = (first if latest == before else before, after)

    def settled(self, applied: Applied) -> Applied:
        """What a kept file's stat is once its other name was replaced: the removal of a link changes its ctime."""
        with suppress(OSError, StaleStep), opened_place(self._root, applied.path, None) as place:
            st = look(place.directory, place.name)
            if st is not None and applied.stat is not None and is_same_but_ctime(applied.stat, stat_key(st)):
                return replace(applied, stat=stat_key(st))
        return applied


@contextmanager
def _opened(directory: int, name: bytes) -> Iterator[int]:
    fd = os.open(name, LOOK, dir_fd=directory)
    try:
        yield fd
    finally:
        os.close(fd)


def _link(place: Place, to: Place, expect: StatKey) -> None:
    """Give the expected leaf a second name, or find that it has it."""
    try:
        os.link(place.name, to.name, src_dir_fd=place.directory, dst_dir_fd=to.directory, follow_symlinks=False)
    except FileExistsError:
        other = look(to.directory, to.name)
        if other is None or other.st_ino != expect.inode:
            raise StaleStep(to.path, "something is there already") from None
        return
    linked = look(to.directory, to.name)
    if linked is not None and linked.st_ino != expect.inode:  # another took the place in the last instant
        if linked.st_nlink > 1:
            os.unlink(to.name, dir_fd=to.directory)
        raise StaleStep(place.path, "it has changed")


def _look(place: Place, before: StatKey | None) -> Applied:
    with _opened(place.directory, place.name) as fd:
        return _applied(place.path, fd, before)


def _with_fate(applied: Applied, fate: Fate) -> Applied:
    if fate is GOES:
        return applied
    return replace(applied, displaced=fate.path, kept=fate.kept, kept_bytes=fate.kept_bytes)


def _applied(path: Path, fd: int, before: StatKey | None) -> Applied:
    """What came to stand at a path. If a user has written to it already, the stat is the one before he did.

    It differs from what the disk has, then, and so his change will be found.
    """
    st = os.fstat(fd)
    attributes, _ = read_attributes(st, None if stat.S_ISLNK(st.st_mode) else anchor(fd))
    after = stat_key(st)
    is_ours = before is None or is_as_expected(before, after) or is_same_but_ctime(before, after)
    return Applied(path, after if is_ours else before, attributes)


def _restyled(step: plan.SetAttributes, fd: int, expect: StatKey) -> Applied:
    """The same after a change of attributes."""
    applied = _applied(step.path, fd, None)
    if step.kind == Kind.DIRECTORY or applied.stat is None:
        return applied
    mtime_ns = applied.stat.mtime_ns if step.mtime_ns is not None else expect.mtime_ns
    return replace(applied, stat=replace(applied.stat, size=expect.size, mtime_ns=mtime_ns))


def _read_umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


_UMASK = _read_umask()
"""Asked once, at import: asking means setting it, for all threads."""
