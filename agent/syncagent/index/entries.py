"""The table of entries: what the disk holds, and the sums over it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from syncagent.core.plan import StatKey
from syncagent.index.digest import as_bytes, as_number, mark
from syncagent.index.rows import (
    decode_attributes,
    decode_entry,
    encode,
    hashed,
    pack_stat,
    packed_inode,
    signed,
    unpack_stat,
)
from syncagent.index.tables import Tables
from syncagent.ports import Row
from syncproto import limits
from syncproto.model import Attributes, Entry, Kind, Path
from syncproto.paths import parent

_END = b"\xff" * (limits.PATH_BYTES_MAX + 1)
"""Above every path."""

_ROW = "SELECT entry, stat, attributes FROM entries"
_CONTENT_IS = "substr(content, 1, 8) = substr(?1, 1, 8) AND content = ?1"
_ROW_AT = f"{_ROW} WHERE path = ?"
_FIND = "SELECT id, mark, size, stat, attributes, is_live, is_copy FROM entries WHERE path = ?"
_INSERT = """INSERT INTO entries
(content, size, sequence, inode, mark, entry, stat, attributes, is_live, is_copy, path, parent)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_UPDATE = """UPDATE entries SET content = ?, size = ?, sequence = ?, inode = ?, mark = ?, entry = ?, stat = ?,
attributes = ? WHERE id = ?"""
_UPDATE_NATURE = "UPDATE entries SET is_live = ?, is_copy = ? WHERE id = ?"
_LIVE_BELOW = "SELECT path FROM entries WHERE is_live = 1 AND path > ? AND path < ? ORDER BY path"
_ROWS_BELOW = f"SELECT path, {_ROW[7:]} WHERE is_live = 1 AND path < ? AND path > ? ORDER BY path LIMIT ?"
_CHILDREN = "SELECT path, entry, stat, attributes FROM entries WHERE parent = ? ORDER BY path"
_BY_INODE = f"{_ROW} WHERE inode = ? ORDER BY path"
_HAS_CONTENT = f"SELECT 1 FROM entries WHERE {_CONTENT_IS} LIMIT 1"
_BY_CONTENT = f"{_ROW} WHERE {_CONTENT_IS} ORDER BY stat IS NULL, path LIMIT ?2"
_ENTRIES = "SELECT path, entry FROM entries WHERE path > ? ORDER BY path LIMIT ?"
_TOMBSTONES = "SELECT path, entry FROM entries WHERE is_live = 0 AND path > ? ORDER BY path LIMIT ?"
_COPIES = "SELECT path, entry FROM entries WHERE is_copy = 1 AND path > ? ORDER BY path LIMIT ?"
_MARKS = "SELECT path, entry, mark FROM entries WHERE path > ? ORDER BY path LIMIT ?"
_CHANGES = """SELECT sequence, entry FROM entries WHERE sequence > ?1
UNION ALL SELECT sequence, entry FROM pending WHERE sequence > ?1 ORDER BY 1 LIMIT ?2"""


def bounds(directory: Path) -> tuple[bytes, bytes]:
    """All paths strictly inside ``directory`` are strictly between the two."""
    return (directory + b"/", directory + b"0") if directory else (b"", _END)


