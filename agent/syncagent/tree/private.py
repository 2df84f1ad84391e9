"""A directory of the agent's own in the volume: made on first need, for the agent alone, gone when it is empty."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from syncagent.disk import errors
from syncagent.disk.attributes import ACL_ACCESS, ACL_DEFAULT
from syncagent.disk.root import DIRECTORY, VolumeRoot
from syncproto.paths import RESERVED_NAME

_TRIES_MAX = 5


class PrivateDirectory:
    """A directory below ``.syncagent``. Safe to use from several threads."""

    def __init__(self, root: VolumeRoot, name: bytes) -> None:
        self._root = root
        self._name = name
        self.path = RESERVED_NAME + b"/" + name
        self._lock = threading.Lock()
        self._users = 0

    @contextmanager
    def opened(self) -> Iterator[int]:
        """The directory's descriptor; it is made if need be, and stays as long as somebody uses it."""
        with self._lock:
            self._users += 1
        try:
            directory = self._open_or_make()
            try:
                yield directory
            finally:
                os.close(directory)
        finally:
            with self._lock:
                self._users -= 1

    @contextmanager
    def opened_if_there(self) -> Iterator[int | None]:
        """The same, but None where there is no such directory."""
        try:
            directory = self._root.open(self.path, DIRECTORY)
        except OSError as error:
            if error.errno not in errors.GONE_ERRORS:
                raise
            yield None
            return
        try:
            yield directory
        finally:
            os.close(directory)

    def remove_if_empty(self) -> None:
        """Remove the directory, and its parent, where nothing is in them."""
        with self._lock, suppress(OSError):  # not empty, or not there
            if self._users:
                return
            with self._root.opened(RESERVED_NAME, DIRECTORY) as own:
                with suppress(FileNotFoundError):
                    os.rmdir(self._name, dir_fd=own)
            os.rmdir(RESERVED_NAME, dir_fd=self._root.fd)

    def _open_or_make(self) -> int:
        for _ in range(_TRIES_MAX):
            try:
                return self._root.open(self.path, DIRECTORY)
            except FileNotFoundError:
                self._make()
            except OSError as error:
                if error.errno in (errno.ENOTDIR, errno.ELOOP):
                    raise FileExistsError(errno.EEXIST, f"{self.path.decode()} is no directory: move it away") from None
                raise
        raise OSError(errno.EBUSY, f"{self.path.decode()} is removed again and again: leave it to the agent")

    def _make(self) -> None:
        _make_private(self._root.fd, RESERVED_NAME)
        with suppress(FileNotFoundError), self._root.opened(RESERVED_NAME, DIRECTORY) as own:
            _make_private(own, self._name)


def discard(directory: int, name: bytes) -> None:
    """Remove whatever leaf, or empty directory, has this name; nothing is fine too."""
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        os.rmdir(name, dir_fd=directory)


def _make_private(directory: int, name: bytes) -> None:
    """Make a directory for the agent alone, whatever the directory above hands down."""
    try:
        os.mkdir(name, 0o700, dir_fd=directory)
    except FileExistsError:
        return
    fd = os.open(name, DIRECTORY, dir_fd=directory)
    try:
        for acl in (ACL_DEFAULT, ACL_ACCESS):
            with suppress(OSError):  # none, as a rule
                os.removexattr(fd, acl)
        if stat.S_IMODE(os.fstat(fd).st_mode) != 0o700:
            os.fchmod(fd, 0o700)
    finally:
        os.close(fd)
