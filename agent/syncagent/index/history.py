"""The table of the history: per change what stood at the path before, and under which name that is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from syncagent.index.entries import bounds
from syncagent.index.rows import decode_entry, encode
from syncagent.index.tables import Tables
from syncagent.ports import HistorySums, Past
from syncproto.model import Kind, Path

_COLUMNS = "id, path, before, kind, origin, counter, stamp, at_ns, kept, kept_bytes"
_PAST = f"SELECT {_COLUMNS} FROM history"
_INSERT = """INSERT INTO history (path, before, content, kind, origin, counter, stamp, at_ns, kept, kept_bytes)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_OF = f"{_PAST} WHERE path = ? ORDER BY id DESC"
_BELOW = f"""SELECT path, -id, {_COLUMNS} FROM history
WHERE path < ? AND (path, -id) > (?, ?) ORDER BY path, id DESC LIMIT ?"""
_SINCE = f"SELECT stamp, {_COLUMNS} FROM history WHERE (stamp, id) > (?, ?) ORDER BY stamp, id LIMIT ?"
_LATEST = f"{_PAST} WHERE id > 0 ORDER BY id DESC LIMIT ?"
_OLDEST = f"{_PAST} WHERE id > ? ORDER BY id LIMIT ?"
_OLDEST_KEPT = f"{_PAST} WHERE kept IS NOT NULL AND id > ? ORDER BY id LIMIT ?"
_WITH_CONTENT = f"""{_PAST} WHERE substr(content, 1, 8) = substr(?1, 1, 8) AND content = ?1
ORDER BY id DESC LIMIT ?2"""


class History(Tables):
    """Reads and writes it, in the transaction of everything else."""

    def add_past(self, past: Past) -> None:
        before = past.before
        content = before.content if past.kept and before is not None and before.kind == Kind.FILE else None
        self._database.change(
            _INSERT,
            past.path,
            None if before is None else encode(before),
            content,
            past.kind,
            *past.dot,
            past.stamp,
            past.at_ns,
            past.kept or None,
            past.kept_bytes,
        )

    def drop_past(self, number: int) -> None:
        self._database.change("DELETE FROM history WHERE id = ?", number)

    def unkeep(self, number: int) -> None:
        self._database.change("UPDATE history SET kept = NULL, content = NULL, kept_bytes = 0 WHERE id = ?", number)

    def history_of(self, path: Path) -> list[Past]:
        return self._pasts(_OF, path)

    def history_below(self, directory: Path) -> Iterator[Past]:
        lower, upper = bounds(directory)
        for _, _, *columns in self._pages(_BELOW, lower, 0, fixed=(upper,)):
            yield self._past(columns)

    def history_since(self, stamp: int) -> Iterator[Past]:
        for _, *columns in self._pages(_SINCE, stamp, 0):
            yield self._past(columns)

    def latest_history(self, limit: int) -> list[Past]:
        return self._pasts(_LATEST, limit)

    def oldest_history(self) -> Iterator[Past]:
        return map(self._past, self._pages(_OLDEST, 0))

    def oldest_kept(self) -> Iterator[Past]:
        return map(self._past, self._pages(_OLDEST_KEPT, 0))

    def kept_with_content(self, digest: bytes, limit: int | None = None) -> list[Past]:
        return self._pasts(_WITH_CONTENT, digest, -1 if limit is None else limit)

    @property
    def history_sums(self) -> HistorySums:
        (changes,) = self._database.row("SELECT count(*) FROM history")
        kept, size = self._database.row("SELECT count(*), total(kept_bytes) FROM history WHERE kept IS NOT NULL")
        return HistorySums(changes, kept, int(size))

    def _pasts(self, sql: str, *parameters: Any) -> list[Past]:
        return [self._past(columns) for columns in self._database.rows(sql, *parameters)]

    def _past(self, columns: Any) -> Past:
        number, path, before, kind, origin, counter, stamp, at_ns, kept, kept_bytes = columns
        entry = None if before is None else self._decoded(decode_entry, before)
        return Past(path, entry, Kind(kind), (origin, counter), stamp, at_ns, kept or b"", kept_bytes, number)
