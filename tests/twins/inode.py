"""An inode of the disk in memory."""

from __future__ import annotations

import stat
from dataclasses import dataclass, field

from syncagent.core.plan import StatKey
from syncagent.disk.attributes import is_replicated
from syncproto import limits
from syncproto.model import Attributes

Style = tuple[int, int, int, int, int, tuple[tuple[bytes, bytes], ...]]
"""Mode, owner, group, times and extended attributes: what an inode has besides its bytes."""


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
    safe_data: bytes = b""
    """What a power cut leaves of the bytes, and of the rest; None: nothing of it is on the disk."""
    safe_style: Style | None = None

    @property
    def style(self) -> Style:
        return self.mode, self.uid, self.gid, self.mtime_ns, self.ctime_ns, tuple(sorted(self.xattrs.items()))

    @style.setter
    def style(self, style: Style) -> None:
        self.mode, self.uid, self.gid, self.mtime_ns, self.ctime_ns, xattrs = style
        self.xattrs = dict(xattrs)

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
