"""What is remembered of other replicas, and of this one's starts."""

from __future__ import annotations

from typing import Any

from syncagent.index.database import Database
from syncagent.index.rows import decode_member, encode
from syncagent.index.tables import Tables
from syncproto.model import Member
from syncproto.version import Vector

STARTS_KEPT = 8


class Peers(Tables):
    """Cursors, acknowledgements and starts of peers, and the member list."""

    starts: tuple[bytes, ...]

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.applied_by: dict[str, Vector] = {}
        self.starts_of: dict[str, bytes] = {}

    def _load_peers(self) -> None:
        found = self._database.rows("SELECT incarnation, applied, start FROM peers ORDER BY incarnation")
        self.applied_by = {name: self._vector(applied) for name, applied, _ in found if applied is not None}
        self.starts_of = {name: start for name, _, start in found if start is not None}

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

    def set_start_of(self, incarnation: str, start: bytes) -> None:
        if self.starts_of.get(incarnation) != start:
            self._set_peer("start", incarnation, start)
            self.starts_of = {**self.starts_of, incarnation: start}

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
        self.starts_of = {name: start for name, start in self.starts_of.items() if name != incarnation}
