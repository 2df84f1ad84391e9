"""A volume's root on the real disk, for the engine to open and to watch."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable

from syncagent.config import VolumeConfig
from syncagent.ports import DirtyPath, WatchLost
from syncagent.scanner import VolumeScanner
from syncagent.tree import VolumeTree
from syncagent.watcher import PollingWatcher, Watcher, open_watcher


class VolumeBusy(Exception):
    """Another agent has this volume; the text says which volume and what to do."""


class RealDisk:
    """Opens scanner, tree and watcher of one volume, and keeps other agents away from its root."""

    def __init__(self, config: VolumeConfig) -> None:
        self._config = config
        self._lock: int | None = None
        self._is_first = True
        self._scanner: VolumeScanner | None = None
        self._tree: VolumeTree | None = None

    def open(self) -> tuple[VolumeScanner, VolumeTree]:
        """For the root as its path leads to it now. Raises ``OSError``; the first time also ``VolumeBusy``."""
        path = self._config.path
        is_first, self._is_first = self._is_first, False
        self._lock_root(path, is_first=is_first)
        self._scanner, self._tree = VolumeScanner(path), VolumeTree(path, keep_bytes=self._config.history_size)
        return self._scanner, self._tree

    def close(self) -> None:
        """Remove what waits in staging for late writers, and let other agents have the root."""
        if self._tree is not None and self._scanner is not None:
            self._tree.close()
            self._scanner.close()
            self._tree = self._scanner = None
        self._unlock()

    def watch(self, emit: Callable[[DirtyPath | WatchLost], None]) -> Watcher | PollingWatcher:
        """Begin to watch the root. Raises ``OSError``."""
        config = self._config
        if config.watch == "poll":
            poller = PollingWatcher(emit, interval_seconds=config.poll_interval)
            poller.start()
            return poller
        return open_watcher(config.path, emit, ignore=lambda path: False, poll_seconds=config.poll_interval)

    def _lock_root(self, path: bytes, *, is_first: bool) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            is_busy = error.errno in (errno.EWOULDBLOCK, errno.EACCES) and not self._is_ours(descriptor)
            if not is_busy and self._lock is not None:
                os.close(descriptor)  # the descriptor that has the lock must stay
                return
            if is_busy:
                os.close(descriptor)
                if not is_first:
                    self._unlock()  # of a root that is elsewhere now, perhaps where its owner waits for it
                    raise BlockingIOError(errno.EBUSY, "another agent has it") from error
                raise VolumeBusy(
                    f"volume {self._config.name}: another agent already has {os.fsdecode(path)}; "
                    "stop it, or give this one another directory"
                ) from error
        self._unlock()
        self._lock = descriptor

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _is_ours(self, descriptor: int) -> bool:
        """Whether the root is locked by this very process, from an earlier opening."""
        return self._lock is not None and os.path.sameopenfile(self._lock, descriptor)
