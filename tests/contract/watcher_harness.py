"""A watched volume with a user who works on it: a directory of a real file system, or the twin in memory.

Paths that begin with ``OUTSIDE`` are beside the root, on the same file system.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path as FilePath
from random import Random
from tempfile import TemporaryDirectory
from typing import Protocol

from contract.volume_harness import KINDS, RealVolume
from contract.volume_harness import Volume as AnyVolume
from syncagent import ports
from syncagent.ports import DirtyPath, WatchLost
from syncagent.watcher import PollingWatcher, Watcher
from syncproto.model import Path
from syncproto.paths import is_below
from twins.disk import MemoryVolume
from twins.disk_scanner import MemoryScanner
from twins.disk_tree import MemoryTree, open_volume
from twins.inode import Node
from twins.watcher import MemoryWatcher

SECONDS_MAX = 15.0
SHOWN_MAX = 20
OUTSIDE = b"../outside"
MEMORY = "/dev/shm"
EVENT_KINDS = KINDS
"""Watchers that name what changed: the real one on two file systems, and the twin."""
ALL_KINDS = [*KINDS, "poll"]
"""And the one that only asks for scans."""

RENAME_EXCHANGE = 2
AT_FDCWD = -100
Hint = DirtyPath | WatchLost
Ignore = Callable[[Path], bool]


class Hints:
    """Receives hints; ``on_hint`` sees each one on the watcher's own thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._hints: list[Hint] = []
        self.on_hint: Callable[[Hint], None] = lambda hint: None

    def __call__(self, hint: Hint) -> None:
        self.on_hint(hint)
        with self._changed:
            self._hints.append(hint)
            self._changed.notify_all()

    def wait_for(self, is_there: Callable[[list[Hint]], bool]) -> None:
        """Wait until the hints so far satisfy the condition."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: is_there(self._hints), SECONDS_MAX)
            assert arrived, f"only {len(self._hints)} hints came, the last are: {self._hints[-SHOWN_MAX:]}"

    def take(self) -> list[Hint]:
        """All hints since the last call."""
        with self._changed:
            taken, self._hints = self._hints, []
            return taken

    def seen(self) -> list[Hint]:
        """All hints since the last ``take``, which stay."""
        with self._changed:
            return list(self._hints)


class CountingWatcher(ports.Watcher, Protocol):
    """What every watcher can tell beyond the port."""

    @property
    def watched_directories(self) -> int: ...


class Volume(AnyVolume, Protocol):
    """The user's side, and how the watcher is started and caught up with."""

    hints: Hints

    @property
    def watcher(self) -> CountingWatcher: ...
    @property
    def queue_max(self) -> int: ...
    def watch(self, ignore: Ignore = ...) -> None: ...
    def wait_for(self, is_there: Callable[[list[Hint]], bool]) -> None: ...
    def happened(self) -> list[Hint]: ...
    def lag(self) -> AbstractContextManager[object]: ...
    def breathe(self) -> None: ...
    def exchange(self, path: Path, other: Path) -> None: ...
    def paths_below(self, path: Path) -> list[Path]: ...
    def bring_back_root(self) -> None: ...
    def delete_root(self) -> None: ...


def never(path: Path) -> bool:
    """Nothing is ignored."""
    return False


