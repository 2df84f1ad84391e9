"""The index of one volume as the engine uses it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any

from syncagent.core.starts import STARTS_KEPT
from syncagent.index.digest import as_number
from syncagent.index.entries import Entries
from syncagent.index.errors import IndexCorrupt
from syncagent.index.history import History
from syncagent.index.notes import Notes
from syncagent.index.opening import (
    CLEAN,
    RESERVED_BLOCK,
    SUSPECT,
    Lock,
    Opened,
    closed_on_failure,
    latest_aside,
    open_database,
)
from syncagent.index.peers import Peers
from syncagent.index.pending import Pending
from syncagent.index.rows import decode_starts, encode
from syncagent.ports import IndexFailed
from syncproto.messages import Start
from syncproto.version import Vector

_COLUMNS = (
    "origin", "counter", "counter_reserved", "sequence", "sequence_reserved", "floor", "known", "applied", "collected",
    "starts", "live_count", "live_bytes", "digest", "pending_count", "pending_bytes",
)  # fmt: skip
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM state"
_UPDATE = f"UPDATE state SET {', '.join(f'{column} = ?' for column in _COLUMNS)}"
_EMPTIED = ("entries", "pending", "pending_carried", "held", "residue")


class Index(Entries, Pending, Peers, Notes, History):
    """Implements the port ``Index``. One thread at a time may use it; it need not be the one that opened it.

    A write begins a transaction, ``commit`` ends it; reads see what was written before. The vectors, the counter and
    the sums are attributes in between. The counter and the sequence never go back, not by ``rollback`` either: dots
    up to ``counter`` may be on disk, in names of conflict copies.
    """

    origin: str
    counter: int
    floor: int
    known: Vector
    applied: Vector
    collected: Vector
    _counter_found: int
    _counter_reserved: int
    _sequence_reserved: int
    _must_flush: bool

    def __init__(self, opened: Opened, lock: Lock) -> None:
        super().__init__(opened.database)
        self.is_new = opened.is_new
        self.was_clean = opened.was_clean
        self.replaced = opened.replaced
        self._lock = lock
        self._is_open = True
        self._saved: tuple[Any, ...] = ()
        self.counter = self.sequence = 0
        self._load()
        self._counter_found = self.counter
        if not self.was_clean:
            self.counter, self.sequence = self._counter_reserved, self._sequence_reserved

    @classmethod
    def open(cls, path: str | FilePath, *, new_origin: Callable[[], str]) -> Index:
        """Open the index at ``path``, or create it with an origin from ``new_origin``; its directory must exist.

        Raises ``IndexLocked`` while another process has it open, ``IndexTooNew``, and ``IndexFailed``. A damaged file
        is moved aside, never deleted: then the index is new. ``replaced`` names the last one that is still there.
        """
        name = os.fspath(path)
        lock = Lock.take(name)
        try:
            try:
                return cls._opened(name, lock, new_origin, latest_aside(name))
            except IndexCorrupt as error:
                return cls._opened(name, lock, new_origin, error.moved_to)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _opened(cls, name: str, lock: Lock, new_origin: Callable[[], str], replaced: str) -> Index:
        opened = open_database(name, new_origin, replaced)
        with closed_on_failure(opened.database):
            return cls(opened, lock)

    def close(self) -> None:
        """Drop what is not committed, and note that the end was clean. May be called again."""
        if not self._is_open:
            return
        self._is_open = False
        try:
            if self._database.is_suspect:
                self._database.rollback()
                self._note_end(SUSPECT)
            else:
                self.rollback()
                self._save()
                self._note_end(CLEAN)
        except IndexFailed:
            pass  # the next opening checks it, as after a kill
        finally:
            self._database.close()
            self._lock.release()

    def _note_end(self, verdict: int) -> None:
        self._database.change("UPDATE state SET is_clean = ?", verdict)
        self._database.commit()
        self._database.flush()

    # -- transactions --------------------------------------------------------------------------

    def commit(self, durable: bool = False) -> None:
        """Make what was written last beyond this process; ``durable``: beyond a power cut.

        Where the counter has reached what is reserved, the next block is reserved with this very commit, which then is
        durable: whatever dot a process has in mind when it dies, no later one gives it out again.
        """
        is_beyond = self.counter >= self._counter_reserved or self.sequence >= self._sequence_reserved
        if self.counter >= self._counter_reserved:
            self._counter_reserved = self.counter + RESERVED_BLOCK
        if self.sequence >= self._sequence_reserved:
            self._sequence_reserved = self.sequence + RESERVED_BLOCK
        self._save()
        self._database.commit()
        if durable or is_beyond or self._must_flush:
            self._database.flush()
            self._must_flush = False

    def rollback(self) -> None:
        """Drop what was written since the last commit; also ends the state after an ``IndexFailed``."""
        self._database.rollback()
        counter, sequence = self.counter, self.sequence
        self._load()
        self.counter, self.sequence = max(self.counter, counter), max(self.sequence, sequence)

    def _save(self) -> None:
        values = (
            self.origin,
            self.counter,
            self._counter_reserved,
            self.sequence,
            self._sequence_reserved,
            self.floor,
            encode(self.known),
            encode(self.applied),
            encode(self.collected),
            encode(self.starts),
            self.live_count,
            self.live_bytes,
            self.digest,
            self.pending_count,
            self.pending_bytes,
        )
        if values != self._saved:
            self._database.change(_UPDATE, *values)
            self._saved = values

    def _load(self) -> None:
        values = dict(zip(_COLUMNS, self._database.row(_SELECT), strict=True))
        self._saved = tuple(values.values())
        self.origin = values["origin"]
        self.counter, self.sequence = values["counter"], values["sequence"]
        self._counter_reserved = values["counter_reserved"]
        self._sequence_reserved = values["sequence_reserved"]
        self.floor = values["floor"]
        self.known = self._vector(values["known"])
        self.applied = self._vector(values["applied"])
        self.collected = self._vector(values["collected"])
        self.starts = self._decoded(decode_starts, values["starts"])
        self.live_count, self.live_bytes = values["live_count"], values["live_bytes"]
        self.pending_count, self.pending_bytes = values["pending_count"], values["pending_bytes"]
        self._digest = as_number(values["digest"])
        self._must_flush = False
        self._load_peers()

    def verify(self) -> None:
        """Read the index back from the disk. Raises ``IndexFailed`` where it is damaged."""
        self._database.verify()

    # -- identity ------------------------------------------------------------------------------

    def add_start(self, start: bytes) -> None:
        """Remember a start of this replica, with the counter that was found and the one it goes on from."""
        self.starts = (*self.starts, Start(start, self._counter_found, self.counter))[-STARTS_KEPT:]
        self.commit(durable=True)

    def reincarnate(self, origin: str, start: bytes) -> None:
        """Begin anew under a new origin; the next commit is durable."""
        self._database.change("INSERT OR REPLACE INTO lineage SELECT path, entry FROM entries WHERE is_live = 1")
        for table in _EMPTIED:
            self._database.change(f"DELETE FROM {table}")
        self._database.change("UPDATE peers SET epoch = '', sequence = 0, applied = NULL")
        self.origin, self.counter, self.floor, self.starts = origin, 0, 0, (Start(start),)
        self.known, self.applied, self.collected, self.applied_by = {}, {}, {}, {}
        self.live_count = self.live_bytes = self._digest = self.pending_count = self.pending_bytes = 0
        self._counter_reserved = RESERVED_BLOCK
        self._must_flush = True
