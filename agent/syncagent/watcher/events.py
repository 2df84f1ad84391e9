"""The watcher for file systems where the kernel tells of changes: kernel events in, hints out."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from typing import Literal

from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent
from watchdog.observers.inotify_move_event_grouper import GroupedInotifyEvent, PathedInotifyEvent

from syncagent.ports import DirtyPath, WatchLost
from syncagent.watcher.inotify import Reader, WatchTree
from syncagent.watcher.limits import WatchRefused, why_incomplete, why_root_refused
from syncagent.watcher.pairing import Lost, MoveQueue
from syncproto.paths import RESERVED_NAME

Hint = DirtyPath | WatchLost

STOP_SECONDS_MAX = 5.0
log = logging.getLogger(__name__)


class Watcher:
    """Tells ``emit`` of every path below ``root`` that may have changed.

    ``emit`` is called from the watcher's threads: it must be safe for that, and quick. Paths for which ``ignore`` is
    true give no hint; their directories are watched all the same, so that the rules may change at any time.
    """

    def __init__(self, root: bytes, emit: Callable[[Hint], None], *, ignore: Callable[[bytes], bool]) -> None:
        self._root = os.path.realpath(root)
        self._emit = emit
        self._ignore = ignore
        self._is_stopping = False
        self._reader: Reader | None = None
        self._tree: WatchTree | None = None
        self._giver: threading.Thread | None = None

    @property
    def mode(self) -> Literal["events", "poll"]:
        """How changes are noticed."""
        return "events"

    @property
    def watched_directories(self) -> int:
        """How many directories are watched, the root included. Those that were moved out of the tree stay counted."""
        return self._tree.watched_directories if self._tree else 0

    @property
    def is_alive(self) -> bool:
        """Whether hints can still come: False after a thread died or the root was deleted."""
        if not (self._reader and self._tree and self._giver) or self._is_stopping:
            return False
        return self._reader.is_alive() and self._giver.is_alive() and self._tree.is_root_watched

    def start(self) -> None:
        """Watch every directory, then return. What changes from here on gives a hint. Raises ``WatchRefused``."""
        queue = MoveQueue()
        self._is_stopping = False
        try:
            self._reader = Reader(self._on_reader_death)
            self._reader.start()
            self._tree = WatchTree(self._reader, self._root, queue)
        except OSError as error:
            self.stop()
            raise WatchRefused(why_root_refused(self._root, error)) from error
        self._giver = threading.Thread(target=self._give_hints, args=(queue,), name="watch-hints", daemon=True)
        self._giver.start()

    def stop(self) -> None:
        """Take all watches off and end the threads. Safe to call twice, and after a failed start."""
        self._is_stopping = True
        if self._tree:
            self._tree.deactivate()
        if self._reader:
            self._reader.stop()
            self._reader.join()
        if self._giver:
            self._giver.join(STOP_SECONDS_MAX)
            if self._giver.is_alive():
                log.warning("the watcher's thread did not end: its receiver takes no more hints")
        self._reader = self._tree = self._giver = None

    def check(self, expected_directories: int) -> str | None:
        """Compare with the number of directories that a full scan found; None if all are watched.

        Tries to watch what is not, so it also ends the problem once its cause is gone. Otherwise gives a sentence
        with cause and remedy.
        """
        tree = self._tree
        if tree is None:
            return f"{os.fsdecode(self._root)} is not watched: the watcher is stopped"
        if not self.is_alive:
            return f"{os.fsdecode(self._root)} is not watched any more: the watcher's thread died"
        if tree.watched_directories >= expected_directories and tree.failure is None:
            return None
        if tree.repair():
            self._emit(WatchLost("directories that were not watched are watched now"))
        if tree.failure is None:
            return None
        missing = max(tree.failures, expected_directories - tree.watched_directories)
        return why_incomplete(self._root, tree.watched_directories, missing, tree.failure)

    def _on_reader_death(self) -> None:
        self._emit(WatchLost("the thread that reads the kernel's events died"))

    def _give_hints(self, queue: MoveQueue) -> None:
        try:
            while (item := queue.take()) is not None:
                if isinstance(item, Lost):
                    self._recover(item)
                else:
                    for hint in self._hints(item):
                        self._emit(hint)
        finally:
            if not self._is_stopping:
                self._emit(WatchLost("the thread that gives hints died"))

    def _recover(self, lost: Lost) -> None:
        # First the watches, then the word: a directory whose creation was lost must be watched before it is scanned.
        if self._tree and self._tree.is_root_watched:
            self._tree.repair()
        self._emit(WatchLost(lost.reason))

    def _hints(self, event: GroupedInotifyEvent) -> Iterator[Hint]:
        if isinstance(event, PathedInotifyEvent):
            halves: tuple[PathedInotifyEvent, ...] = (event,)
        else:
            # The new name first: seen alone, a content at two places is harmless, at none it looks like a deletion.
            halves = (event[1], event[0])
        for half in halves:
            path = half.path[len(self._root) :].lstrip(b"/")
            if not self._is_dropped(path) and (hint := translate(path, half.ev)):
                yield hint

    def _is_dropped(self, path: bytes) -> bool:
        return path.partition(b"/")[0] == RESERVED_NAME or (path != b"" and self._ignore(path))


def translate(path: bytes, event: InotifyEvent) -> Hint | None:
    """The hint that an event is, if it is one. One event may say several things; what must settle goes first."""
    is_directory = bool(event.mask & InotifyConstants.IN_ISDIR)
    if event.is_delete_self or event.is_move_self:
        return None if path else WatchLost("the root directory was moved or deleted")
    if event.is_create:
        return DirtyPath(path, is_closed=False, is_tree=is_directory)
    if event.is_modify:
        return DirtyPath(path, is_closed=False)
    is_written = bool(event.mask & InotifyConstants.IN_CLOSE_WRITE)
    return DirtyPath(path, is_closed=True, is_tree=is_directory and event.is_move, is_written=is_written)