class RealWatched(RealVolume):
    """A directory and the kernel's events for it."""

    def __init__(self, directory: bytes) -> None:
        super().__init__(directory)
        os.mkdir(self.at(OUTSIDE))
        self.hints = Hints()
        self._numbers = itertools.count()
        self._running: CountingWatcher | None = None

    @property
    def watcher(self) -> CountingWatcher:
        """The one that was started."""
        assert self._running is not None
        return self._running

    @property
    def queue_max(self) -> int:
        """How many events the kernel keeps for a reader."""
        with open("/proc/sys/fs/inotify/max_queued_events", encoding="ascii") as file:
            return int(file.read())

    def watch(self, ignore: Ignore = never) -> None:
        """Begin."""
        self._running = Watcher(self.path, self.hints, ignore=ignore)
        self._running.start()

    def close(self) -> None:
        """End."""
        if self._running is not None:
            self._running.stop()
        super().close()

    def wait_for(self, is_there: Callable[[list[Hint]], bool]) -> None:
        """Wait until the hints so far satisfy the condition."""
        self.hints.wait_for(is_there)

    def happened(self) -> list[Hint]:
        """The hints for all that was done since the last call."""
        self._barrier()
        return [hint for hint in self.hints.take() if not _is_mark(hint)]

    def _barrier(self) -> None:
        """Return when every event up to now has become a hint: a mark that was made after them has come through.

        A half move is held for 2 ms without holding back others: the second mark waits for it.
        """
        for _ in range(2):
            mark = b"barrier-%d" % next(self._numbers)
            os.mkdir(self.at(mark))
            self.hints.wait_for(lambda hints, mark=mark: DirtyPath(mark, False, True) in hints)  # type: ignore[misc]
            os.rmdir(self.at(mark))
            self.hints.wait_for(lambda hints, mark=mark: DirtyPath(mark, True) in hints)  # type: ignore[misc]
            time.sleep(0.003)

    @contextmanager
    def lag(self) -> Iterator[None]:
        """The watcher handles no event meanwhile."""
        assert isinstance(self._running, Watcher) and self._running._tree is not None
        with self._running._tree._lock:
            yield

    def breathe(self) -> None:
        """The watcher has threads of its own."""

    def exchange(self, path: Path, other: Path) -> None:
        """Swap two names in one step."""
        libc = ctypes.CDLL(None, use_errno=True)
        result = libc.renameat2(AT_FDCWD, self.at(path), AT_FDCWD, self.at(other), RENAME_EXCHANGE)
        assert result == 0, os.strerror(ctypes.get_errno())

    def paths_below(self, path: Path) -> list[Path]:
        """What a scan of a directory shows, while others work in it."""
        found = []
        for directory, _, names in os.walk(self.at(path)):
            found += [os.path.relpath(os.path.join(directory, name), self.path) for name in names]
        return found

    def bring_back_root(self) -> None:
        """After ``remove_root``."""
        os.rename(self.path + b".moved-%d" % self._spare, self.path)

    def delete_root(self) -> None:
        """The empty root is deleted."""
        os.rmdir(self.path)


def _is_mark(hint: Hint) -> bool:
    return isinstance(hint, DirtyPath) and hint.path.startswith(b"barrier-")


class PolledVolume(RealWatched):
    """A directory of which no events come."""

    def watch(self, ignore: Ignore = never) -> None:
        """Begin."""
        self._running = PollingWatcher(self.hints, interval_seconds=0.01)
        self._running.start()

    def _barrier(self) -> None:
        self.hints.take()
        self.hints.wait_for(lambda hints: len(hints) > 0)


class MemoryWatched(MemoryVolume):
    """The twin; its notices are read when the test wants to know of them, and now and then before."""

    queue_max = 1000

    def __init__(self) -> None:
        self._outside = MemoryVolume()
        super().__init__()
        self.hints = Hints()
        self._random = Random(0)
        self._running: MemoryWatcher | None = None

    @property
    def watcher(self) -> CountingWatcher:
        """The one that was started."""
        return self._reader

    @property
    def _reader(self) -> MemoryWatcher:
        assert self._running is not None
        return self._running

    def open(self, keep_bytes: int | None = None) -> tuple[MemoryScanner, MemoryTree]:
        """The other ports."""
        return open_volume(self, keep_bytes)

    def close(self) -> None:
        """Nothing to give back."""

    def find(self, path: Path) -> Node:
        """Beside the root too."""
        if path == OUTSIDE or is_below(path, OUTSIDE):
            return self._outside.find(path[len(OUTSIDE) + 1 :])
        return super().find(path)

    def watch(self, ignore: Ignore = never) -> None:
        """Begin."""
        self._running = MemoryWatcher(self, self.hints, ignore=ignore, queue_max=self.queue_max)
        self._running.start()

    def wait_for(self, is_there: Callable[[list[Hint]], bool]) -> None:
        """The hints so far satisfy the condition, once all was read."""
        self._reader.read_all()
        self.hints.wait_for(is_there)

    def happened(self) -> list[Hint]:
        """The hints for all that was done since the last call."""
        self._reader.read_all()
        return self.hints.take()

    def lag(self) -> AbstractContextManager[object]:
        """Nothing is read meanwhile, as nobody asks."""
        return nullcontext()

    def breathe(self) -> None:
        """Some notices are read."""
        for _ in range(self._random.choice([0, 0, 1, 2, 9])):
            self._reader.read()

    def paths_below(self, path: Path) -> list[Path]:
        """What a scan of a directory shows."""
        node = self.look(path)
        return [below for below, _, _, _ in self.walk(path)] if node is not None and node.is_directory else []

    def bring_back_root(self) -> None:
        """After ``remove_root``."""
        self.restore_root(self.root)


def made_volume(kind: str, directory: FilePath) -> Iterator[Volume]:
    """A volume of this kind for the time of one test; nobody watches it yet."""
    if kind == "memory":
        yield MemoryWatched()
        return
    with TemporaryDirectory(dir=MEMORY if kind == "shm" else directory) as place:
        volume = (PolledVolume if kind == "poll" else RealWatched)(os.fsencode(place))
        yield volume
        volume.close()
