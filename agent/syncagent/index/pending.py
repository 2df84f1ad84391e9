"""The table of pending entries: known, not resolved, because their content is not at hand."""

from __future__ import annotations

from collections.abc import Iterator

from syncagent.index.rows import decode_entry, encode
from syncagent.index.tables import Tables
from syncproto.model import Entry, Kind, Path
from syncproto.version import Dot

_INSERT = "INSERT INTO pending (origin, counter, path, content, size, sequence, entry) VALUES (?, ?, ?, ?, ?, ?, ?)"
_BY_DOT = """SELECT origin, counter, entry FROM pending
WHERE (origin, counter) > (?, ?) ORDER BY origin, counter LIMIT ?"""
_WITH_CONTENT = "SELECT entry FROM pending WHERE content = ? ORDER BY origin, counter LIMIT ?"
_CONTENTS = """SELECT sequence, content, size, entry FROM pending AS one WHERE content IS NOT NULL AND sequence > ?
AND NOT EXISTS (SELECT 1 FROM pending AS other WHERE other.content = one.content AND other.sequence < one.sequence)
ORDER BY sequence LIMIT ?"""


class Pending(Tables):
    """Reads and writes pending entries."""

    def pending(self) -> Iterator[Entry]:
        for *_, blob in self._pages(_BY_DOT, "", -1):
            yield self._decoded(decode_entry, blob)

    def pending_entry(self, dot: Dot) -> Entry | None:
        found = self._database.row("SELECT entry FROM pending WHERE origin = ? AND counter = ?", *dot)
        return self._decoded(decode_entry, found[0]) if found else None

    def pending_at(self, path: Path) -> list[Entry]:
        found = self._database.rows("SELECT entry FROM pending WHERE path = ? ORDER BY origin, counter", path)
        return [self._decoded(decode_entry, row[0]) for row in found]

    def pending_with_content(self, digest: bytes, limit: int | None = None) -> list[Entry]:
        found = self._database.rows(_WITH_CONTENT, digest, -1 if limit is None else limit)
        return [self._decoded(decode_entry, row[0]) for row in found]

    def has_pending_wanting(self, contents: tuple[bytes | None, ...], dot: Dot) -> bool:
        if not self.pending_count:
            return False
        origin, counter = dot
        if counter <= 0:  # every vector covers it
            return self._has_pending("content IS NOT NULL")
        if self._database.row(
            "SELECT 1 FROM pending_carried WHERE origin = ? AND counter >= ? LIMIT 1", origin, counter
        ):
            return True
        return any(self._has_pending("content = ?", content) for content in contents)

    def _has_pending(self, condition: str, *parameters: bytes | None) -> bool:
        return self._database.row(f"SELECT 1 FROM pending WHERE {condition} LIMIT 1", *parameters) is not None

    def put_pending(self, entry: Entry) -> None:
        blob = encode(entry)
        self.drop_pending(entry.dot)
        is_file = entry.kind == Kind.FILE
        content, size = (entry.content, entry.size) if is_file else (None, 0)
        written = self._database.change(
            _INSERT, entry.origin, entry.counter, entry.path, content, size, self.sequence + 1, blob
        )
        for origin, counter in entry.carried if is_file else ():
            self._database.change("INSERT INTO pending_carried VALUES (?, ?, ?)", origin, counter, written.lastrowid)
        self.sequence += 1
        self.pending_count += 1
        self.pending_bytes += size

    def drop_pending(self, dot: Dot) -> None:
        found = self._database.row("SELECT id, size FROM pending WHERE origin = ? AND counter = ?", *dot)
        if found:
            number, size = found
            self._database.change("DELETE FROM pending_carried WHERE pending = ?", number)
            self._database.change("DELETE FROM pending WHERE id = ?", number)
            self.pending_count -= 1
            self.pending_bytes -= size

    def pending_contents(self) -> Iterator[tuple[bytes, int, bool]]:
        for _, content, size, blob in self._pages(_CONTENTS, 0):
            yield content, size, self._decoded(decode_entry, blob).sparse
