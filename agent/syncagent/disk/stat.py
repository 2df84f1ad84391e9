"""Stats in the core's terms, and when a path is still the expected one."""

from __future__ import annotations

import os
import stat

from syncagent.core.plan import StatKey
from syncproto.model import Kind


def stat_key(st: os.stat_result) -> StatKey:
    """The part of a stat that tells a path's state from any other."""
    return StatKey(st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns, st.st_mode, st.st_uid, st.st_gid)


def kind_of(mode: int) -> Kind | None:
    """The kind of a replicable path; None for devices, FIFOs and sockets."""
    if stat.S_ISREG(mode):
        return Kind.FILE
    if stat.S_ISDIR(mode):
        return Kind.DIRECTORY
    return Kind.SYMLINK if stat.S_ISLNK(mode) else None


def what_is(mode: int) -> str:
    """In words, what is not replicated."""
    kinds = {stat.S_IFIFO: "FIFO", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
    return kinds.get(stat.S_IFMT(mode), "special file")


def is_as_expected(expect: StatKey, actual: StatKey) -> bool:
    """Whether a path is still what it was when it was last looked at.

    A directory's size and times change with its children, so only what it is itself counts.
    """
    if stat.S_ISDIR(expect.mode):
        return _identity(expect) == _identity(actual)
    return expect == actual


def is_same_but_ctime(before: StatKey, after: StatKey) -> bool:
    """Whether a leaf is what it was before a rename, which may change only its ctime."""
    return (_identity(before), before.size, before.mtime_ns) == (_identity(after), after.size, after.mtime_ns)


def _identity(key: StatKey) -> tuple[int, int, int, int]:
    return key.inode, key.mode, key.uid, key.gid
