"""System calls that Python has no names for. They raise ``OSError`` like those of ``os``."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import signal
import struct
from collections.abc import Callable
from enum import Enum

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08

_OPENAT2 = 437
_RENAMEAT2 = {"x86_64": 316, "aarch64": 276, "riscv64": 276, "armv7l": 382, "ppc64le": 357, "s390x": 347, "i686": 353}
_NOREPLACE = 1
_EXCHANGE = 2
_PUNCH_HOLE_KEEP_SIZE = 0x03
_FICLONE = 0x40049409

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _checked(call: Callable[[], int]) -> int:
    while True:
        result = call()
        if result >= 0:
            return result
        number = ctypes.get_errno()
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number))


def openat2(directory: int, path: bytes, flags: int, resolve: int) -> int:
    """Open ``path`` below a directory descriptor, refusing what ``resolve`` names."""
    how = struct.pack("QQQ", flags | os.O_CLOEXEC, 0, resolve)
    number = ctypes.c_long(_OPENAT2)
    return _checked(lambda: _libc.syscall(number, ctypes.c_int(directory), path, how, ctypes.c_size_t(len(how))))


def _renameat2(old_directory: int, old: bytes, new_directory: int, new: bytes, flags: int) -> None:
    number = _RENAMEAT2.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, "renameat2 is not known for this processor")
    old_at, new_at, how = ctypes.c_int(old_directory), ctypes.c_int(new_directory), ctypes.c_uint(flags)
    _checked(lambda: _libc.syscall(ctypes.c_long(number), old_at, old, new_at, new, how))


def is_refused_flag(error: OSError) -> bool:
    """Whether the file system, or a container's profile, lacks a flavour of renameat2."""
    return error.errno in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


def rename_exchange(old_directory: int, old: bytes, new_directory: int, new: bytes) -> None:
    """Let two existing names change places at one instant."""
    _renameat2(old_directory, old, new_directory, new, _EXCHANGE)


def rename_new(old_directory: int, old: bytes, new_directory: int, new: bytes) -> None:
    """Rename to a name that must be free; raises ``FileExistsError`` if it is not."""
    try:
        _renameat2(old_directory, old, new_directory, new, _NOREPLACE)
    except OSError as error:
        if not is_refused_flag(error):
            raise
        _link_and_unlink(old_directory, old, new_directory, new)


def _link_and_unlink(old_directory: int, old: bytes, new_directory: int, new: bytes) -> None:
    """For file systems without RENAME_NOREPLACE: a hard link never replaces either."""
    try:
        os.link(old, new, src_dir_fd=old_directory, dst_dir_fd=new_directory, follow_symlinks=False)
    except PermissionError:
        # A directory, or no hard links here: a look before the rename is the best that is left.
        if exists(new_directory, new):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        os.rename(old, new, src_dir_fd=old_directory, dst_dir_fd=new_directory)
    else:
        os.unlink(old, dir_fd=old_directory)


def exists(directory: int, name: bytes) -> bool:
    """Whether anything stands at the name, be it a dangling link."""
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


class Lease(Enum):
    """The answer to the wish to hear of writers."""

    HELD = "held"
    WRITERS = "writers"
    REFUSED = "refused"


def take_lease(fd: int) -> Lease:
    """Ask for a read lease on a file opened for reading: WRITERS if anything has it open for writing, or mapped so.

    While it is held, an open for writing waits for at most /proc/sys/fs/lease-break-time.
    """
    try:
        # The signal of a broken lease would by default end the process; this one is ignored by default.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        _set_lease(fd, fcntl.F_RDLCK)
    except OSError as error:
        return Lease.WRITERS if error.errno == errno.EAGAIN else Lease.REFUSED
    return Lease.HELD


def _set_lease(fd: int, kind: int) -> None:
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, kind)
    except PermissionError:
        # Without CAP_LEASE only the owner may: become it, for file-system calls of this thread only.
        if os.geteuid() != 0:
            raise
        _libc.setfsuid(ctypes.c_uint(os.fstat(fd).st_uid))
        try:
            fcntl.fcntl(fd, fcntl.F_SETLEASE, kind)
        finally:
            _libc.setfsuid(ctypes.c_uint(0))


def is_lease_whole(fd: int) -> bool:
    """Whether no writer has asked for the file since the lease was taken."""
    return fcntl.fcntl(fd, fcntl.F_GETLEASE) == fcntl.F_RDLCK


def drop_lease(fd: int) -> None:
    """Let waiting writers go on."""
    _set_lease(fd, fcntl.F_UNLCK)


def sync_file_system(fd: int) -> None:
    """Flush the whole file system that a descriptor is on."""
    _checked(lambda: _libc.syncfs(ctypes.c_int(fd)))


def has_writers(fd: int, *, unknown: bool) -> bool:
    """Whether anything has this file open for writing right now; ``unknown`` where nobody can tell."""
    lease = take_lease(fd)
    if lease is Lease.HELD:
        drop_lease(fd)
    return unknown if lease is Lease.REFUSED else lease is Lease.WRITERS


def punch_hole(fd: int, offset: int, length: int) -> None:
    """Give back the blocks of a range, which reads as zeros then."""
    at, size = ctypes.c_int64(offset), ctypes.c_int64(length)
    _checked(lambda: _libc.fallocate(ctypes.c_int(fd), ctypes.c_int(_PUNCH_HOLE_KEEP_SIZE), at, size))


def clone(source: int, target: int) -> None:
    """Let the target share the blocks of the source (reflink)."""
    fcntl.ioctl(target, _FICLONE, source)
