"""The demo's own account of what was written where, against which the disks are held at the end.

Every write takes note of the content it overwrote, as the writer could see it on its side. A content that nobody
overwrote or deleted knowingly has to be found: at its path, or in a conflict copy beside it.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from syncagent.cli.demo.trees import Node, Path, digest, walk


@dataclass(slots=True)
class _Record:
    """What has to be at one path. ``contents``: digests that nobody overwrote; ``mode`` and time None: not known."""

    kind: str
    contents: set[bytes] = field(default_factory=set)
    mode: int | None = None
    mtime_ns: int | None = None


@dataclass(slots=True)
class Count:
    """What the ledger has seen and found."""

    written: int = 0
    overwritten: int = 0
    deleted: int = 0
    in_place: int = 0
    in_copies: int = 0


class Ledger:
    """Does the edits and keeps account of them. Safe to use from several threads, if they touch different paths."""

    def __init__(self, replicas: Mapping[str, bytes]) -> None:
        self._roots = dict(replicas)
        self._records: dict[Path, _Record] = {}
        self._gone: set[Path] = set()
        self._lock = threading.Lock()
        self.count = Count()

    # -- edits ---------------------------------------------------------------------------------------

    def take_stock(self, side: str) -> None:
        """Count all that stands on one side as written."""
        for path, node in walk(self._roots[side], is_read=True).items():
            contents = {node.content} if node.content else set()
            time = node.mtime_ns if node.kind == "file" else None
            mode = None if node.kind == "symlink" else node.mode
            self._records[path] = _Record(node.kind, contents, mode, time)
            self.count.written += node.kind == "file"

    def write(self, side: str, path: Path, data: bytes, *, is_append: bool = False) -> None:
        """Create the file, overwrite it in place, or append to it."""
        full = self._full(side, path)
        before = self._seen(full)
        with open(full, "ab" if is_append else "wb") as file:
            file.write(data)
        self._wrote(path, before, digest(full) if is_append else hashlib.sha256(data).digest())

    def replace(self, side: str, path: Path, data: bytes) -> None:
        """Replace the file by a rename, as editors do."""
        full = self._full(side, path)
        before = self._seen(full)
        aside = full + b".swp~"
        with open(aside, "wb") as file:
            file.write(data)
        os.chmod(aside, stat.S_IMODE(os.stat(full).st_mode))
        os.replace(aside, full)
        self._wrote(path, before, hashlib.sha256(data).digest())

    def change_mode(self, side: str, path: Path, mode: int) -> None:
        os.chmod(self._full(side, path), mode)
        with self._lock:
            self._records[path].mode = mode

    def make_directory(self, side: str, path: Path) -> None:
        os.mkdir(self._full(side, path))
        with self._lock:
            self._records[path] = _Record("directory")

    def make_symlink(self, side: str, path: Path, target: bytes) -> None:
        os.symlink(target, self._full(side, path))
        with self._lock:
            self._records[path] = _Record("symlink", {target})

    def rename(self, side: str, old: Path, new: Path) -> None:
        """Rename a file, or a directory with all that is in it."""
        os.rename(self._full(side, old), self._full(side, new))
        with self._lock:
            for path in self._within(old):
                self._records[new + path[len(old) :]] = self._records.pop(path)
                self._gone.add(path)

    def delete(self, side: str, path: Path) -> None:
        """Delete a file; a content of it that this side has not seen lives on."""
        full = self._full(side, path)
        before = self._seen(full)
        os.unlink(full)
        with self._lock:
            record = self._records[path]
            self.count.deleted += before in record.contents
            record.contents.discard(before)
            record.mtime_ns = None
            if not record.contents:
                del self._records[path]
                self._gone.add(path)

    def delete_directory(self, side: str, path: Path) -> int:
        """Delete a directory with all that is in it; gives the number of entries."""
        with self._lock:
            inside = sorted(self._within(path), reverse=True)
        for each in inside:
            full = self._full(side, each)
            if self._records[each].kind == "directory":
                os.rmdir(full)
            else:
                os.unlink(full)
        with self._lock:
            for each in inside:
                record = self._records.pop(each)
                self.count.deleted += len(record.contents) if record.kind == "file" else 0
                self._gone.add(each)
        return len(inside)

    def _full(self, side: str, path: Path) -> bytes:
        return os.path.join(self._roots[side], path)

    def _within(self, path: Path) -> list[Path]:
        return [each for each in self._records if each == path or each.startswith(path + b"/")]

    def _seen(self, full: bytes) -> bytes:
        """The content as this side sees it; empty where there is none."""
        return digest(full) if os.path.isfile(full) else b""

    def _wrote(self, path: Path, before: bytes, after: bytes) -> None:
        with self._lock:
            record = self._records.setdefault(path, _Record("file"))
            self.count.written += 1
            self.count.overwritten += before in record.contents
            record.contents.discard(before)
            record.contents.add(after)
            record.mtime_ns = None
            self._gone.discard(path)

    # -- questions -----------------------------------------------------------------------------------

    def paths(self, kind: str) -> list[Path]:
        """The paths of all files, directories or symlinks there should be, sorted."""
        return sorted(path for path, record in self._records.items() if record.kind == kind)

    def is_met(self, tree: Mapping[Path, Node]) -> bool:
        """A quick look, without contents: everything is there, nothing that should be gone, and no more copies."""
        copies = sum(len(record.contents) - 1 for record in self._records.values() if record.kind == "file")
        return (
            len(tree) == len(self._records) + copies
            and all(path in tree and tree[path].kind == record.kind for path, record in self._records.items())
            and self._gone.isdisjoint(tree)
        )

    def faults(self, tree: Mapping[Path, Node]) -> Iterator[str]:
        """A sentence for everything in ``tree`` (with contents) that is not as written; counts what it finds."""
        self.count.in_place = self.count.in_copies = 0
        explained = set(self._records)
        for path, record in sorted(self._records.items()):
            node = tree.get(path)
            if node is None or node.kind != record.kind:
                yield f"{os.fsdecode(path)}: a {record.kind} should be here, found {node.kind if node else 'nothing'}"
            elif record.contents and node.content not in record.contents:
                yield f"{os.fsdecode(path)}: it has a content that nobody wrote there last"
            else:
                yield from self._faults_at(path, record, node, tree, explained)
        for path in sorted(tree.keys() - explained):
            what = "it was deleted or renamed and is back" if path in self._gone else "nobody wrote this"
            yield f"{os.fsdecode(path)}: {what}"
        count = self.count
        if count.written != count.in_place + count.in_copies + count.overwritten + count.deleted:
            yield f"the account does not add up: {count}"

    def _faults_at(
        self, path: Path, record: _Record, node: Node, tree: Mapping[Path, Node], explained: set[Path]
    ) -> Iterator[str]:
        if record.mode is not None and node.mode != record.mode:
            yield f"{os.fsdecode(path)}: its mode is {node.mode:04o}, and should be {record.mode:04o}"
        if record.mtime_ns is not None and node.mtime_ns != record.mtime_ns:
            yield f"{os.fsdecode(path)}: its time is {node.mtime_ns} ns, and should be {record.mtime_ns} ns"
        if record.kind == "file":
            self.count.in_place += 1
            for content in record.contents - {node.content}:
                copies = [other for other in _beside(path, tree) if tree[other].content == content]
                if len(copies) == 1:
                    self.count.in_copies += 1
                    explained.add(copies[0])
                else:
                    yield f"{os.fsdecode(path)}: content {content.hex()[:12]} should be in one copy beside it, " + (
                        f"and is in {len(copies)}" if copies else "and is lost"
                    )


def _beside(path: Path, tree: Mapping[Path, Node]) -> list[Path]:
    """The paths that can be conflict copies of ``path``: in its directory, named after it."""
    directory, _, name = path.rpartition(b"/")
    stem = name.rpartition(b".")[0] or name
    start = (directory + b"/" if directory else b"") + stem + b"~"
    return [other for other in tree if other.startswith(start) and b"/" not in other[len(start) :]]
