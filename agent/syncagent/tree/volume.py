"""The tree of one volume: staging, steps, durability, marker, behind one lock for whatever changes names."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Collection, Sequence, Set
from contextlib import suppress
from stat import S_ISDIR, S_ISREG

from syncagent.core.plan import Keep, Move, StatKey, Step
from syncagent.disk import errors
from syncagent.disk.content import read_range
from syncagent.disk.root import READ, RootChanged, VolumeRoot, is_mount_point
from syncagent.disk.stat import stat_key
from syncagent.disk.syscalls import sync_file_system
from syncagent.ports import Applied, Failed, Late, Marker, NotEmpty, Outcome, Root, Stale
from syncagent.tree import marker as markers
from syncagent.tree.arrival import Arrival, DirectoryNotEmpty
from syncagent.tree.counters import TreeCounters
from syncagent.tree.displaced import Displaced, StaleStep
from syncagent.tree.history import Store
from syncagent.tree.keeping import Keeping
from syncagent.tree.leftovers import sweep
from syncagent.tree.parts import Parts
from syncagent.tree.staging import Staging
from syncagent.tree.steps import Batch, Touched
from syncproto.model import Attributes, Manifest, Path
from syncproto.paths import RESERVED_NAME, above, parent, why_not_canonical

WHOLE_SYSTEM_FROM = 32
"""From so many files and directories on, one flush of the file system is cheaper than one of each."""
FLUSHED_MAX = 10_000
_NOT_COUNTED = frozenset({RESERVED_NAME, b"lost+found"})
"""What a root may hold and still be empty."""


def with_names(directories: Set[Path]) -> set[Path]:
    """Directories and those above them: a local program may have made them just now, and not flushed their names."""
    names = {each for path in directories for each in above(path)}
    return names.union(directories, [b""] if directories else [])


class VolumeTree(Keeping):
    """The tree of one volume. Safe to use from several threads."""

    def __init__(
        self, root: bytes, *, keep_bytes: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Open the root directory; raises ``OSError``. ``clock`` gives seconds that never go back.

        ``keep_bytes``: the largest replaced or removed file that is kept; None keeps none.
        """
        self.counters = TreeCounters()
        self._root = VolumeRoot(root)
        self._staging = Staging(self._root, self.counters)
        self._store = Store(self._root, keep_bytes)
        self._parts = Parts(self._staging)
        self._displaced = Displaced(self._root, self._staging.place, self._store, clock=clock)
        self._late: list[Late] = []
        self._arrival = Arrival(self._displaced)
        self._touched = Touched()
        self._flushed: dict[Path, StatKey] = {}
        """Directories that need no flush as long as they are as they were."""
        self._lock = threading.RLock()
        self._is_swept = False

    def close(self) -> None:
        """Remove what waits for late writers, and give the root's descriptor back."""
        with self._lock:
            with suppress(OSError):  # the root may be gone: then so is what is in it
                self._root.require_same()
                self._late += self._displaced.settle(is_last=True)
                self._staging.remove_if_empty()
                self._store.place.remove_if_empty()
            self._root.close()

    # -- the root --------------------------------------------------------------------------------------

    def root(self) -> Root:
        """Look at the root's path as it is now. Raises ``OSError`` where it is gone."""
        path = self._root.path
        st = os.stat(path)
        with os.scandir(path) as entries:
            is_empty = all(os.fsencode(entry.name) in _NOT_COUNTED for entry in entries)
        is_read_only = bool(os.statvfs(path).f_flag & os.ST_RDONLY)
        return Root(st.st_dev, st.st_ino, is_empty, is_mount_point(path), is_read_only)

    def is_same_root(self) -> bool:
        """Whether the root's path still leads to the directory that was opened."""
        return self._root.is_same()

    def read_marker(self) -> Marker | None:
        """The marker of the root as its path leads to it now, None without one. Raises ``OSError``."""
        return markers.read(self._root.path)

    def write_marker(self, marker: Marker) -> None:
        """Mark the root. Raises ``OSError``."""
        self._root.require_same()
        markers.write(self._root.path, marker)

    def dress_root(self, attributes: Attributes) -> Attributes:
        """Give the root this mode and owner, as far as permitted; gives what it has then. Raises ``OSError``."""
        self._root.require_same()
        with suppress(PermissionError):
            os.fchown(self._root.fd, attributes.uid, attributes.gid)
        special = os.fstat(self._root.fd).st_mode & 0o7000
        with suppress(PermissionError):
            os.fchmod(self._root.fd, attributes.mode | special)
        os.fsync(self._root.fd)
        found = os.fstat(self._root.fd)
        return Attributes(found.st_mode & 0o777, found.st_uid, found.st_gid)

    # -- steps -----------------------------------------------------------------------------------------

    def apply(self, steps: Sequence[Step]) -> list[Outcome]:
        """Do the steps in order up to the first that is not ``Applied``; that outcome is the last of the list."""
        outcomes: list[Outcome] = []
        kept: list[int] = []
        with self._lock:
            batch = Batch(self._root, self._staging, self._arrival, self._touched)
            for step in steps:
                outcome = self._outcome(batch, step, is_first=not outcomes)
                outcomes.append(outcome)
                if not isinstance(outcome, Applied):
                    break
                self.counters.steps_applied += 1
                if outcome.kept:
                    self._touched.directories.add(self._store.place.path)
                if isinstance(step, Keep):
                    kept.append(len(outcomes) - 1)
            for number in kept:
                applied = outcomes[number]
                assert isinstance(applied, Applied)
                outcomes[number] = batch.settled(applied)
        return outcomes

    def _outcome(self, batch: Batch, step: Step, *, is_first: bool) -> Outcome:
        for path in (step.path, step.to) if isinstance(step, Keep | Move) else (step.path,):
            if reason := why_not_canonical(path):
                return Failed(path, reason)
        try:
            if is_first:
                self._prepare()
            return batch.do(step)
        except StaleStep as stale:
            return Stale(stale.path, stale.reason)
        except DirectoryNotEmpty as full:
            return NotEmpty(full.path)
        except OSError as error:
            if error.errno in errors.GONE_ERRORS:
                return Stale(step.path, errors.describe(error))
            return Failed(step.path, errors.describe(error), error.errno in errors.RESOURCE_ERRORS)

    def flush(self, seen: Collection[Path] = ()) -> None:
        """Make durable all that was applied since the last call, and what stands at the paths ``seen``."""
        with self._lock:
            self._root.require_same()
            touched, self._touched = self._touched, Touched(born=self._touched.born)
            self._flush_all(with_names(touched.directories).union(touched.inodes, seen))
            late = self._displaced.settle() if self._displaced.is_waiting else []
            self._late += late
            self._flush_all(with_names({parent(each.to) for each in late}))

    def _flush_all(self, paths: Set[Path]) -> None:
        """One flush each; the whole file system where they are many, or one of them cannot be flushed by itself.

        What is gone from its path may only have another name by now, and is no less in need of it.
        """
        if len(paths) >= WHOLE_SYSTEM_FROM or not all(map(self._flush_one, sorted(paths, reverse=True))):
            sync_file_system(self._root.fd)
            self.counters.file_system_syncs += 1

    def _flush_one(self, path: Path) -> bool:
        try:
            fd = self._root.open(path, READ)
        except OSError as error:
            if error.errno in errors.RESOURCE_ERRORS - errors.MACHINE_ERRORS:
                raise
            return False
        try:
            st = os.fstat(fd)
            is_directory = S_ISDIR(st.st_mode)
            if is_directory and self._flushed.get(path) == stat_key(st):
                return True
            os.fsync(fd)
            self._flushed_now(path, stat_key(st))
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return False
        finally:
            os.close(fd)
        self.counters.directory_fsyncs += is_directory
        self.counters.content_flushes += not is_directory
        return True

    def _flushed_now(self, path: Path, stat: StatKey) -> None:
        """A directory that has the same times later was not changed since, unless it was changed just now."""
        if stat.is_directory and not stat.is_racy(time.time_ns()):
            if len(self._flushed) >= FLUSHED_MAX:
                self._flushed.clear()
            self._flushed[path] = stat

    # -- staging ---------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Before anything is done: the root is the right one, and leftovers of an earlier process are dealt with."""
        self._root.require_same()
        if self._is_swept:
            return
        with self._lock, self._staging.opened_if_there() as directory:
            if directory is not None and not self._is_swept:
                sweep(directory, self._displaced)
            self._is_swept = True

    def is_staged(self, digest: bytes) -> bool:
        """Whether this content is complete, verified by this process and ready to be placed, once."""
        return self._staging.has(digest)

    def stage_whole(self, contents: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """Stage small contents (digest, bytes), one flush for all; gives back the digests that did not verify."""
        self._prepare()
        return self._staging.stage_whole(contents)

    def stage_copy(self, digest: bytes, path: Path, stat: StatKey, sparse: bool, count: int = 1) -> bool:
        """Stage copies of a content from a file of the volume; False if the file is no longer that."""
        self._prepare()
        try:
            with self._root.opened_file(path) as fd:
                if stat_key(os.fstat(fd)) != stat:
                    return False
                return self._staging.stage_copy(digest, fd, sparse=sparse, count=count)
        except OSError as error:
            if error.errno in errors.GONE_ERRORS:
                return False
            raise

    def stage_kept(self, digest: bytes, name: bytes, sparse: bool, count: int = 1) -> bool:
        """Stage a content by copying what is kept; False if that is not there, or is another content by now."""
        self._prepare()
        with self._opened_kept(name, READ) as opened:
            if opened is None or not S_ISREG(os.fstat(opened[1]).st_mode):
                return False
            return self._staging.stage_copy(digest, opened[1], sparse=sparse, count=count)

    def stage_begin(self, manifest: Manifest) -> list[int]:
        """Open the staging of a big content; gives the numbers of the chunks that are already there, verified."""
        self._prepare()
        return self._parts.begin(manifest)

    def stage_local(self, manifest: Manifest, numbers: Sequence[int], path: Path, source: Manifest) -> list[int]:
        """Fill chunks from a file of the volume that is described by ``source``; gives the numbers it could fill."""
        self._prepare()
        try:
            with self._root.opened_file(path) as fd:
                if not S_ISREG(os.fstat(fd).st_mode):
                    return []
                return self._parts.fill_from(manifest, numbers, fd, source)
        except OSError as error:
            if error.errno in errors.GONE_ERRORS:
                return []
            raise

    def stage_write(self, digest: bytes, offset: int, data: bytes) -> None:
        """Write bytes of a big content at their place. Raises ``OSError``."""
        self._prepare()
        self._parts.write(digest, offset, data)

    def stage_finish(self, manifest: Manifest, sparse: bool) -> list[int]:
        """Verify and flush; empty if the content is whole, else the numbers of the chunks that are wrong."""
        self._prepare()
        return self._parts.finish(manifest, sparse=sparse)

    def unstage(self, digests: Sequence[bytes] | None) -> None:
        """Drop staged contents, None all there are; the staging directory goes when it is empty."""
        self._prepare()
        with self._lock:
            self._late += self._displaced.settle()
            self._parts.drop(digests)
            if digests is None:
                self._staging.forget_all()
                self._touched.born.clear()
            with self._staging.opened_if_there() as directory:
                if directory is not None:
                    if digests is None:
                        sweep(directory, self._displaced, keeps_parts=False)
                    else:
                        self._staging.drop(directory, digests)
            self._store.place.remove_if_empty()
            self._staging.remove_if_empty()

    # -- reading ---------------------------------------------------------------------------------------

    def read(self, path: Path, stat: StatKey, offset: int, length: int) -> bytes | None:
        """Bytes of a file for a peer, None if the file is no longer the one of ``stat``. Raises ``OSError``."""
        try:
            self._root.require_same()
            with self._root.opened_file(path) as fd:
                if stat_key(os.fstat(fd)) != stat:
                    return None
                data = read_range(fd, offset, length)
                return data if stat_key(os.fstat(fd)) == stat else None
        except RootChanged:
            return None
        except OSError as error:
            if error.errno in errors.GONE_ERRORS:
                return None
            raise
