"""The in-memory twin of a volume: one tree of inodes, with a user who works on it, a scanner and a tree.

``MemoryVolume`` is the disk and its user. ``open()`` gives the scanner and the tree of one process: what that process
only remembers is gone with it, what is staged stays on the disk. ``notices`` tells watchers what happens below the
root, as the kernel does; what is staged is below the agent's own directory, which nobody watches.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator

from watchdog.observers.inotify_c import InotifyConstants as Inotify

from syncagent.disk.stat import kind_of
from syncproto.model import Attributes, Kind, Path
from syncproto.paths import name, parent
from twins.accidents import Accidents
from twins.inode import Node as Node


class Writer:
    """A file that the user has open for writing; what is written goes to that inode, whatever its name is by now."""

    def __init__(self, volume: MemoryVolume, node: Node) -> None:
        self._volume = volume
        self._cuts = volume.cuts
        self.node = node
        node.writers += 1

    def write(self, data: bytes) -> None:
        """Append. Raises ``OSError``: no program outlives a power cut."""
        if self._cuts != self._volume.cuts:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        self.node.data += data
        self._volume.stamp(self.node)

    def close(self) -> None:
        """Done."""
        if self._cuts == self._volume.cuts:
            self.node.writers -= 1
            self._volume.tell_each(self.node, Inotify.IN_CLOSE_WRITE)


class MemoryVolume(Accidents):
    """The simulated disk of one volume. The user's acts raise ``OSError`` as the real ones do."""

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        super().__init__()
        self._clock = clock
        self._last_ns = 0
        self.changes = 0
        """Grows with each change: who has seen this number has seen all."""
        self._last_inode = 1
        self._free_inodes: list[int] = []
        self.root = self.new_node(stat.S_IFDIR | 0o755)

    # -- inodes ----------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        """The clock, and never the same time twice unless the disk's clock is coarse."""
        self.changes += 1
        coarse = self.granularity_ns
        self._last_ns = max(self._clock() // coarse * coarse, self._last_ns + (coarse == 1))
        return self._last_ns

    def wall_ns(self) -> int:
        """What the clock says; nothing is changed by that."""
        return self._clock()

    def new_node(self, mode: int, data: bytes = b"") -> Node:
        """A new inode, owned by whoever runs this."""
        now = self.now_ns()
        node = Node(self._new_inode(), mode, os.getuid(), os.getgid(), now, now, data)
        if stat.S_ISLNK(mode):  # its target comes with its name
            self.durable.sync_data(node)
        return node

    def _new_inode(self) -> int:
        if self._free_inodes:
            return self._free_inodes.pop()
        self._last_inode += 1
        return self._last_inode

    def stamp(self, node: Node, *, is_content: bool = True) -> None:
        """Note a change of the content, or only of the inode, and tell of it."""
        self._set_times(node, is_content=is_content)
        self.tell_each(node, Inotify.IN_MODIFY if is_content else Inotify.IN_ATTRIB)

    def _set_times(self, node: Node, *, is_content: bool) -> None:
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

    def attach(self, path: Path, node: Node, *, told: int = Inotify.IN_MOVED_TO, cookie: int = 0) -> None:
        """Let a node stand at a path, in the place of whatever does: it comes from outside, unless ``told`` differs."""
        self._put(path, node)
        self.tell(path, node, told, cookie)

    def detach(self, path: Path, *, told: int = Inotify.IN_MOVED_FROM, cookie: int = 0) -> Node:
        """Take a name away: the node goes outside, unless ``told`` differs; it stays for whoever holds it."""
        node = self._take(path)
        self.tell(path, node, told, cookie)
        return node

    def _put(self, path: Path, node: Node) -> None:
        directory = self.find_directory(parent(path))
        old = directory.children.get(name(path))
        with self.durable.together():
            if old is not None and old is not node:
                self._take(path)
                if old.is_directory:
                    self.notices.tell_itself(old, Inotify.IN_ATTRIB | Inotify.IN_ISDIR)
                    self.notices.tell_itself(old, Inotify.IN_IGNORED)
            directory.children[name(path)] = node
            self._set_times(directory, is_content=True)
            self._set_times(node, is_content=False)
            self.durable.name_changed(directory, name(path), node)

    def _take(self, path: Path) -> Node:
        directory = self.find_directory(parent(path))
        node = directory.children.pop(name(path))
        with self.durable.together():
            self._set_times(directory, is_content=True)
            self._set_times(node, is_content=False)
            self.durable.name_changed(directory, name(path), node, is_gone=True)
        return node

    def tell(self, path: Path, node: Node, mask: int, cookie: int = 0) -> None:
        """Tell watchers what happened to the node at a path, or to the one that was there."""
        if self.notices.listeners:
            directory = self.find(parent(path)) if path else None
            self.notices.tell(directory, name(path), node, mask, cookie)

    def tell_each(self, node: Node, mask: int) -> None:
        """Tell watchers what happened to a node, under each of its names."""
        for path in self.paths_of(node) if self.notices.listeners else []:
            self.tell(path, node, mask)

    # -- what the user does ------------------------------------------------------------------------------

    def write(self, path: Path, data: bytes) -> None:
        """Create a file, or replace its content in place."""
        node = self.look(path)
        if node is None:
            node = self.new_node(stat.S_IFREG | 0o644)
            self.attach(path, node, told=Inotify.IN_CREATE)
        self._write(path, node, data)

    def _write(self, path: Path, node: Node, data: bytes, *, is_append: bool = False) -> None:
        is_told = bool(node.data or data)
        node.data, node.sparse = (node.data + data, node.sparse) if is_append else (data, False)
        self._set_times(node, is_content=True)
        if is_told:
            self.tell(path, node, Inotify.IN_MODIFY)
        self.tell(path, node, Inotify.IN_CLOSE_WRITE)

    def write_sparse(self, path: Path, data: bytes) -> None:
        """Create a file whose pages of zeros are holes."""
        self.write(path, data)
        self.find(path).sparse = True

    def append(self, path: Path, data: bytes) -> None:
        """Add to the end of a file."""
        self._write(path, self.find(path), data, is_append=True)

    def truncate(self, path: Path, size: int) -> None:
        """Shorten a file."""
        node = self.find(path)
        node.data = node.data[:size]
        self._set_times(node, is_content=True)
        self.tell(path, node, Inotify.IN_MODIFY)

    def delete(self, path: Path) -> None:
        """Delete whatever is there, with all that is in it."""
        node = self.find(path)
        for below, _, _, _ in reversed([*self.walk(path)] if node.is_directory else []):
            self.tell(below, self.find(below), Inotify.IN_DELETE)
        self.detach(path, told=Inotify.IN_DELETE).links -= 1
        if self.reuses_inodes and not (node.links or node.writers):
            self._free_inodes.append(node.inode)

    def rename(self, path: Path, to: Path) -> None:
        """Rename, replacing what is there."""
        cookie = self.notices.new_cookie()
        with self.durable.together():
            self.attach(to, self.detach(path, cookie=cookie), cookie=cookie)

    def exchange(self, path: Path, other: Path) -> None:
        """Swap two names in one step."""
        with self.durable.together():
            node, there = self._take(path), self._take(other)
            self._put(path, there)
            self._put(other, node)
        for one, two, moved in ((path, other, node), (other, path, there)):
            cookie = self.notices.new_cookie()
            self.tell(one, moved, Inotify.IN_MOVED_FROM, cookie)
            self.tell(two, moved, Inotify.IN_MOVED_TO, cookie)

    def mkdir(self, path: Path) -> None:
        """Make a directory."""
        if self.look(path) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        self.attach(path, self.new_node(stat.S_IFDIR | 0o755), told=Inotify.IN_CREATE)

    def symlink(self, path: Path, target: bytes) -> None:
        """Make a symlink."""
        self.attach(path, self.new_node(stat.S_IFLNK | 0o777, target), told=Inotify.IN_CREATE)

    def link(self, path: Path, to: Path) -> None:
        """Give a file a second name."""
        node = self.find(path)
        node.links += 1
        self.attach(to, node, told=Inotify.IN_CREATE)

    def fifo(self, path: Path) -> None:
        """Make what is not replicated."""
        self.attach(path, self.new_node(stat.S_IFIFO | 0o644), told=Inotify.IN_CREATE)

    def _change(self, path: Path, node: Node) -> None:
        self._set_times(node, is_content=False)
        self.tell(path, node, Inotify.IN_ATTRIB)

    def chmod(self, path: Path, mode: int) -> None:
        """Change the mode, special bits included."""
        node = self.find(path)
        node.mode = stat.S_IFMT(node.mode) | mode
        self._change(path, node)

    def chown(self, path: Path, uid: int, gid: int) -> None:
        """Change the owner."""
        node = self.find(path)
        node.uid, node.gid = uid, gid
        self._change(path, node)

    def set_xattr(self, path: Path, key: bytes, value: bytes) -> None:
        """Set an extended attribute."""
        node = self.find(path)
        node.xattrs[key] = value
        self._change(path, node)

    def touch(self, path: Path, mtime_ns: int) -> None:
        """Set the modification time."""
        node = self.find(path)
        self._change(path, node)
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
        own = [b".syncagent"] if not path and (self.staged or self.parts or self.kept) else []
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
