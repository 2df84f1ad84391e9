"""Where an index lives, as the contract suite sees it: on a real disk, or in memory."""

from __future__ import annotations

import shutil
from pathlib import Path as FilePath
from typing import Protocol

from syncagent.core.plan import StatKey
from syncagent.index import Index as SqliteIndex
from syncagent.ports import Index
from syncproto.model import PLACEHOLDER, Attributes, Entry, Kind, Metadata, Path
from syncproto.version import Version
from twins.index import MemoryDisk, MemoryIndex

ORIGIN = "aa"
ATTRIBUTES = Attributes(mode=0o640, uid=3, gid=4, xattrs=((b"user.a", b"\0\xff"),))


class Home(Protocol):
    """Opens the same index again and again."""

    def open(self, origin: str = ORIGIN) -> Index:
        """Open it; ``origin`` is for a new one."""

    def crash(self, index: Index) -> None:
        """Leave on disk what a killed process leaves there."""


class SqliteHome:
    """An index in a directory of its own."""

    def __init__(self, directory: FilePath) -> None:
        self.directory = directory
        self.crashes = 0
        self.path = directory / "index.db"

    def open(self, origin: str = ORIGIN) -> Index:
        return SqliteIndex.open(self.path, new_origin=lambda: origin)

    def crash(self, index: Index) -> None:
        """The files as they are in mid-use are what a kill leaves: go on with a copy of them."""
        self.crashes += 1
        copy = self.directory / str(self.crashes)
        copy.mkdir()
        for name in ("index.db", "index.db-wal"):
            shutil.copyfile(self.path.parent / name, copy / name)
        index.close()
        self.path = copy / "index.db"


class MemoryHome:
    """A disk in memory."""

    def __init__(self) -> None:
        self.disk = MemoryDisk()

    def open(self, origin: str = ORIGIN) -> Index:
        return MemoryIndex.open(self.disk, new_origin=lambda: origin)

    def crash(self, index: Index) -> None:
        self.disk.crash()


def digest_of(number: int) -> bytes:
    """A content digest; the first eight bytes are the same for 256 neighbours."""
    return (number // 256).to_bytes(8, "big") + number.to_bytes(24, "big")


def stat_of(inode: int, size: int = 0) -> StatKey:
    return StatKey(inode, size, -1_500_000_001, 17_000_000_000_123_456_789, 0o100640, 1000, 2**32 - 2)


def file_at(
    path: Path,
    counter: int = 1,
    content: int = 1,
    *,
    origin: str = ORIGIN,
    size: int = 10,
    metadata: Metadata = PLACEHOLDER,
    carried: Version = (),
) -> Entry:
    dot = (origin, counter)
    return Entry(path, Kind.FILE, digest_of(content), *dot, (dot,), counter, metadata, carried, size=size)


def directory_at(path: Path, counter: int = 1) -> Entry:
    return Entry(path, Kind.DIRECTORY, None, ORIGIN, counter, ((ORIGIN, counter),), counter)


def symlink_at(path: Path, target: bytes, counter: int = 1) -> Entry:
    return Entry(path, Kind.SYMLINK, target, ORIGIN, counter, ((ORIGIN, counter),), counter)


def tombstone_at(path: Path, counter: int = 1, content: int = 1) -> Entry:
    return Entry(path, Kind.TOMBSTONE, digest_of(content), ORIGIN, counter, ((ORIGIN, counter),), counter)
