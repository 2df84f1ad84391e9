"""Our side of watchdog's inotify classes: watches on every directory of a tree, kept right through every rename.

Uses names that watchdog keeps private, so its version is pinned and a contract test compares them. What is different:
- A queue overflow is told to the owner and repaired by it, on another thread. The library takes all watches off and
  sets them again on the thread that reads: that fills the queue again, for ever.
- A directory that appears under a name is walked as it is now, and each watch gets its present path. The library
  moves paths about in memory, which goes wrong when a move was seen by half, when two directories are exchanged, and
  when a directory left the tree and its name was used again: then its reader dies of a KeyError.
- A watch that could not be set is remembered with its cause: nobody shall believe a tree watched that is not.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable

from watchdog.observers.inotify import InotifyWatchGroup
from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchCallback,
    WatchDescriptor,
)

from syncagent.watcher.filesystem import is_mount_point
from syncagent.watcher.pairing import MoveQueue
from syncproto.paths import RESERVED_NAME

# Neither IN_OPEN nor IN_CLOSE_NOWRITE: our own reading must not wake us. IN_MOVE_SELF and IN_DELETE_SELF matter for
# the root only: of every other directory its parent tells the same.
EVENTS = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_MODIFY
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_ATTRIB
    | InotifyConstants.IN_MOVED_FROM
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ONLYDIR
)
VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""The directory went between its event and our look: no failure, its own events tell the rest."""


class Reader(InotifyFD):
    """The thread that reads one inotify instance. ``on_death`` is called if it ends without being stopped."""

    def __init__(self, on_death: Callable[[], None]) -> None:
        super().__init__()
        self.name = "watch-reader"
        self._on_death = on_death

    def run(self) -> None:
        """Read until stopped."""
        try:
            super().run()
        finally:
            if self.should_keep_running():
                self._on_death()

    def _add_callback(self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId) -> WatchDescriptor:
        # The library warns where a directory is watched already (we add again to learn its path), and takes a
        # directory that may not be read (EACCES) for a watch with the number -1.
        watch = self._get_or_create_watch(path, mask)
        if watch.wd < 0:
            self._watch_for_wd.pop(watch.wd, None)
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        watch.callbacks[id_] = callback
        return watch.wd


class WatchTree(InotifyWatchGroup):
    """A watch on each directory below ``root``, the agent's own directory and nested mounts left out.

    Raises ``OSError`` where the root itself cannot be watched. ``failure`` is the last reason why a directory is not
    watched (a used-up limit goes before all others), ``failures`` their number since the last repair.
    """

    def __init__(self, reader: Reader, root: bytes, queue: MoveQueue) -> None:
        self.queue = queue
        self.failure: OSError | None = None
        self.failures = 0
        self._device = os.lstat(root).st_dev
        self._own_directory = os.path.join(root, RESERVED_NAME)
        self._root_watch = WatchDescriptor(-1)
        self._repairing = threading.Lock()
        super().__init__(reader, root, event_mask=EVENTS, is_recursive=True)

    def __post_init__(self) -> None:
        self._move_event_grouper = self.queue
        super().__post_init__()

    @property
    def watched_directories(self) -> int:
        """How many directories are watched now."""
        return len(self._active_callbacks_by_watch)

    @property
    def is_root_watched(self) -> bool:
        """False once the root was deleted or its file system went."""
        return self._root_watch in self._active_callbacks_by_watch

    def repair(self) -> int:
        """Watch what is not watched; gives the number of directories that were missing. For any thread.

        The lock is given up between directories, so the reader goes on and the kernel's queue does not fill meanwhile.
        """
        added = 0
        with self._repairing:
            self.failure, self.failures = None, 0
            waiting = [self.path]
            while waiting:
                directory = waiting.pop()
                with self._lock:
                    if not self.is_active:
                        break
                    before = self.watched_directories
                    self._watch(directory)
                    added += self.watched_directories > before
                waiting.extend(self._directories_in(directory))
        return added

    def on_queue_overflow(self) -> None:
        """Called by the reader: the kernel dropped events."""
        if self.is_active:
            self.queue.put_lost("the kernel's queue of events overflowed (fs.inotify.max_queued_events)")

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """Called by the reader: a watched directory is gone."""
        was_watched = self.is_root_watched
        super().on_watch_deleted(wd)
        if self.is_active and was_watched and not self.is_root_watched:
            self.queue.put_lost("the root directory is gone")

    def _add_all_callbacks(self, path: bytes) -> None:
        if path == self._own_directory:
            return
        waiting = [path]
        while waiting:
            directory = waiting.pop()
            # Where a directory is watched under this very name, what is below it was seen after its watch was set,
            # or has an event of its own in the queue.
            if not self._watch(directory):
                waiting.extend(self._directories_in(directory))

    def _watch(self, path: bytes) -> bool:
        """Set or re-name the watch of one directory; True if it had it under this name."""
        try:
            wd = self._inotify_fd.add_callback(path, self.event_mask, self._callback, self._id)
        except OSError as error:
            if path == self.path and not self.is_active:
                raise
            self._note_failure(path, error)
            return False
        if path == self.path:
            self._root_watch = wd
        known = self._active_callbacks_by_watch.get(wd)
        self._active_callbacks_by_watch[wd] = path
        return known == path

    def _note_failure(self, path: bytes, error: OSError) -> None:
        if error.errno in VANISHED:
            return
        self.failures += 1
        if self.failure is None or self.failure.errno != errno.ENOSPC:
            self.failure = OSError(error.errno, error.strerror, path)

    def _directories_in(self, path: bytes) -> list[bytes]:
        try:
            with os.scandir(path) as entries:
                return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False) and self._is_ours(entry)]
        except OSError as error:
            if error.errno != errno.EACCES:  # then the watch has failed as well, and is counted
                self._note_failure(path, error)
            return []

    def _is_ours(self, entry: os.DirEntry[bytes]) -> bool:
        if entry.path == self._own_directory:
            return False
        # Another device is a nested mount, or a subvolume of the same one, which belongs to the tree.
        return entry.stat(follow_symlinks=False).st_dev == self._device or not is_mount_point(entry.path)

    def _move_watches(self, move_src_path: bytes, move_dst_path: bytes) -> bool:
        return False  # "not watched": the library then calls _add_all_callbacks for the new name, as we want it

    def _recursive_simulate(self, src_path: bytes) -> list[InotifyEvent]:
        return []  # a hint for the whole directory is given instead

    def _remove_watch_internally(self, wd: WatchDescriptor) -> None:
        self._active_callbacks_by_watch.pop(wd, None)
