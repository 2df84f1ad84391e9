"""What the kernel of a disk in memory tells those who watch its directories, with the bits of inotify."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from watchdog.observers.inotify_c import InotifyConstants as Inotify

from twins.inode import Node


@dataclass(frozen=True, slots=True)
class Notice:
    """What happened (``mask``) to a name in a directory, b'' for the directory itself.

    The two halves of a move share a cookie.
    """

    directory: Node
    name: bytes
    mask: int
    cookie: int = 0


class Notices:
    """Calls every listener for every notice; who watches which directory is theirs to know."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[Notice], None]] = []
        self._cookies = count(1)

    def new_cookie(self) -> int:
        """For the two halves of a move."""
        return next(self._cookies)

    def tell(self, directory: Node | None, name: bytes, node: Node, mask: int, cookie: int = 0) -> None:
        """Something happened to a node under this name; ``directory`` is None for the root, which has no name."""
        told = mask | (Inotify.IN_ISDIR if node.is_directory else 0)
        if directory is not None:
            self._emit(Notice(directory, name, told, cookie))
        if node.is_directory and mask & Inotify.IN_ATTRIB:
            self._emit(Notice(node, b"", told))
        if node.is_directory and mask & Inotify.IN_DELETE:
            self.tell_itself(node, Inotify.IN_IGNORED)

    def tell_itself(self, directory: Node, mask: int) -> None:
        """Something happened to a directory, whatever its name."""
        self._emit(Notice(directory, b"", mask))

    def _emit(self, notice: Notice) -> None:
        for listener in self.listeners:
            listener(notice)
