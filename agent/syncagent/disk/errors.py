"""What an ``OSError`` means, in a sentence with its remedy."""

from __future__ import annotations

import errno
import os

RESOURCE_ERRORS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EROFS, errno.ENOMEM, errno.EIO, errno.ESTALE}
)
"""The volume's or the machine's trouble, not that of one path."""

MACHINE_ERRORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""These say nothing of what was looked at."""

GONE_ERRORS = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""Nothing stands at the path: no link is followed, so a link above it is no directory either."""

NOT_EMPTY_ERRORS = frozenset({errno.ENOTEMPTY, errno.EEXIST})
"""What ``rmdir`` says of a directory that still holds something."""

_REMEDIES = {
    errno.ENOSPC: "free space on the volume's file system",
    errno.EDQUOT: "free space, or raise the quota",
    errno.EMFILE: "raise the agent's limit of open files (ulimit -n)",
    errno.ENOMEM: "give the machine, or the agent, more memory",
    errno.ENFILE: "raise the machine's limit of open files",
    errno.EROFS: "mount the volume writable",
    errno.EACCES: "give the agent the permission, or run it as the owner",
    errno.EPERM: "see whether the file is immutable (lsattr), or run the agent as its owner",
    errno.ENAMETOOLONG: "give it a shorter name where it was made",
    errno.EILSEQ: "give it a name that this file system allows",
    errno.EXDEV: "it is in a nested mount, which is left out; give that mount a volume of its own",
    errno.EIO: "check the disk",
}


def describe(error: OSError) -> str:
    """The cause and, where one is known, the remedy."""
    if error.errno is None:
        return str(error) or type(error).__name__
    text = error.strerror or os.strerror(error.errno)
    remedy = _REMEDIES.get(error.errno)
    return f"{text}: {remedy}" if remedy else text
