"""The store of what was replaced or removed: ``.syncagent/history`` of the same file system.

What is displaced is renamed into it under a name that says when it was displaced, from which path, what it was expected
to be, and which staged file changed places with it: an index that was lost finds all of it again, and what an
interrupted process left half done shows from the names alone. A path that is too long for a name is in a file beside.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

from syncagent.core.plan import StatKey
from syncagent.disk.content import read_range, write_all
from syncagent.disk.root import READ, VolumeRoot
from syncagent.disk.stat import kind_of
from syncagent.tree.private import PrivateDirectory, discard
from syncproto import limits
from syncproto.model import Path
from syncproto.paths import why_not_canonical

DIRECTORY_NAME = b"history"
_NAME = re.compile(rb"(\d{8}T\d{6}\.\d{3})Z\.([0-9a-f]+)\.([0-9a-f]+)\.([0-9a-f]{8})\.(.+)", re.DOTALL)
_TIME = "%Y%m%dT%H%M%S"
_TOO_LONG = b"%"
"""In place of the path: it is in the file beside, which is named with this suffix."""
_SIDECAR = b".path"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class StoredName:
    """What a name in the store says."""

    path: Path
    at_ns: int
    staged_inode: int
    fingerprint: int


class Store:
    """Names in the store, and what they stand for. Used under the tree's lock, but for what only reads."""

    def __init__(self, root: VolumeRoot, bytes_max: int | None) -> None:
        """``bytes_max``: the largest file that is kept; None keeps nothing."""
        self.place = PrivateDirectory(root, DIRECTORY_NAME)
        self.bytes_max = bytes_max
        self._serials = count(1)

    def keeps(self, size: int) -> bool:
        """Whether a file of this size is kept."""
        return self.bytes_max is not None and size <= self.bytes_max

    def new_name(self, directory: int, path: Path, at_ns: int, staged_inode: int, expected: StatKey) -> bytes:
        """The name for what is about to be displaced from a path; raises ``OSError``."""
        moment = datetime.fromtimestamp(at_ns // 10**9, UTC).strftime(_TIME)
        mark = _print(expected.size, expected.mtime_ns)
        millis, serial = at_ns // 10**6 % 1000, next(self._serials)
        numbers = f"{moment}.{millis:03}Z.{serial:x}.{staged_inode:x}.{mark:08x}.".encode()
        name = numbers + path.replace(b"%", b"%25").replace(b"/", b"%2F")
        if len(name) > limits.NAME_BYTES_MAX:
            name = numbers + _TOO_LONG
            fd = os.open(name + _SIDECAR, _NEW, 0o600, dir_fd=directory)
            try:
                write_all(fd, path, 0)
            finally:
                os.close(fd)
        return name

    def read_name(self, directory: int, name: bytes) -> StoredName | None:
        """What a name says; None if it is none of ours."""
        match = _NAME.fullmatch(name)
        if match is None or name.endswith(_TOO_LONG + _SIDECAR):
            return None
        moment, _, staged_inode, fingerprint, encoded = match.groups()
        path = encoded.replace(b"%2F", b"/").replace(b"%25", b"%")
        if encoded == _TOO_LONG:
            path = self._read_sidecar(directory, name)
        if why_not_canonical(path):
            return None
        try:
            at = datetime.strptime(moment[:15].decode(), _TIME).replace(tzinfo=UTC)
        except ValueError:
            return None
        at_ns = int(at.timestamp()) * 10**9 + int(moment[16:]) * 10**6
        return StoredName(path, at_ns, int(staged_inode, 16), int(fingerprint, 16))

    def _read_sidecar(self, directory: int, name: bytes) -> Path:
        try:
            fd = os.open(name + _SIDECAR, READ, dir_fd=directory)
        except OSError:
            return b""
        try:
            return read_range(fd, 0, limits.PATH_BYTES_MAX)
        finally:
            os.close(fd)

    def drop(self, directory: int, name: bytes) -> None:
        """Remove what is kept under a name; nothing is fine too."""
        discard(directory, name)
        self.forget_name(directory, name)

    def forget_name(self, directory: int, name: bytes) -> None:
        """What was kept under the name is elsewhere now."""
        if name.endswith(b"." + _TOO_LONG):
            discard(directory, name + _SIDECAR)

    def is_late(self, stored: StoredName, st: os.stat_result) -> bool:
        """Whether a file is not what was expected of it when it was displaced: somebody has written to it."""
        return _print(st.st_size, st.st_mtime_ns) != stored.fingerprint

    def unknown(self, directory: int, known: Collection[bytes]) -> Iterator[tuple[bytes, StoredName, os.stat_result]]:
        """What is there beside what is known, the oldest first, but for what never arrived at its place."""
        with os.scandir(directory) as entries:
            there = {os.fsencode(entry.name) for entry in entries}
        for name in sorted(there.difference(known)):
            stored = self.read_name(directory, name)
            if stored is None:
                self._sweep(directory, name, there)
                continue
            st = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if st.st_ino == stored.staged_inode:  # the new content: it never changed places with the old
                self.drop(directory, name)
            elif kind_of(st.st_mode) is not None:
                yield name, stored, st

    def _sweep(self, directory: int, name: bytes, others: Collection[bytes]) -> None:
        """A path beside a file that is gone; what is none of ours stays."""
        if name.endswith(_TOO_LONG + _SIDECAR) and name.removesuffix(_SIDECAR) not in others:
            discard(directory, name)


def _print(size: int, mtime_ns: int) -> int:
    return zlib.crc32(b"%d %d" % (size, mtime_ns))
