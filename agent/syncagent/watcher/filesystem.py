"""What the system says about file systems and limits: mounts, their types, the limits of inotify."""

from __future__ import annotations

import re
from dataclasses import dataclass

MOUNTINFO = "/proc/self/mountinfo"

LOCAL_TYPES = frozenset(
    b"ext2 ext3 ext4 xfs btrfs tmpfs ramfs overlay zfs f2fs bcachefs jfs nilfs2 vfat exfat ntfs3 squashfs erofs".split()
)
"""Every change passes this kernel, so every change gives an event."""
REMOTE_TYPES = frozenset(
    b"nfs nfs4 cifs smb3 smbfs 9p virtiofs vboxsf fuse ceph lustre afs gfs2 ocfs2 vmhgfs prl_fs fakeowner".split()
)
"""Others change it behind this kernel's back. All of ``fuse.*`` too."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system: where, and of which type."""

    point: bytes
    type: bytes


def mounts() -> list[Mount]:
    """The mounts of this process, in the order in which they were made; empty without /proc."""
    try:
        with open(MOUNTINFO, "rb") as file:
            return parse_mountinfo(file.read())
    except OSError:
        return []


def parse_mountinfo(content: bytes) -> list[Mount]:
    """Read the lines of a mountinfo file; see proc(5)."""
    found = []
    for line in content.splitlines():
        left, separator, right = line.partition(b" - ")
        fields = left.split()
        if separator and len(fields) >= 5 and right:
            found.append(Mount(_unescape(fields[4]), right.split()[0]))
    return found


def mount_of(path: bytes, known: list[Mount]) -> Mount | None:
    """The mount that holds ``path``, an absolute path without symlinks. Of two on one point the later one is seen."""
    best: Mount | None = None
    for mount in known:
        is_above = path == mount.point or path.startswith(mount.point.rstrip(b"/") + b"/")
        if is_above and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    return best


def is_mount_point(path: bytes) -> bool:
    """Whether something is mounted on ``path``, an absolute path without symlinks."""
    return any(mount.point == path for mount in mounts())


def read_limit(name: str) -> int | None:
    """The present value of a sysctl, None where it cannot be read."""
    try:
        with open("/proc/sys/" + name.replace(".", "/"), encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def _unescape(field: bytes) -> bytes:
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8) & 0xFF]), field)
