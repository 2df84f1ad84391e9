"""The metadata of a path: reading it, and giving it, as far as this agent may.

A *target* is a descriptor, or ``anchor(fd)``: the path that leads to exactly what a descriptor of ``os.O_PATH`` names.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import Final

from syncproto import limits
from syncproto.model import Attributes

Target = int | bytes
Xattrs = tuple[tuple[bytes, bytes], ...]

OWN_PREFIX: Final = b"user.syncagent."
"""The agent's own marks, which are not replicated."""
ACL_ACCESS: Final = "system.posix_acl_access"
ACL_DEFAULT: Final = "system.posix_acl_default"
_CAPABILITY: Final = "security.capability"
_SPECIAL = {stat.S_ISUID: "setuid", stat.S_ISGID: "setgid", stat.S_ISVTX: "sticky"}
_NO_XATTRS = frozenset({errno.ENOTSUP, errno.ENOSYS})
_TOLERATED = frozenset(
    {errno.ENOTSUP, errno.ENOSYS, errno.EPERM, errno.EACCES, errno.ENOSPC, errno.E2BIG, errno.ERANGE, errno.EDQUOT}
)
"""An extended attribute that cannot be set here stays with the entry and is shown; the file itself is worth more."""


def anchor(fd: int) -> bytes:
    """A path that leads to what the descriptor names, whatever its name is by now; needs /proc."""
    return b"/proc/self/fd/%d" % fd


def read_attributes(st: os.stat_result, target: Target | None) -> tuple[Attributes, tuple[str, ...]]:
    """The replicated metadata, and notes on what is not kept. No target: a symlink, which has no user attributes."""
    xattrs, notes = ((), []) if target is None else _read_xattrs(target)
    special = [word for bit, word in _SPECIAL.items() if st.st_mode & bit]
    if special:
        notes.append(f"{'/'.join(special)} {'bit is' if len(special) == 1 else 'bits are'} not kept")
    if st.st_nlink > 1 and not stat.S_ISDIR(st.st_mode):
        notes.append(f"hard link ({st.st_nlink} names) is kept as independent files")
    return Attributes(st.st_mode & 0o777, st.st_uid, st.st_gid, xattrs), tuple(notes)


def _read_xattrs(target: Target) -> tuple[Xattrs, list[str]]:
    try:
        names = os.listxattr(target)
    except OSError as error:
        if error.errno in _NO_XATTRS:
            return (), []
        raise
    if not names:
        return (), []
    notes = []
    if ACL_ACCESS in names or ACL_DEFAULT in names:
        notes.append("POSIX ACL is not kept")
    if _CAPABILITY in names:
        notes.append("file capabilities are not kept")
    found = []
    for raw in sorted(map(os.fsencode, names)):
        if not is_replicated(raw):
            continue
        try:
            found.append((raw, os.getxattr(target, raw)))
        except OSError as error:
            if error.errno != errno.ENODATA:  # gone since it was listed: the stat will show it
                raise
    size = sum(len(name) + len(value) for name, value in found)
    if len(found) > limits.XATTRS_MAX or size > limits.XATTR_BYTES_MAX:
        notes.append(
            f"extended attributes are not kept: more than {limits.XATTRS_MAX}, or {limits.XATTR_BYTES_MAX} bytes in all"
        )
        found = []
    return tuple(found), notes


def is_replicated(xattr: bytes) -> bool:
    """Whether an extended attribute may travel: those of users only, without the agent's own."""
    return xattr.startswith(b"user.") and not xattr.startswith(OWN_PREFIX) and len(xattr) <= limits.NAME_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a directory hands down to what is made in it; read from it so that what is moved in gets it as well."""

    gid: int | None
    acl: bytes | None

    @classmethod
    def of(cls, directory: int) -> Surroundings:
        """Look at a directory that was opened, be it by ``os.O_PATH``."""
        st = os.fstat(directory)
        try:
            acl = os.getxattr(anchor(directory), ACL_DEFAULT)
        except OSError:
            acl = None
        return cls(st.st_gid if st.st_mode & stat.S_ISGID else None, acl)

    def hand_down(self, target: Target, *, is_directory: bool) -> None:
        """Give a new file or directory the group and the ACL of its surroundings."""
        if self.gid is not None:
            _change_owner(target, -1, self.gid)
        if self.acl is not None:
            for name in (ACL_ACCESS, ACL_DEFAULT) if is_directory else (ACL_ACCESS,):
                _set_xattr(target, name, self.acl)
        if self.gid is not None and is_directory:
            os.chmod(target, os.stat(target).st_mode & 0o777 | stat.S_ISGID)


def dress(target: Target, wanted: Attributes) -> None:
    """Give attributes to what nobody else can reach yet: the owner last, since afterwards the agent may do less."""
    st = os.stat(target)
    if not stat.S_ISLNK(st.st_mode):
        _give_xattrs(target, st, wanted.xattrs)
        os.chmod(target, wanted.mode | _local_bits(st))
    _give_owner(target, st, wanted)


def restyle(target: Target, wanted: Attributes) -> None:
    """Give attributes to what is in use: the owner first, so that no wrong one ever has the new mode's rights."""
    st = os.stat(target)
    _give_owner(target, st, wanted)
    if not stat.S_ISLNK(st.st_mode):
        _give_xattrs(target, st, wanted.xattrs)
        os.chmod(target, wanted.mode | _local_bits(st))


def _give_owner(target: Target, st: os.stat_result, wanted: Attributes) -> None:
    """What only a privileged agent may do is left undone."""
    if (st.st_uid, st.st_gid) != (wanted.uid, wanted.gid) and not _change_owner(target, wanted.uid, wanted.gid):
        _change_owner(target, -1, wanted.gid)


def _local_bits(st: os.stat_result) -> int:
    """The setgid and sticky bits of a directory are this replica's own affair; a file's special bits are dropped."""
    return st.st_mode & (stat.S_ISGID | stat.S_ISVTX) if stat.S_ISDIR(st.st_mode) else 0


def _change_owner(target: Target, uid: int, gid: int) -> bool:
    try:
        os.chown(target, uid, gid)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EINVAL):  # EINVAL: no such id in this user namespace
            raise
        return False
    return True


def _give_xattrs(target: Target, st: os.stat_result, wanted: Xattrs) -> None:
    held, _ = _read_xattrs(target)
    allowed = tuple(sorted((name, value) for name, value in wanted if is_replicated(name)))
    if held == allowed:
        return
    if not st.st_mode & stat.S_IWUSR:
        os.chmod(target, st.st_mode & 0o777 | stat.S_IWUSR | _local_bits(st))
    goal = dict(allowed)
    for name, _ in held:
        if name not in goal:
            _remove_xattr(target, name)
    for name, value in allowed:
        if (name, value) not in held:
            _set_xattr(target, name, value)


def _set_xattr(target: Target, name: str | bytes, value: bytes) -> None:
    try:
        os.setxattr(target, name, value)
    except OSError as error:
        if error.errno not in _TOLERATED:
            raise


def _remove_xattr(target: Target, name: bytes) -> None:
    try:
        os.removexattr(target, name)
    except OSError as error:
        if error.errno not in _TOLERATED | {errno.ENODATA}:
            raise
