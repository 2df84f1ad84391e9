"""What the watcher's tests share: a volume on a real file system, and the hints that came for it."""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from syncagent.ports import DirtyPath, WatchLost
from syncagent.watcher import Watcher

SECONDS_MAX = 15.0
MEMORY = "/dev/shm"
PLACES = ["disk", *(["memory"] if os.access(MEMORY, os.W_OK) else [])]
"""File systems that the suite runs on: that of the temporary directory, and tmpfs where there is one."""

RENAME_EXCHANGE = 2
AT_FDCWD = -100
Hint = DirtyPath | WatchLost


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
            assert arrived, f"only these hints came: {self._hints}"

    def take(self) -> list[Hint]:
        """All hints since the last call."""
        with self._changed:
            taken, self._hints = self._hints, []
            return taken

    def seen(self) -> list[Hint]:
        """All hints since the last ``take``, which stay."""
        with self._changed:
            return list(self._hints)


@dataclass
class Volume:
    """A watched directory ``root`` with a directory ``outside`` on the same file system."""

    root: Path
    outside: Path
    hints: Hints
    watcher: Watcher
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def barrier(self) -> None:
        """Return when every event up to now has become a hint: a mark that was made after them has come through.

        A half move is held for 2 ms without holding back others: the second mark waits for it.
        """
        for _ in range(2):
            name = f"barrier-{next(self._numbers)}".encode()
            mark = self.root / os.fsdecode(name)
            mark.mkdir()
            self.hints.wait_for(lambda hints, name=name: DirtyPath(name, False, True) in hints)  # type: ignore[misc]
            mark.rmdir()
            self.hints.wait_for(lambda hints, name=name: DirtyPath(name, True) in hints)  # type: ignore[misc]
            time.sleep(0.003)

    def happened(self) -> list[Hint]:
        """The hints for all that was done since the last call, marks left out."""
        self.barrier()
        return [hint for hint in self.hints.take() if not is_mark(hint)]


def is_mark(hint: Hint) -> bool:
    """Whether the hint comes from ``Volume.barrier``."""
    return isinstance(hint, DirtyPath) and hint.path.startswith(b"barrier-")


@contextmanager
def place(name: str, tmp_path: Path) -> Iterator[Path]:
    """A fresh directory on one of ``PLACES``."""
    if name == "disk":
        yield tmp_path
        return
    directory = tempfile.mkdtemp(dir=MEMORY, prefix="syncagent-test-")
    try:
        yield Path(directory)
    finally:
        shutil.rmtree(directory)


@contextmanager
def watched_volume(base: Path, *, ignore: Callable[[bytes], bool] = lambda path: False) -> Iterator[Volume]:
    """A volume below ``base`` with its watcher running."""
    root, outside = base / "volume", base / "outside"
    root.mkdir(exist_ok=True)
    outside.mkdir(exist_ok=True)
    hints = Hints()
    watcher = Watcher(os.fsencode(root), hints, ignore=ignore)
    watcher.start()
    try:
        yield Volume(root, outside, hints, watcher)
    finally:
        watcher.stop()


def write(path: Path, content: bytes = b"content") -> None:
    """Create or rewrite a file and close it."""
    path.write_bytes(content)


def exchange(left: Path, right: Path) -> None:
    """Swap two names in one step."""
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.renameat2(AT_FDCWD, os.fsencode(left), AT_FDCWD, os.fsencode(right), RENAME_EXCHANGE)
    assert result == 0, os.strerror(ctypes.get_errno())


def relative(path: Path, root: Path) -> bytes:
    """The path as the watcher names it."""
    return os.fsencode(path.relative_to(root))
