"""The in-memory twin of the watcher: a kernel's queue of notices, and a reader that makes hints of them.

Nothing is told before it is read, so that a test decides how far the watcher is behind: what happens in a directory
before the notice of its creation is read has no notice of its own, as with the real one.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable
from typing import Literal

from watchdog.observers.inotify_c import InotifyConstants as Inotify
from watchdog.observers.inotify_c import InotifyEvent, Mask, WatchDescriptor

from syncagent.ports import DirtyPath, WatchLost
from syncagent.watcher import WatchRefused
from syncagent.watcher.events import translate
from syncagent.watcher.limits import why_incomplete, why_root_refused
from syncproto.model import Path
from syncproto.paths import RESERVED_NAME
from twins.disk import MemoryVolume
from twins.inode import Node
from twins.notices import Notice

Hint = DirtyPath | WatchLost

NAME = b"the volume in memory"
QUEUE_MAX = 16_384
OVERFLOWED = "the kernel's queue of events overflowed (fs.inotify.max_queued_events)"


class MemoryWatcher:
    """Implements the port ``Watcher``. ``wake`` is called for each notice that is queued: ``read`` it now or later."""

    mode: Literal["events", "poll"] = "events"

    def __init__(
        self,
        volume: MemoryVolume,
        emit: Callable[[Hint], None],
        *,
        ignore: Callable[[Path], bool],
        wake: Callable[[], None] = lambda: None,
        queue_max: int = QUEUE_MAX,
    ) -> None:
        self._volume = volume
        self._emit = emit
        self._ignore = ignore
        self._wake = wake
        self._queue_max = queue_max
        self._queue: deque[Notice] = deque()
        self._is_full = False
        self._root: Node | None = None
        self._watched: dict[Node, Path] = {}
        self._failure: OSError | None = None
        self._failures = 0

    @property
    def watched_directories(self) -> int:
        """How many directories are watched, the root included. Those that were moved out of the tree stay counted."""
        return len(self._watched)

    @property
    def is_alive(self) -> bool:
        """Whether hints can still come."""
        return self._root in self._watched

    # -- start and end -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Watch every directory, then return. What changes from here on gives a hint. Raises ``WatchRefused``."""
        try:
            if self._volume.is_gone:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            if self._volume.root.is_unreadable:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise WatchRefused(why_root_refused(NAME, error)) from error
        self._volume.notices.listeners.append(self._put)
        self._watch_below(b"")

    def stop(self) -> None:
        """Take all watches off; what was not read is dropped. Safe to call twice, and after a failed start."""
        if self._put in self._volume.notices.listeners:
            self._volume.notices.listeners.remove(self._put)
        self._watched.clear()
        self._queue.clear()
        self._root, self._is_full = None, False
        self._failure, self._failures = None, 0

    def check(self, expected_directories: int) -> str | None:
        """Compare with the number of directories that a full scan found; None if all are watched."""
        if self._root is None:
            return f"{os.fsdecode(NAME)} is not watched: the watcher is stopped"
        if self.watched_directories >= expected_directories and self._failure is None:
            return None
        if self._repair():
            self._emit(WatchLost("directories that were not watched are watched now"))
        if self._failure is None:
            return None
        missing = max(self._failures, expected_directories - self.watched_directories)
        return why_incomplete(NAME, self.watched_directories, missing, self._failure)

    # -- the kernel's queue ------------------------------------------------------------------------------

    def overflow(self) -> None:
        """The queue has room for nothing more until it was read up to here."""
        if not self._is_full and self._root is not None:
            self._is_full = True
            self._append(Notice(self._root, b"", Inotify.IN_Q_OVERFLOW))

    def _put(self, notice: Notice) -> None:
        if notice.directory not in self._watched or self._is_full:
            return
        if self._queue and self._queue[-1] == notice:
            return
        if len(self._queue) >= self._queue_max:
            self.overflow()
        else:
            self._append(notice)

    def _append(self, notice: Notice) -> None:
        self._queue.append(notice)
        self._wake()

    def read(self) -> bool:
        """Read the next notice, or the two halves of a move, and give the hints; False if there was none."""
        if not self._queue:
            return False
        notice = self._queue.popleft()
        if notice.mask & Inotify.IN_Q_OVERFLOW:
            self._is_full = False
            self._recover(OVERFLOWED)
        elif notice.mask & Inotify.IN_IGNORED:
            self._forget(notice.directory)
        else:
            is_pair = notice.cookie and self._queue and self._queue[0].cookie == notice.cookie
            hints = [self._take(half) for half in ([notice, self._queue.popleft()] if is_pair else [notice])]
            for hint in reversed(hints):  # the new name first, as the real one
                if hint is not None:
                    self._emit(hint)
        return True

    def read_all(self) -> None:
        """Read until nothing is left."""
        while self.read():
            pass

    # -- what a notice means -----------------------------------------------------------------------------

    def _take(self, notice: Notice) -> Hint | None:
        """Watch the directory that appeared, if one did; then the hint."""
        above = self._watched.get(notice.directory)
        if above is None:
            return None
        path = above + b"/" + notice.name if above and notice.name else above or notice.name
        if notice.mask & Inotify.IN_ISDIR and notice.mask & (Inotify.IN_CREATE | Inotify.IN_MOVED_TO):
            self._watch_below(path)
        if path.partition(b"/")[0] == RESERVED_NAME or (path and self._ignore(path)):
            return None
        return translate(path, InotifyEvent(WatchDescriptor(0), Mask(notice.mask), notice.cookie, notice.name))

    def _forget(self, directory: Node) -> None:
        self._watched.pop(directory, None)
        if directory is self._root:
            self._recover("the root directory is gone")

    def _recover(self, reason: str) -> None:
        if self.is_alive:
            self._repair()
        self._emit(WatchLost(reason))

    # -- watches -----------------------------------------------------------------------------------------

    def _repair(self) -> int:
        """Watch what is not watched; gives the number of directories that were missing."""
        before = self.watched_directories
        self._failure, self._failures = None, 0
        waiting = [b""]
        while waiting:
            directory = waiting.pop()
            self._watch(directory)
            waiting.extend(self._directories_in(directory))
        return self.watched_directories - before

    def _watch_below(self, path: Path) -> None:
        waiting = [path] if path != RESERVED_NAME else []
        while waiting:
            directory = waiting.pop()
            if not self._watch(directory):
                waiting.extend(self._directories_in(directory))

    def _watch(self, path: Path) -> bool:
        """Set or re-name the watch of one directory; True if it had it under this name."""
        node = self._find(path)
        if node is None:
            return False
        if node.is_unreadable:
            self._failures += 1
            self._failure = PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
            return False
        if not path:
            self._root = node
        known = self._watched.get(node)
        self._watched[node] = path
        return known == path

    def _directories_in(self, path: Path) -> list[Path]:
        node = self._find(path)
        if node is None or node.is_unreadable:
            return []
        children = [(path + b"/" + name if path else name, child) for name, child in sorted(node.children.items())]
        return [full for full, child in children if child.is_directory and not child.is_mount and full != RESERVED_NAME]

    def _find(self, path: Path) -> Node | None:
        """The directory that is at the path now."""
        node = None if self._volume.is_gone else self._volume.look(path)
        return node if node is not None and node.is_directory else None
