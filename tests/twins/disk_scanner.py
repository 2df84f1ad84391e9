"""The in-memory twin of the scanner."""

from __future__ import annotations

import errno
import os

from syncagent.core.chunking import describe
from syncagent.core.ignore import IGNORE_FILE, why_beyond, why_left_out
from syncagent.core.plan import StatKey
from syncagent.disk.stat import kind_of, what_is
from syncagent.ports import Absent, Finding, Listing, Observation, ScanProblem, Unchanged, Unsupported
from syncagent.scanner import NESTED_MOUNT, ScanCounters
from syncproto.model import Kind, Manifest, Path
from twins.disk import MemoryVolume, Node

ROOT_CHANGED = "root: the path no longer leads to the directory that was opened"
UNREADABLE = "Permission denied"


class MemoryScanner:
    """Implements the port ``Scanner``."""

    def __init__(self, volume: MemoryVolume) -> None:
        self._volume = volume
        self._opened = volume.device, volume.root
        self.counters = ScanCounters()

    def _is_same_root(self) -> bool:
        return not self._volume.is_gone and (self._volume.device, self._volume.root) == self._opened

    def list_directory(self, path: Path) -> Listing | Absent | ScanProblem:
        """List one directory; b'' is the root."""
        if not self._is_same_root():
            return ScanProblem(path, ROOT_CHANGED)
        scripted = self._volume.scripted_finding(path)
        if isinstance(scripted, Absent | ScanProblem):
            return scripted
        node = self._volume.look(path)
        if node is None or not node.is_directory:
            return Absent(path)
        if node.is_unreadable or node.is_mount:
            return ScanProblem(path, NESTED_MOUNT if node.is_mount else UNREADABLE)
        if (reason := self._volume.trouble.why_not("list")) is not None:
            return ScanProblem(path, reason)
        self.counters.directories_listed += 1
        children: list[tuple[bytes, StatKey]] = []
        unsupported: list[Unsupported] = []
        for child, below in sorted(node.children.items()):
            full = path + b"/" + child if path else child
            if reason := why_left_out(full) or _why_unsupported(below):
                unsupported.append(Unsupported(full, reason))
            else:
                children.append((child, below.stat))
        return Listing(path, node.stat, tuple(children), tuple(unsupported))

    def examine(self, path: Path, known: StatKey | None) -> Finding:
        """Look at one path; read and hash only if its stat differs from ``known``."""
        if not self._is_same_root():
            return ScanProblem(path, ROOT_CHANGED)
        if (scripted := self._volume.scripted_finding(path)) is not None:
            return scripted
        node = self._volume.look(path)
        if node is None:
            return Absent(path)
        if reason := why_beyond(path) or _why_unsupported(node):
            return Unsupported(path, reason)
        if node.stat == known:
            return Unchanged(path)
        if node.is_unreadable:
            return ScanProblem(path, UNREADABLE)
        if kind_of(node.mode) == Kind.FILE and (reason := self._volume.trouble.why_not("read")) is not None:
            return ScanProblem(path, reason)
        return self._observe(path, node)

    def _observe(self, path: Path, node: Node) -> Observation:
        kind = kind_of(node.mode)
        assert kind is not None
        content: bytes | None = None if kind == Kind.DIRECTORY else node.data
        manifest: Manifest | None = None
        if kind == Kind.FILE:
            self.counters.files_read += 1
            self.counters.bytes_read += len(node.data)
            content, manifest = describe(node.data)
        return Observation(path, kind, node.stat, node.attributes, content, manifest, node.sparse, tuple(_notes(node)))

    def read_ignore_file(self) -> bytes | None:
        """The content of ``.syncignore`` at the root, None without one."""
        if not self._is_same_root():
            raise OSError(errno.ESTALE, ROOT_CHANGED)
        node = self._volume.look(IGNORE_FILE)
        if node is None:
            return None
        if kind_of(node.mode) != Kind.FILE:
            raise OSError(errno.EINVAL, ".syncignore is no regular file: make it one, or remove it")
        if node.is_unreadable:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return node.data


def _why_unsupported(node: Node) -> str | None:
    if node.is_mount:
        return NESTED_MOUNT
    return what_is(node.mode) if kind_of(node.mode) is None else None


def _notes(node: Node) -> list[str]:
    words = [word for bit, word in ((0o4000, "setuid"), (0o2000, "setgid"), (0o1000, "sticky")) if node.mode & bit]
    notes = [f"{'/'.join(words)} {'bit is' if len(words) == 1 else 'bits are'} not kept"] if words else []
    if node.links > 1:
        notes.append(f"hard link ({node.links} names) is kept as independent files")
    if node.has_too_many_xattrs:
        notes.append("extended attributes are not kept")
    return notes
