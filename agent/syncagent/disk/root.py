"""A volume's root: opened once, and nothing below it is reached but through its descriptor.

No link is followed and no mount point is crossed on the way, whatever other programs do to the tree meanwhile. A
descriptor follows a directory that is moved, so whoever uses a root asks ``is_same`` first.
"""

from __future__ import annotations

import errno
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from syncagent.disk import syscalls
from syncproto.model import Path

_BENEATH = (
    syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_MAGICLINKS | syscalls.RESOLVE_NO_XDEV
)
_TRIES_MAX = 4
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
LOOK = os.O_PATH | os.O_NOFOLLOW
"""A descriptor that only names what stands there: opening it has no effect on anything."""
PLACE = LOOK | os.O_DIRECTORY
"""A directory in which names are changed: it need not be readable."""
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


class RootChanged(OSError):
    """The root's path no longer leads to the directory that was opened."""

    def __init__(self) -> None:
        super().__init__(errno.ESTALE, "root: the path no longer leads to the directory that was opened")


class VolumeRoot:
    """The opened root directory of a volume. Safe to use from several threads."""

    def __init__(self, path: bytes) -> None:
        """Open the directory; raises ``OSError``."""
        self.path = path
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._release = weakref.finalize(self, os.close, self.fd)  # a job may still use it when its volume is reopened
        opened = os.fstat(self.fd)
        self.device, self.inode = opened.st_dev, opened.st_ino
        self._mount = mount_of(self.fd)
        self._has_openat2 = self._probe()

    def close(self) -> None:
        """Give the descriptor back."""
        self._release()

    def is_same(self) -> bool:
        """Whether the path still leads to the directory that was opened."""
        try:
            now = os.stat(self.path)
        except OSError:
            return False
        return (now.st_dev, now.st_ino) == (self.device, self.inode)

    def require_same(self) -> None:
        """Raise ``RootChanged`` unless the path still leads to the directory that was opened."""
        if not self.is_same():
            raise RootChanged

    def open(self, path: Path, flags: int) -> int:
        """Open what stands at ``path``. ELOOP or ENOTDIR where a link is on the way, EXDEV where a mount is."""
        if self._has_openat2:
            for _ in range(_TRIES_MAX):
                try:
                    return syscalls.openat2(self.fd, path or b".", flags, _BENEATH)
                except OSError as error:
                    # EAGAIN: renames all over the place. EXDEV: a nested mount, or a file that was just moved out.
                    if error.errno not in (errno.EAGAIN, errno.EXDEV):
                        raise
        return self._walk(path, flags)

    @contextmanager
    def opened(self, path: Path, flags: int) -> Iterator[int]:
        """The descriptor of ``path`` for the time of a ``with`` block."""
        fd = self.open(path, flags)
        try:
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def opened_file(self, path: Path) -> Iterator[int]:
        """A file for reading, without a trace in its access time where that is permitted."""
        try:
            fd = self.open(path, READ | os.O_NOATIME)
        except PermissionError:
            fd = self.open(path, READ)
        try:
            yield fd
        finally:
            os.close(fd)

    def _probe(self) -> bool:
        try:
            os.close(syscalls.openat2(self.fd, b".", LOOK | os.O_DIRECTORY, _BENEATH))
        except OSError as error:
            if error.errno in (errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.E2BIG, errno.EAGAIN):
                return False
            raise
        return True

    def _walk(self, path: Path, flags: int) -> int:
        """Component by component: as strict as openat2, for where that is missing, or its answer is in doubt."""
        directory = os.dup(self.fd)
        try:
            *above, last = path.split(b"/") if path else [b"."]
            for part in above:
                below = os.open(part, LOOK | os.O_DIRECTORY, dir_fd=directory)
                os.close(directory)
                directory = below
                self._require_mount(directory)
            looked = os.open(last, LOOK, dir_fd=directory)
            try:
                self._require_mount(looked)
            finally:
                os.close(looked)
            return os.open(last, flags | os.O_NOFOLLOW, dir_fd=directory)
        finally:
            os.close(directory)

    def _require_mount(self, fd: int) -> None:
        if mount_of(fd) != self._mount:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))


def mount_of(fd: int) -> int:
    """The id of the mount that a descriptor is in; without /proc the device, which tells fewer mounts apart."""
    try:
        with open(f"/proc/self/fdinfo/{fd}", "rb") as info:
            for line in info:
                if line.startswith(b"mnt_id:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return os.fstat(fd).st_dev


def is_mount_point(path: bytes) -> bool:
    """Whether a directory is the root of a mount, bind mounts included. Raises ``OSError``."""
    here = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        above = os.open(b"..", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=here)
        try:
            is_top = os.path.sameopenfile(here, above)
            return is_top or mount_of(here) != mount_of(above)
        finally:
            os.close(above)
    finally:
        os.close(here)
