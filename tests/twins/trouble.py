"""What may go wrong with a disk in memory: who uses it asks before each call, and is told as by a real one."""

from __future__ import annotations

import errno
import os
from random import Random

from syncagent.disk.errors import describe


class Trouble:
    """``broken``: which calls fail, of "read", "list", "write" and "sync", or lie ("silent"), with this ``chance``."""

    def __init__(self) -> None:
        self.random = Random(0)
        self.broken: set[str] = set()
        self.chance = 1.0
        self.room: int | None = None
        """So many bytes may still be written before the disk is full; None: as many as one likes."""
        self.happened = 0
        """How many calls have failed."""

    @property
    def is_on(self) -> bool:
        """Whether anything is wrong."""
        return bool(self.broken) or self.room is not None

    def end(self) -> None:
        """All is well again."""
        self.broken.clear()
        self.room = None

    def require(self, what: str) -> None:
        """Raise ``OSError`` if this call fails."""
        if what in self.broken and self.random.random() < self.chance:
            self.happened += 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def why_not(self, what: str) -> str | None:
        """The reason if this call fails, in the words of the real adapters."""
        try:
            self.require(what)
        except OSError as error:
            return describe(error)
        return None

    def spoil(self, data: bytes) -> bytes:
        """What a read gives: other bytes, if the disk lies."""
        if "silent" not in self.broken or not data or self.random.random() >= self.chance:
            return data
        self.happened += 1
        place = self.random.randrange(len(data))
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]

    def take_room(self, size: int) -> int:
        """How many of so many bytes can be written: fewer if the disk is full then."""
        if self.room is None:
            return size
        taken = min(size, self.room)
        self.room -= taken
        self.happened += taken < size
        return taken

    def require_room(self, size: int) -> None:
        """Write so many bytes; raises ``OSError`` when the disk is full before that."""
        if self.take_room(size) < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
