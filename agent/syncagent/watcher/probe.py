"""Finds out whether events arrive on a file system, and picks the watcher that works there."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from syncagent.watcher.events import Hint, Watcher
from syncagent.watcher.filesystem import LOCAL_TYPES, REMOTE_TYPES, mount_of, mounts
from syncagent.watcher.limits import WatchRefused
from syncagent.watcher.polling import INTERVAL_SECONDS, PollingWatcher
from syncproto.paths import RESERVED_NAME

CANARY_SECONDS_MAX = 2.0

Mode = Literal["events", "poll"]


def open_watcher(
    root: bytes,
    emit: Callable[[Hint], None],
    *,
    ignore: Callable[[bytes], bool],
    poll_seconds: float = INTERVAL_SECONDS,
) -> Watcher | PollingWatcher:
    """A started watcher for ``root``: by events where they arrive, else by polling; ``check`` tells why if that can
    be helped."""
    watcher: Watcher | PollingWatcher = PollingWatcher(emit, interval_seconds=poll_seconds)
    if probe(root) == "events":
        watcher = Watcher(root, emit, ignore=ignore)
    try:
        watcher.start()
    except WatchRefused as refusal:
        watcher = PollingWatcher(emit, interval_seconds=poll_seconds, problem=str(refusal))
        watcher.start()
    return watcher


def probe(root: bytes) -> Mode:
    """Whether events arrive below ``root``: by the type of its file system, and by a trial where that is unknown."""
    mount = mount_of(os.path.realpath(root), mounts())
    mode = mode_of_type(mount.type) if mount else None
    return mode or try_canary(root)


def mode_of_type(type_name: bytes) -> Mode | None:
    """What is known of a type of file system; None if nothing is."""
    if type_name in LOCAL_TYPES:
        return "events"
    if type_name in REMOTE_TYPES or type_name.startswith(b"fuse."):
        return "poll"
    return None


def try_canary(root: bytes) -> Mode:
    """Write a file inside the agent's own directory and see if an event comes; polling where it cannot be written."""
    arrived = threading.Event()
    try:
        with _probe_directory(root) as directory:
            watcher = Watcher(directory, lambda hint: arrived.set(), ignore=lambda path: False)
            watcher.start()
            try:
                os.close(os.open(os.path.join(directory, b"canary"), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                return "events" if arrived.wait(CANARY_SECONDS_MAX) else "poll"
            finally:
                watcher.stop()
    except (OSError, WatchRefused):
        return "poll"


@contextmanager
def _probe_directory(root: bytes) -> Iterator[bytes]:
    """A directory for the trial, gone afterwards; the agent's own directory too, if it was made for this."""
    own = os.path.join(root, RESERVED_NAME)
    directory = os.path.join(own, b"probe-" + secrets.token_hex(4).encode())
    is_new = _make_directory(own)
    try:
        os.mkdir(directory, 0o700)
        try:
            yield directory
        finally:
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(directory, b"canary"))
            os.rmdir(directory)
    finally:
        if is_new:
            with suppress(OSError):  # not empty: somebody needs it now
                os.rmdir(own)


def _make_directory(path: bytes) -> bool:
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return False
    return True