class Entries(Tables):
    """Reads and writes entries. An iterator may meet a row written meanwhile in its old or new form."""

    # -- one path ------------------------------------------------------------------------------

    def entry(self, path: Path) -> Entry | None:
        found = self._database.row("SELECT entry FROM entries WHERE path = ?", path)
        return self._decoded(decode_entry, found[0]) if found else None

    def row(self, path: Path) -> Row | None:
        found = self._database.row(_ROW_AT, path)
        return self._row(found) if found else None

    def put(self, entry: Entry) -> None:
        found = self._database.row(_FIND, entry.path)
        stat, attributes = found[3:5] if found else (None, None)
        self._write(entry, found, stat, attributes)

    def put_row(self, entry: Entry, stat: StatKey | None, attributes: Attributes | None) -> None:
        packed = None if stat is None else pack_stat(stat)
        encoded = None if attributes is None else encode(attributes)
        self._write(entry, self._database.row(_FIND, entry.path), packed, encoded)

    def _write(self, entry: Entry, found: Any, stat: bytes | None, attributes: bytes | None) -> None:
        is_live = int(entry.kind != Kind.TOMBSTONE)
        nature = is_live, int(is_live and entry.is_copy)
        content = entry.content if entry.kind == Kind.FILE else None
        inode = packed_inode(stat) if is_live and stat is not None else None
        new, blob = self._mark(entry), encode(entry)
        values = (content, entry.size, self.sequence + 1, inode, new, blob, stat, attributes)
        if found is None:
            self._database.change(_INSERT, *values, *nature, entry.path, hashed(parent(entry.path)))
        else:
            number, old, size = found[:3]
            self._database.change(_UPDATE, *values, number)
            if nature != found[5:]:  # apart, because to set a column rewrites its indexes
                self._database.change(_UPDATE_NATURE, *nature, number)
            self._uncount(old, size)
        self.sequence += 1
        self._count(new, entry.size)

    def set_stat(self, path: Path, stat: StatKey | None, attributes: Attributes | None) -> None:
        inode = None if stat is None else signed(stat.inode)
        changed = self._database.change(
            "UPDATE entries SET inode = iif(is_live, ?, NULL), stat = ?, attributes = ? WHERE path = ?",
            inode,
            None if stat is None else pack_stat(stat),
            None if attributes is None else encode(attributes),
            path,
        )
        if not changed.rowcount:
            raise KeyError(f"{path!r} has no row in the index: put its entry first")

    def drop(self, path: Path) -> None:
        found = self._database.row(_FIND, path)
        if found:
            self._database.change("DELETE FROM entries WHERE id = ?", found[0])
            self._uncount(found[1], found[2])

    def _row(self, columns: Any) -> Row:
        entry, stat, attributes = columns
        return Row(
            self._decoded(decode_entry, entry),
            None if stat is None else unpack_stat(stat),
            None if attributes is None else self._decoded(decode_attributes, attributes),
        )

    # -- many paths ----------------------------------------------------------------------------

    def entries(self) -> Iterator[Entry]:
        return self._streamed(_ENTRIES, b"")

    def tombstones(self) -> Iterator[Entry]:
        return self._streamed(_TOMBSTONES, b"")

    def copies(self) -> Iterator[Entry]:
        return self._streamed(_COPIES, b"")

    def changed_since(self, sequence: int) -> Iterator[Entry]:
        """A row that is written while this is read comes (again) at its new place, so that none is missed."""
        return self._streamed(_CHANGES, sequence)

    def _streamed(self, sql: str, start: bytes | int) -> Iterator[Entry]:
        for _, blob in self._pages(sql, start):
            yield self._decoded(decode_entry, blob)

    def live_below(self, path: Path) -> list[Path]:
        return [row[0] for row in self._database.rows(_LIVE_BELOW, *bounds(path))]

    def has_live_below(self, path: Path) -> bool:
        return self._database.row(_LIVE_BELOW, *bounds(path)) is not None

    def rows_below(self, directory: Path) -> Iterator[Row]:
        lower, upper = bounds(directory)
        for _, *columns in self._pages(_ROWS_BELOW, lower, fixed=(upper,)):
            yield self._row(columns)

    def children(self, directory: Path) -> list[Row]:
        found = self._database.rows(_CHILDREN, hashed(directory))
        return [self._row(columns) for path, *columns in found if parent(path) == directory]

    def by_inode(self, inode: int) -> list[Row]:
        return self._rows(_BY_INODE, signed(inode))

    def by_content(self, digest: bytes, limit: int | None = None) -> list[Row]:
        return self._rows(_BY_CONTENT, digest, -1 if limit is None else limit)

    def _rows(self, sql: str, *parameters: Any) -> list[Row]:
        return [self._row(columns) for columns in self._database.rows(sql, *parameters)]

    def has_content(self, digest: bytes | None) -> bool:
        return self._database.row(_HAS_CONTENT, digest) is not None

    # -- sums over what counts -----------------------------------------------------------------

    @property
    def digest(self) -> bytes:
        return as_bytes(self._digest)

    def _mark(self, entry: Entry) -> bytes | None:
        is_counted = entry.kind != Kind.TOMBSTONE and (self.is_counted is None or self.is_counted(entry.path))
        return mark(entry) if is_counted else None

    def _count(self, new: bytes | None, size: int) -> None:
        if new is not None:
            self._digest += as_number(new)
            self.live_count += 1
            self.live_bytes += size

    def _uncount(self, old: bytes | None, size: int) -> None:
        if old is not None:
            self._digest -= as_number(old)
            self.live_count -= 1
            self.live_bytes -= size

    def recount(self) -> None:
        """Only rows whose mark is another now are written."""
        self._digest = self.live_count = self.live_bytes = 0
        for path, blob, old in self._pages(_MARKS, b""):
            entry = self._decoded(decode_entry, blob)
            new = self._mark(entry)
            if new != old:
                self._database.change("UPDATE entries SET mark = ? WHERE path = ?", new, path)
            self._count(new, entry.size)
