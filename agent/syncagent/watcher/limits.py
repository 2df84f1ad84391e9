"""Sentences for the person who must act when not everything can be watched."""

from __future__ import annotations

import errno
import os

from syncagent.watcher.filesystem import read_limit

WATCHES = "fs.inotify.max_user_watches"
WATCHES_OF_NAMESPACE = "user.max_inotify_watches"
INSTANCES = "fs.inotify.max_user_instances"
INSTANCES_OF_NAMESPACE = "user.max_inotify_instances"
WATCHES_SUGGESTED_MIN = 524_288
INSTANCES_SUGGESTED_MIN = 1024


class WatchRefused(Exception):
    """The root cannot be watched; the text is a sentence with cause and remedy."""


def why_root_refused(root: bytes, error: OSError) -> str:
    """Why not even the root could be watched, and what helps."""
    name = os.fsdecode(root)
    if error.errno == errno.ENOSPC:
        return f"{name} cannot be watched: {_limit_sentence(WATCHES, WATCHES_OF_NAMESPACE, WATCHES_SUGGESTED_MIN)}"
    if error.errno == errno.EMFILE:
        cause = _limit_sentence(INSTANCES, INSTANCES_OF_NAMESPACE, INSTANCES_SUGGESTED_MIN)
        return f"{name} cannot be watched: too many files are open in this process (raise ulimit -n), or {cause}"
    if error.errno == errno.EACCES:
        return f"{name} cannot be watched: {error.strerror}; give the agent's user the right to read it"
    return f"{name} cannot be watched: {error.strerror}; check that the volume's path is right and mounted"


def why_incomplete(root: bytes, watched: int, missing: int, error: OSError) -> str:
    """Why ``missing`` directories are not watched beside the ``watched`` ones, and what helps."""
    head = f"only {watched} of {watched + missing} directories of {os.fsdecode(root)} are watched"
    tail = "changes in the others are found by the periodic scan only"
    if error.errno == errno.ENOSPC:
        return f"{head}, {tail}: {_limit_sentence(WATCHES, WATCHES_OF_NAMESPACE, WATCHES_SUGGESTED_MIN)}"
    where = os.fsdecode(error.filename) if error.filename else "one of them"
    remedy = "give the agent's user the right to read it" if error.errno == errno.EACCES else "see to this cause"
    return f"{head}, {tail}: {where}: {error.strerror}; {remedy}"


def _limit_sentence(name: str, name_of_namespace: str, suggested_min: int) -> str:
    """The limit that is used up: the machine's, or the lower one of a user namespace."""
    present, present_of_namespace = read_limit(name), read_limit(name_of_namespace)
    limit, note, where = name, "", "on the host"
    if present is not None and present_of_namespace is not None and present_of_namespace < present:
        note = f"{name} is {present}, but in this user namespace "
        limit, present, where = name_of_namespace, present_of_namespace, "inside the namespace"
    suggested = max(suggested_min, 2 * (present or 0))
    shown = "unknown" if present is None else str(present)
    return (
        f"{note}the limit {limit}, now {shown} for all programs of a user, is used up; "
        f"raise it {where}: sysctl -w {limit}={suggested}"
    )
