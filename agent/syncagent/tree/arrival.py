"""How something that was prepared in the staging directory comes to stand at a path: whole, or not at all.

Nothing that was not expected is ever replaced, and what is replaced is moved aside. Used under the tree's lock.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from syncagent.core.plan import StatKey
from syncagent.disk import errors, syscalls
from syncagent.disk.root import PLACE, VolumeRoot
from syncagent.ports import OPEN_FOR_WRITING
from syncagent.tree.displaced import GOES, Displaced, Fate, Shelf, StaleStep, Target, expected_leaf, look, require
from syncproto.model import Path
from syncproto.paths import name, parent


class DirectoryNotEmpty(Exception):
    """A directory that must go still holds something."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path


@dataclass(frozen=True, slots=True)
class Place:
    """A name in an opened directory, and what is expected there."""

    path: Path
    directory: int
    expect: StatKey | None

    @property
    def name(self) -> bytes:
        return name(self.path)

    def require(self) -> None:
        """Raise ``StaleStep`` unless what stands there is as expected."""
        require(self.path, look(self.directory, self.name), self.expect)

    def expected(self) -> StatKey:
        """What is expected and stands there; raises ``StaleStep`` if nothing, or anything else."""
        self.require()
        if self.expect is None:
            raise StaleStep(self.path, "nothing is there")
        return self.expect


@contextmanager
def opened_place(root: VolumeRoot, path: Path, expect: StatKey | None) -> Iterator[Place]:
    """Open the directory of a path; raises ``StaleStep`` about the directory where it is not there."""
    try:
        directory = root.open(parent(path), PLACE)
    except OSError as error:
        if error.errno in errors.GONE_ERRORS and parent(path):
            raise StaleStep(parent(path), "it is no directory any more") from None
        raise
    try:
        yield Place(path, directory, expect)
    finally:
        os.close(directory)


class Arrival:
    """Puts what is staged at its place, and takes away what must go."""

    def __init__(self, displaced: Displaced) -> None:
        self._displaced = displaced

    def put(self, staging: int, staged: bytes, place: Place) -> Fate:
        """Rename the staged leaf or directory to the place; gives what became of what stood there.

        Raises ``StaleStep`` and leaves both sides as they are if the place is not as expected.
        """
        place.require()
        if place.expect is not None:
            st = os.stat(staged, dir_fd=staging, follow_symlinks=False)
            if not stat.S_ISDIR(place.expect.mode) and not stat.S_ISDIR(st.st_mode):
                return self._exchange(staging, staged, st.st_ino, place)
            fate = self.remove(place)
            self._put_new(staging, staged, place)
            return fate
        self._put_new(staging, staged, place)
        return GOES

    def _put_new(self, staging: int, staged: bytes, place: Place) -> None:
        try:
            syscalls.rename_new(staging, staged, place.directory, place.name)
        except FileExistsError:
            raise StaleStep(place.path, "something is there already") from None

    def _exchange(self, staging: int, staged: bytes, staged_inode: int, place: Place) -> Fate:
        assert place.expect is not None
        with (
            expected_leaf(place.directory, place.name, place.path, place.expect) as target,
            self._displaced.shelf(place.path, place.expect, staged_inode) as shelf,
        ):
            syscalls.rename_new(staging, staged, shelf.directory, shelf.name)
            try:
                syscalls.rename_exchange(shelf.directory, shelf.name, place.directory, place.name)
            except OSError as error:
                os.rename(shelf.name, staged, src_dir_fd=shelf.directory, dst_dir_fd=staging)
                if isinstance(error, FileNotFoundError):
                    raise StaleStep(place.path, "it is gone") from None
                if not syscalls.is_refused_flag(error):
                    raise
                fate = self._take(shelf, place, target)
                self._put_new(staging, staged, place)
                return fate
            accepted = self._displaced.accept(shelf, target)
            if accepted is not None:
                return accepted
            return Fate(path=self._displaced.rescue(shelf.directory, shelf.name, place.path))

    def remove(self, place: Place) -> Fate:
        """Remove the expected leaf, or the expected directory if it is empty (else ``DirectoryNotEmpty``)."""
        place.require()
        if place.expect is None:
            return GOES
        if not stat.S_ISDIR(place.expect.mode):
            with (
                expected_leaf(place.directory, place.name, place.path, place.expect) as target,
                self._displaced.shelf(place.path, place.expect) as shelf,
            ):
                return self._take(shelf, place, target)
        self._remove_directory(place)
        return GOES

    def _remove_directory(self, place: Place) -> None:
        try:
            os.rmdir(place.name, dir_fd=place.directory)
        except FileNotFoundError:
            return
        except NotADirectoryError:
            raise StaleStep(place.path, "it is no directory any more") from None
        except OSError as error:
            if error.errno in errors.NOT_EMPTY_ERRORS:
                raise DirectoryNotEmpty(place.path) from None
            raise

    def _take(self, shelf: Shelf, place: Place, target: Target) -> Fate:
        """Move a leaf to a shelf; an unexpected one goes back to its name, or beside it."""
        try:
            syscalls.rename_new(place.directory, place.name, shelf.directory, shelf.name)
        except FileNotFoundError:
            raise StaleStep(place.path, "it is gone") from None
        accepted = self._displaced.accept(shelf, target)
        if accepted is not None:
            return accepted
        try:
            syscalls.rename_new(shelf.directory, shelf.name, place.directory, place.name)
        except FileExistsError:
            self._displaced.rescue(shelf.directory, shelf.name, place.path)
        raise StaleStep(place.path, OPEN_FOR_WRITING)

    def move(self, place: Place, to: Place) -> None:
        """Rename what is expected at ``place`` to ``to``, which must be free."""
        expect = place.expected()
        try:
            syscalls.rename_new(place.directory, place.name, to.directory, to.name)
        except FileExistsError:
            raise StaleStep(to.path, "something is there already") from None
        except FileNotFoundError:
            raise StaleStep(place.path, "it is gone") from None
        moved = look(to.directory, to.name)
        if moved is not None and moved.st_ino != expect.inode:
            with suppress(FileExistsError):  # then both names must be looked at
                syscalls.rename_new(to.directory, to.name, place.directory, place.name)
            raise StaleStep(place.path, "another file took its place")
