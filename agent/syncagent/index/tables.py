"""What the parts of the index share: the database and the numbers that are kept beside its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec

from syncagent.index.database import Database
from syncagent.index.rows import decode_vector
from syncproto.model import Path
from syncproto.version import Vector

PAGE_ROWS = 500
"""Iterators read so many rows at a time."""

T = TypeVar("T")


class Tables:
    """Base of the parts. The numbers are written at commit."""

    _database: Database
    sequence: int
    live_count: int
    live_bytes: int
    pending_count: int
    pending_bytes: int
    is_counted: Callable[[Path], bool] | None

    def __init__(self, database: Database) -> None:
        self._database = database
        self._digest = 0
        self.is_counted = None

    def _decoded(self, decode: Callable[[bytes], T], blob: bytes) -> T:
        try:
            return decode(blob)
        except msgspec.DecodeError as error:
            raise self._database.corrupt(str(error)) from error

    def _vector(self, blob: bytes | None) -> Vector:
        return self._decoded(decode_vector, blob) if blob else {}

    def _pages(self, sql: str, *key: Any, fixed: tuple[Any, ...] = ()) -> Iterator[Any]:
        """The rows of a query, read in pages, so that no cursor is open while they are used.

        The query takes ``fixed``, the columns of ``key`` after which a page begins, and a limit; its rows begin with
        the columns of the key.
        """
        while rows := self._database.rows(sql, *fixed, *key, PAGE_ROWS):
            yield from rows
            key = rows[-1][: len(key)]
