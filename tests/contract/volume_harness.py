"""A volume with a user who works on it: a directory of a real file system, or the twin in memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path as FilePath
from tempfile import TemporaryDirectory
from typing import Protocol

from syncagent.disk.stat import kind_of
from syncagent.ports import Scanner, Tree
from syncagent.scanner import ScanCounters, VolumeScanner
from syncagent.tree import VolumeTree
from syncproto.model import Attributes, Kind, Path
from twins.disk import MemoryVolume
from twins.disk_tree import open_volume


class OpenFile(Protocol):
    """A file that the user has open for writing."""

    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...


class Volume(Protocol):
    """The user's side, and how a process opens the ports."""

    def open(self, keep_bytes: int | None = None) -> tuple[Scanner, Tree]: ...
    def close(self) -> None: ...
    def write(self, path: Path, data: bytes) -> None: ...
    def write_sparse(self, path: Path, data: bytes) -> None: ...
    def append(self, path: Path, data: bytes) -> None: ...
    def truncate(self, path: Path, size: int) -> None: ...
    def delete(self, path: Path) -> None: ...
    def rename(self, path: Path, to: Path) -> None: ...
    def mkdir(self, path: Path) -> None: ...
    def symlink(self, path: Path, target: bytes) -> None: ...
    def link(self, path: Path, to: Path) -> None: ...
    def fifo(self, path: Path) -> None: ...
    def chmod(self, path: Path, mode: int) -> None: ...
    def set_xattr(self, path: Path, key: bytes, value: bytes) -> None: ...
    def touch(self, path: Path, mtime_ns: int) -> None: ...
    def open_writer(self, path: Path) -> OpenFile: ...
    def read(self, path: Path) -> bytes: ...
    def mtime_ns(self, path: Path) -> int: ...
    def names(self, path: Path = b"") -> list[bytes]: ...
    def walk(self, path: Path = b"") -> Iterator[tuple[Path, Kind, bytes | None, Attributes]]: ...
    def replace_root(self) -> None: ...
    def remove_root(self) -> None: ...


class MemoryHarness(MemoryVolume):
    """The twin."""

    def open(self, keep_bytes: int | None = None) -> tuple[Scanner, Tree]:
        return open_volume(self, keep_bytes)

    def close(self) -> None:
        """Nothing to give back."""


def counters_of(scanner: Scanner) -> ScanCounters:
    """How much a scanner has read; real and twin count alike."""
    counters = getattr(scanner, "counters")  # noqa: B009
    assert isinstance(counters, ScanCounters)
    return counters


class _Writer:
    def __init__(self, path: bytes) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND)

    def write(self, data: bytes) -> None:
        os.write(self._fd, data)

    def close(self) -> None:
        os.close(self._fd)


class RealVolume:
    """A directory, worked on as any program would."""

    def __init__(self, directory: bytes) -> None:
        self.path = directory + b"/volume"
        self._spare = 0
        self._opened: list[VolumeScanner | VolumeTree] = []
        os.mkdir(self.path)

    def at(self, path: Path) -> bytes:
        """The absolute path."""
        return self.path + b"/" + path if path else self.path

    def open(self, keep_bytes: int | None = None) -> tuple[VolumeScanner, VolumeTree]:
        scanner, tree = VolumeScanner(self.path), VolumeTree(self.path, keep_bytes=keep_bytes)
        self._opened += [scanner, tree]
        return scanner, tree

    def close(self) -> None:
        for opened in self._opened:
            opened.close()

    def write(self, path: Path, data: bytes) -> None:
        with open(self.at(path), "wb") as file:
            file.write(data)

    def write_sparse(self, path: Path, data: bytes) -> None:
        with open(self.at(path), "wb") as file:
            for start in range(0, len(data), 4096):
                page = data[start : start + 4096]
                if page.strip(b"\0"):
                    file.seek(start)
                    file.write(page)
            file.truncate(len(data))

    def append(self, path: Path, data: bytes) -> None:
        with open(self.at(path), "ab") as file:
            file.write(data)

    def truncate(self, path: Path, size: int) -> None:
        os.truncate(self.at(path), size)

    def delete(self, path: Path) -> None:
        if os.path.isdir(self.at(path)) and not os.path.islink(self.at(path)):
            shutil.rmtree(self.at(path))
        else:
            os.unlink(self.at(path))

    def rename(self, path: Path, to: Path) -> None:
        os.rename(self.at(path), self.at(to))

    def mkdir(self, path: Path) -> None:
        os.mkdir(self.at(path), 0o755)

    def symlink(self, path: Path, target: bytes) -> None:
        os.symlink(target, self.at(path))

    def link(self, path: Path, to: Path) -> None:
        os.link(self.at(path), self.at(to))

    def fifo(self, path: Path) -> None:
        os.mkfifo(self.at(path))

    def chmod(self, path: Path, mode: int) -> None:
        os.chmod(self.at(path), mode)

    def set_xattr(self, path: Path, key: bytes, value: bytes) -> None:
        os.setxattr(self.at(path), key, value)

    def touch(self, path: Path, mtime_ns: int) -> None:
        os.utime(self.at(path), ns=(mtime_ns, mtime_ns), follow_symlinks=False)

    def open_writer(self, path: Path) -> OpenFile:
        return _Writer(self.at(path))

    def read(self, path: Path) -> bytes:
        if os.path.islink(self.at(path)):
            return os.readlink(self.at(path))
        with open(self.at(path), "rb") as file:
            return file.read()

    def mtime_ns(self, path: Path) -> int:
        return os.lstat(self.at(path)).st_mtime_ns

    def names(self, path: Path = b"") -> list[bytes]:
        return sorted(os.listdir(self.at(path)))

    def walk(self, path: Path = b"") -> Iterator[tuple[Path, Kind, bytes | None, Attributes]]:
        for child in self.names(path):
            full = path + b"/" + child if path else child
            st = os.lstat(self.at(full))
            kind = kind_of(st.st_mode)
            if kind is None or full == b".syncagent":
                continue
            keys = sorted(os.fsencode(k) for k in os.listxattr(self.at(full), follow_symlinks=False))
            xattrs = tuple((k, os.getxattr(self.at(full), k)) for k in keys if k.startswith(b"user."))
            attributes = Attributes(st.st_mode & 0o777, st.st_uid, st.st_gid, xattrs)
            yield full, kind, None if kind == Kind.DIRECTORY else self.read(full), attributes
            if kind == Kind.DIRECTORY:
                yield from self.walk(full)

    def replace_root(self) -> None:
        self.remove_root()
        os.mkdir(self.path)

    def remove_root(self) -> None:
        self._spare += 1
        os.rename(self.path, self.path + b".moved-%d" % self._spare)


KINDS = ["disk", "memory", *(["shm"] if os.access("/dev/shm", os.W_OK) else [])]
"""The file system of temporary files, the twin, and one that is always in memory, where there is one."""


def made_volume(kind: str, directory: FilePath) -> Iterator[Volume]:
    """A volume of this kind for the time of one test."""
    if kind == "memory":
        yield MemoryHarness()
        return
    with TemporaryDirectory(dir="/dev/shm" if kind == "shm" else directory) as place:
        volume = RealVolume(os.fsencode(place))
        yield volume
        volume.close()
