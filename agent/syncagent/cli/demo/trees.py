"""Directories as the demo sees them: a walk of its own, a comparison byte for byte, and the tree it starts with."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

Path = bytes

AGENTS_OWN = b".syncagent"

LEFT_OUT = frozenset((b"__pycache__", b"site-packages", b"dist-packages"))
TESTS = frozenset((b"test", b"tests"))
BIG_FILE_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Node:
    """What stands at a path. ``content``: the target of a symlink, the SHA-256 of a file if it was read."""

    kind: str
    mode: int
    size: int
    mtime_ns: int
    content: bytes = b""


def walk(root: bytes, *, is_read: bool) -> dict[Path, Node]:
    """Everything below ``root`` but the agent's own directory; modification times of files only.

    ``is_read``: with the content of files. Raises OSError.
    """
    found: dict[Path, Node] = {}
    pending = [b""]
    while pending:
        directory = pending.pop()
        with os.scandir(os.path.join(root, directory)) as entries:
            for entry in entries:
                if not directory and entry.name == AGENTS_OWN:
                    continue
                path = os.path.join(directory, entry.name)
                found[path] = _node(os.path.join(root, path), entry.stat(follow_symlinks=False), is_read)
                if found[path].kind == "directory":
                    pending.append(path)
    return found


def _node(full: bytes, st: os.stat_result, is_read: bool) -> Node:
    mode = stat.S_IMODE(st.st_mode)
    if stat.S_ISDIR(st.st_mode):
        return Node("directory", mode, 0, 0)
    if stat.S_ISLNK(st.st_mode):
        return Node("symlink", 0, 0, 0, os.readlink(full))
    if not stat.S_ISREG(st.st_mode):
        return Node(f"something else ({stat.S_IFMT(st.st_mode):o})", mode, 0, 0)
    return Node("file", mode, st.st_size, st.st_mtime_ns, digest(full) if is_read else b"")


def digest(full: bytes) -> bytes:
    """SHA-256 of a file. Raises OSError."""
    with open(full, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def differences(trees: Mapping[str, Mapping[Path, Node]]) -> Iterator[str]:
    """A sentence for each path that is not the same in all trees, by their names."""
    names = list(trees)
    first = trees[names[0]]
    for name in names[1:]:
        other = trees[name]
        for path in sorted(first.keys() | other.keys()):
            here, there = first.get(path), other.get(path)
            if here != there:
                yield f"{os.fsdecode(path)}: {names[0]} has {_told(here)}, {name} has {_told(there)}"


def _told(node: Node | None) -> str:
    if node is None:
        return "nothing"
    if node.kind != "file":
        return f"a {node.kind}" + (f" to {os.fsdecode(node.content)}" if node.content else f" of mode {node.mode:04o}")
    return (
        f"a file of {node.size} bytes, mode {node.mode:04o}, time {node.mtime_ns / 1e9:.9f}, "
        f"content {node.content.hex()[:12] or 'not read'}"
    )


@dataclass(frozen=True, slots=True)
class Source:
    """One thing to copy: where it is, and its path in the copy."""

    full: bytes
    path: Path
    is_link: bool


def library_files(limit: int) -> list[Source]:
    """Files and symlinks of the running Python's own library, without its test suites if they exceed ``limit``.

    Left out: installed packages, compiled files, what is larger than 8 MiB or cannot be read.
    """
    root = os.fsencode(sysconfig.get_path("stdlib"))
    everything = list(_sources(root, b""))
    if len(everything) > limit:
        everything = [source for source in everything if not TESTS.intersection(source.path.split(b"/"))]
    return everything[:limit]


def _sources(root: bytes, directory: Path) -> Iterator[Source]:
    with os.scandir(os.path.join(root, directory)) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    for entry in entries:
        path = os.path.join(directory, entry.name)
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in LEFT_OUT and os.access(entry.path, os.R_OK | os.X_OK):
                yield from _sources(root, path)
        elif entry.is_symlink():
            yield Source(entry.path, path, True)
        elif entry.is_file() and entry.stat().st_size <= BIG_FILE_BYTES and os.access(entry.path, os.R_OK):
            yield Source(entry.path, path, False)


def copy(source: Source, root: bytes) -> None:
    """Copy one thing with its mode and time, and the directories above it. Raises OSError."""
    target = os.path.join(root, source.path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if source.is_link:
        os.symlink(os.readlink(source.full), target)
        return
    shutil.copyfile(source.full, target)
    st = os.stat(source.full)
    os.chmod(target, stat.S_IMODE(st.st_mode) & 0o777 | stat.S_IRUSR | stat.S_IWUSR)
    os.utime(target, ns=(st.st_atime_ns, st.st_mtime_ns))
