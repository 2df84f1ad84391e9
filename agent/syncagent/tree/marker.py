"""The marker binds a root to a volume: an extended attribute where the file system has them, else a small file.

It is always reached through the root's path, so that a directory that was put in the place of the opened one shows.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from syncagent.disk.attributes import OWN_PREFIX
from syncagent.disk.content import read_range, write_all
from syncagent.disk.root import DIRECTORY, READ
from syncagent.ports import Marker
from syncproto.paths import RESERVED_NAME

ATTRIBUTE = OWN_PREFIX + b"volume"
FILE_NAME = b"volume.json"
_NEW_NAME = b"volume.json.new"
_BYTES_MAX = 4096
_NO_ATTRIBUTES = frozenset(
    {errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.ENOSPC, errno.E2BIG, errno.ERANGE, errno.EDQUOT}
)
"""Not on this file system, not on this directory (sticky, of another owner), or no room in its inode."""


def read(root: bytes) -> Marker | None:
    """The marker, None without one. Raises ``OSError``, also for one that cannot be understood."""
    try:
        return _decoded(os.getxattr(root, ATTRIBUTE))
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.ENOTSUP):
            raise
    try:
        with _own_directory(root) as directory:
            fd = os.open(FILE_NAME, READ, dir_fd=directory)
    except FileNotFoundError:
        return None
    try:
        return _decoded(read_range(fd, 0, _BYTES_MAX))
    finally:
        os.close(fd)


def write(root: bytes, marker: Marker) -> None:
    """Mark the root, durably. Raises ``OSError``."""
    names = {"volume": marker.volume.hex(), "incarnation": marker.incarnation}
    text = json.dumps({**names, "start": marker.start.hex(), "number": marker.number}).encode()
    try:
        os.setxattr(root, ATTRIBUTE, text)
    except OSError as error:
        if error.errno not in _NO_ATTRIBUTES or _has_attribute(root):
            raise
        _write_file(root, text)
    else:
        _remove_file(root)
    _flush(root)


def _decoded(text: bytes) -> Marker:
    try:
        fields = json.loads(text)
        start = bytes.fromhex(fields.get("start", ""))
        return Marker(bytes.fromhex(fields["volume"]), str(fields["incarnation"]), start, int(fields.get("number", 0)))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise OSError(errno.EBADMSG, "the volume's marker is damaged: `syncctl adopt` makes a new one") from None


def _has_attribute(root: bytes) -> bool:
    try:
        os.getxattr(root, ATTRIBUTE)
    except OSError:
        return False
    return True


@contextmanager
def _own_directory(root: bytes) -> Iterator[int]:
    top = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        directory = os.open(RESERVED_NAME, DIRECTORY, dir_fd=top)
        try:
            yield directory
        finally:
            os.close(directory)
    finally:
        os.close(top)


def _write_file(root: bytes, text: bytes) -> None:
    with suppress(FileExistsError):
        os.mkdir(os.path.join(root, RESERVED_NAME), 0o700)
    with _own_directory(root) as directory:
        with suppress(FileNotFoundError):
            os.unlink(_NEW_NAME, dir_fd=directory)
        fd = os.open(_NEW_NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=directory)
        try:
            write_all(fd, text, 0)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(_NEW_NAME, FILE_NAME, src_dir_fd=directory, dst_dir_fd=directory)
        os.fsync(directory)


def _remove_file(root: bytes) -> None:
    with suppress(OSError):  # left from a time without attributes; the attribute counts
        with _own_directory(root) as directory:
            os.unlink(FILE_NAME, dir_fd=directory)
        os.rmdir(os.path.join(root, RESERVED_NAME))


def _flush(root: bytes) -> None:
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
