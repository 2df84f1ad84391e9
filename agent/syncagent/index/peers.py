"""What is remembered of other replicas, and of this one's starts."""

from __future__ import annotations

from typing import Any

from syncagent.core.starts import Remembered
from syncagent.index.database import Database
from syncagent.index.rows import decode_entry, decode_member, decode_remembered, encode
from syncagent.index.tables import Tables
from syncproto.messages import Start
from syncproto.model import Entry, Member, Path
from syncproto.version import Vector


class Peers(Tables):
    """Cursors, acknowledgements and starts of peers, the member list, and what is left of a former incarnation."""

    starts: tuple[Start, ...]

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.applied_by: dict[str, Vector] = {}
        self.remembered: dict[str, Remembered] = {}

    def _load_peers(self) -> None:
        found = self._database.rows("SELECT incarnation, applied, start FROM peers ORDER BY incarnation")
        self.applied_by = {name: self._vector(applied) for name, applied, _ in found if applied is not None}
        starts = {name: start for name, _, start in found if start is not None}
        self.remembered = {name: self._decoded(decode_remembered, start) for name, start in starts.items()}

    def cursor(self, incarnation: str) -> tuple[str, int]:
        found = self._database.row("SELECT epoch, sequence FROM peers WHERE incarnation = ?", incarnation)
        return found or ("", 0)

    def set_cursor(self, incarnation: str, epoch: str, sequence: int) -> None:
        self._set_peer("epoch", incarnation, epoch)
        self._set_peer("sequence", incarnation, sequence)

    def set_applied_by(self, incarnation: str, applied: Vector) -> None:
        if self.applied_by.get(incarnation) != applied:
            self._set_peer("applied", incarnation, encode(applied))
            self.applied_by = {**self.applied_by, incarnation: applied}

    def remember(self, incarnation: str, seen: Remembered) -> None:
        if self.remembered.get(incarnation) != seen:
            self._set_peer("start", incarnation, encode(seen))
            self.remembered = {**self.remembered, incarnation: seen}

    def _set_peer(self, column: str, incarnation: str, value: Any) -> None:
        """``column`` is a name from this module, never from outside."""
        self._database.change(
            f"INSERT INTO peers (incarnation, {column}) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET {column} = ?2",
            incarnation,
            value,
        )

    # -- members -------------------------------------------------------------------------------

    def members(self) -> list[Member]:
        found = self._database.rows("SELECT member FROM members ORDER BY incarnation")
        return [self._decoded(decode_member, row[0]) for row in found]

    def put_member(self, member: Member) -> None:
        self._database.change(
            "INSERT INTO members VALUES (?1, ?2) ON CONFLICT DO UPDATE SET member = ?2",
            member.incarnation,
            encode(member),
        )

    def drop_member(self, incarnation: str) -> None:
        self._database.change("DELETE FROM members WHERE incarnation = ?", incarnation)
        self._database.change("DELETE FROM peers WHERE incarnation = ?", incarnation)
        self.applied_by = {name: vector for name, vector in self.applied_by.items() if name != incarnation}
        self.remembered = {name: seen for name, seen in self.remembered.items() if name != incarnation}

    # -- a former incarnation ------------------------------------------------------------------

    def lineage(self, path: Path) -> Entry | None:
        found = self._database.row("SELECT entry FROM lineage WHERE path = ?", path)
        return self._decoded(decode_entry, found[0]) if found else None

    def end_lineage(self) -> None:
        self._database.change("DELETE FROM lineage")
