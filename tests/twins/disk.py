"""The in-memory twin of a volume: one tree of inodes, with a user who works on it, a scanner and a tree.

``MemoryVolume`` is the disk and its user. ``open()`` gives the scanner and the tree of one process: what that process
only remembers is gone with it, what is staged stays on the disk.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from syncagent.core.plan import StatKey, Step
from syncagent.disk.attributes import is_replicated
from syncagent.disk.stat import kind_of
from syncagent.ports import Finding, Marker, Outcome
from syncproto import limits
from syncproto.model import Attributes, Kind, Path
from syncproto.paths import name, parent


@dataclass(slots=True, eq=False)
class Node:
    """An inode. ``children`` for directories, ``data`` for files and the targets of symlinks."""

    inode: int
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    ctime_ns: int
    data: bytes = b""
    sparse: bool = False
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    children: dict[bytes, Node] = field(default_factory=dict)
    links: int = 1
    writers: int = 0
    is_mount: bool = False
    is_unreadable: bool = False

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def stat(self) -> StatKey:
        size = len(self.children) if self.is_directory else len(self.data)
        return StatKey(self.inode, size, self.mtime_ns, self.ctime_ns, self.mode, self.uid, self.gid)

    @property
    def attributes(self) -> Attributes:
        xattrs = tuple(sorted((k, v) for k, v in self.xattrs.items() if is_replicated(k)))
        return Attributes(self.mode & 0o777, self.uid, self.gid, () if self.has_too_many_xattrs else xattrs)

    @property
    def has_too_many_xattrs(self) -> bool:
        """More than may travel."""
        size = sum(len(key) + len(value) for key, value in self.xattrs.items())
        return len(self.xattrs) > limits.XATTRS_MAX or size > limits.XATTR_BYTES_MAX


class Writer:
    """A file that the user has open for writing; what is written goes to that inode, whatever its name is by now."""

    def __init__(self, volume: MemoryVolume, node: Node) -> None:
        self._volume = volume
        self.node = node
        node.writers += 1

    def write(self, data: bytes) -> None:
        """Append."""
        self.node.data += data
        self._volume.stamp(self.node)

    def close(self) -> None:
        """Done."""
        self.node.writers -= 1


class MemoryVolume:
    """The simulated disk of one volume. The user's acts raise ``OSError`` as the real ones do."""

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._last_ns = 0
        self._last_inode = 1
        self.device = 1
        self.is_gone = False
        self.is_mount_point = False
        self.is_read_only = False
        self.is_full = False
        self.may_chown = True
        self.root = self.new_node(stat.S_IFDIR | 0o755)
        self.staged: dict[bytes, Node] = {}
        self.parts: dict[bytes, bytearray] = {}
        self.markers: dict[int, Marker] = {}
        self._failures: list[tuple[type[Step], Path, Outcome]] = []
        self._findings: list[tuple[Path, Finding]] = []

    # -- inodes ----------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        """The clock, and never the same time twice."""
        self._last_ns = max(self._clock(), self._last_ns + 1)
        return self._last_ns

    def new_node(self, mode: int, data: bytes = b"") -> Node:
        """A new inode, owned by whoever runs this."""
        self._last_inode += 1
        now = self.now_ns()
        return Node(self._last_inode, mode, os.getuid(), os.getgid(), now, now, data)

    def stamp(self, node: Node, *, is_content: bool = True) -> None:
        """Note a change of the content, or only of the inode."""
        node.ctime_ns = self.now_ns()
        if is_content:
            node.mtime_ns = node.ctime_ns

    def find(self, path: Path) -> Node:
        """The node at a path; no link is followed. Raises ``OSError``."""
        node = self.root
        for part in path.split(b"/") if path else []:
            if not node.is_directory:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            if part not in node.children:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            node = node.children[part]
        return node

    def find_directory(self, path: Path) -> Node:
        """The directory at a path. Raises ``OSError``."""
        node = self.find(path)
        if not node.is_directory:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        return node

    def look(self, path: Path) -> Node | None:
        """The node at a path, None for nothing."""
        try:
            return self.find(path)
        except OSError:
            return None

    def paths_of(self, node: Node) -> list[Path]:
        """All names of a node."""
        return [path for path, _, _, _ in self.walk() if self.find(path) is node]

    def attach(self, path: Path, node: Node) -> None:
        """Let a node stand at a path, in the place of whatever does."""
        directory = self.find_directory(parent(path))
        old = directory.children.get(name(path))
        if old is not None and old is not node:
            self.detach(path)
        directory.children[name(path)] = node
        self.stamp(directory)
        self.stamp(node, is_content=False)

    def detach(self, path: Path) -> Node:
        """Take a name away; the node stays for whoever holds it."""
        directory = self.find_directory(parent(path))
        node = directory.children.pop(name(path))
        self.stamp(directory)
        self.stamp(node, is_content=False)
        return node

    # -- what the user does ------------------------------------------------------------------------------

    def write(self, path: Path, data: bytes) -> None:
        """Create a file, or replace its content in place."""
        node = self.look(path)
        if node is None:
            self.attach(path, self.new_node(stat.S_IFREG | 0o644, data))
            return
        node.data, node.sparse = data, False
        self.stamp(node)

    def write_sparse(self, path: Path, data: bytes) -> None:
        """Create a file whose pages of zeros are holes."""
        self.write(path, data)
        self.find(path).sparse = True

    def append(self, path: Path, data: bytes) -> None:
        """Add to the end of a file."""
        node = self.find(path)
        node.data += data
        self.stamp(node)

    def truncate(self, path: Path, size: int) -> None:
        """Shorten a file."""
        node = self.find(path)
        node.data = node.data[:size]
        self.stamp(node)

    def delete(self, path: Path) -> None:
        """Delete whatever is there, with all that is in it."""
        self.find(path)
        self.detach(path).links -= 1

    def rename(self, path: Path, to: Path) -> None:
        """Rename, replacing what is there."""
        self.attach(to, self.detach(path))

    def mkdir(self, path: Path) -> None:
        """Make a directory."""
        if self.look(path) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        self.attach(path, self.new_node(stat.S_IFDIR | 0o755))

    def symlink(self, path: Path, target: bytes) -> None:
        """Make a symlink."""
        self.attach(path, self.new_node(stat.S_IFLNK | 0o777, target))

    def link(self, path: Path, to: Path) -> None:
        """Give a file a second name."""
        node = self.find(path)
        node.links += 1
        self.attach(to, node)

    def fifo(self, path: Path) -> None:
        """Make what is not replicated."""
        self.attach(path, self.new_node(stat.S_IFIFO | 0o644))

    def chmod(self, path: Path, mode: int) -> None:
        """Change the mode, special bits included."""
        node = self.find(path)
        node.mode = stat.S_IFMT(node.mode) | mode
        self.stamp(node, is_content=False)

    def chown(self, path: Path, uid: int, gid: int) -> None:
        """Change the owner."""
        node = self.find(path)
        node.uid, node.gid = uid, gid
        self.stamp(node, is_content=False)

    def set_xattr(self, path: Path, key: bytes, value: bytes) -> None:
        """Set an extended attribute."""
        node = self.find(path)
        node.xattrs[key] = value
        self.stamp(node, is_content=False)

    def touch(self, path: Path, mtime_ns: int) -> None:
        """Set the modification time."""
        node = self.find(path)
        self.stamp(node, is_content=False)
        node.mtime_ns = mtime_ns

    def open_writer(self, path: Path) -> Writer:
        """Open a file for writing, and keep it open."""
        return Writer(self, self.find(path))

    def read(self, path: Path) -> bytes:
        """The content of a file."""
        node = self.find(path)
        if node.is_directory:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        return node.data

    def mtime_ns(self, path: Path) -> int:
        """The modification time of whatever is there."""
        return self.find(path).mtime_ns

    def names(self, path: Path = b"") -> list[bytes]:
        """All names in a directory, the agent's own too."""
        own = [b".syncagent"] if not path and (self.staged or self.parts) else []
        return sorted([*self.find_directory(path).children, *own])

    def walk(self, path: Path = b"") -> Iterator[tuple[Path, Kind, bytes | None, Attributes]]:
        """(path, kind, content or target, attributes) of all that can be replicated, from the top."""
        for child, node in sorted(self.find_directory(path).children.items()):
            full = path + b"/" + child if path else child
            kind = kind_of(node.mode)
            if kind is not None:
                yield full, kind, None if node.is_directory else node.data, node.attributes
            if node.is_directory:
                yield from self.walk(full)

    # -- accidents ---------------------------------------------------------------------------------------

    def replace_root(self) -> None:
        """Another, empty directory stands at the root's path; what was staged went with the first."""
        self.staged, self.parts = {}, {}
        self.root = self.new_node(stat.S_IFDIR | 0o755)
        self.is_gone = False

    def remove_root(self) -> None:
        """Nothing stands at the root's path."""
        self.is_gone = True

    def restore_root(self, root: Node) -> None:
        """The directory of before is back."""
        self.root, self.is_gone = root, False

    def fail(self, step: type[Step], path: Path, outcome: Outcome) -> None:
        """The next step of this type at this path has this outcome, and does nothing."""
        self._failures.append((step, path, outcome))

    def scripted_outcome(self, step: Step) -> Outcome | None:
        """What was scripted for a step, once."""
        for failure in self._failures:
            if isinstance(step, failure[0]) and step.path == failure[1]:
                self._failures.remove(failure)
                return failure[2]
        return None

    def find_instead(self, path: Path, finding: Finding) -> None:
        """The next look at this path finds this."""
        self._findings.append((path, finding))

    def scripted_finding(self, path: Path) -> Finding | None:
        """What was scripted for a look, once."""
        for scripted in self._findings:
            if scripted[0] == path:
                self._findings.remove(scripted)
                return scripted[1]
        return None
