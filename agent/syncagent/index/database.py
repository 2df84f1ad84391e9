"""One SQLite database: its transactions, its flushes, and its errors in plain words.

WAL with ``synchronous=NORMAL``: a commit survives the death of the process, and a power cut takes the last commits,
never their order. A *durable* commit is followed by a tiny one under ``synchronous=FULL``: SQLite then flushes the
whole WAL file, which holds the commit before it. The level cannot be changed within a transaction, and this way nobody
has to know at its beginning how it will end.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from syncagent.index.errors import IndexCorrupt, IndexLocked
from syncagent.ports import IndexFailed

CACHE_KIB = 32 * 1024
WAL_PAGES = 4000
"""The WAL is copied into the database once it has so many pages of 4 KiB."""
WAL_BYTES_KEPT = 64 * 1024 * 1024

_PRAGMAS = f"""
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA temp_store = MEMORY;
PRAGMA cell_size_check = ON;
PRAGMA trusted_schema = OFF;
PRAGMA cache_size = -{CACHE_KIB};
PRAGMA wal_autocheckpoint = {WAL_PAGES};
PRAGMA journal_size_limit = {WAL_BYTES_KEPT};
"""

_REMEDIES = {
    sqlite3.SQLITE_FULL: "free space on its file system",
    sqlite3.SQLITE_READONLY: "give the agent's user write access to the file and its directory",
    sqlite3.SQLITE_CANTOPEN: "give the agent's user write access to the file and its directory",
    sqlite3.SQLITE_PERM: "give the agent's user write access to the file and its directory",
    sqlite3.SQLITE_IOERR: "look for disk errors in the system's log",
}


class Database:
    """A connection. After an ``IndexFailed`` nothing is written until ``rollback``: SQLite may have rolled back."""

    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._failure = ""
        self._is_flushed = False
        self.is_suspect = False
        """Damage was seen: it must be checked when it is opened next."""

    @classmethod
    def open(cls, path: str) -> Database:
        """Open the file, which must exist; nothing is read yet. Raises ``IndexFailed``."""
        try:
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
        except sqlite3.Error as error:
            raise IndexFailed(f"the index {path} cannot be opened ({error}): check its directory") from error
        return cls(path, connection)

    def set_up(self) -> None:
        """Lock the file and set the connection's modes."""
        self.run_script(_PRAGMAS)

    # -- statements ----------------------------------------------------------------------------

    def row(self, sql: str, *parameters: Any) -> Any:
        """The first row, or None."""
        try:
            return self._connection.execute(sql, parameters).fetchone()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def rows(self, sql: str, *parameters: Any) -> list[Any]:
        """All rows: no cursor stays open, so whoever reads them may write meanwhile."""
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def change(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        """Write, in the open transaction or in a new one."""
        if self._failure:
            raise self._unusable()
        try:
            if not self._connection.in_transaction:
                self._connection.execute("BEGIN IMMEDIATE")
            return self._connection.execute(sql, parameters)
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def define(self, name: str, function: Callable[[bytes], bytes]) -> None:
        """Let statements of this connection call a function."""
        self._connection.create_function(name, 1, function, deterministic=True)

    def verify(self) -> None:
        """Read all pages back from the disk. Raises ``IndexCorrupt`` where their structure is damaged.

        What is kept in memory is dropped before; a million rows take about a second.
        """
        self.row("PRAGMA shrink_memory")
        verdict = self.row("PRAGMA quick_check(1)")[0]
        if verdict != "ok":
            raise self.corrupt(str(verdict))

    def run_script(self, script: str) -> None:
        """Run several statements; ends an open transaction."""
        try:
            self._connection.executescript(script)
        except sqlite3.Error as error:
            raise self._failed(error) from error

    # -- transactions --------------------------------------------------------------------------

    def commit(self) -> None:
        """Commit what is open: it survives the process."""
        if self._failure:
            raise self._unusable()
        if self._connection.in_transaction:
            self._is_flushed = False
            try:
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise self._failed(error) from error

    def flush(self) -> None:
        """Make all that was committed survive a power cut."""
        if self._is_flushed:
            return
        try:
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("UPDATE state SET flushes = flushes + 1")
            self._connection.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.Error as error:
            raise self._failed(error) from error
        self._is_flushed = True

    def rollback(self) -> None:
        """Undo what is not committed, and make the database usable again after a failure."""
        self._failure = ""
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._connection.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Close the connection; the WAL is copied into the database and removed."""
        self._connection.close()

    # -- errors --------------------------------------------------------------------------------

    def corrupt(self, what: str) -> IndexCorrupt:
        """The error that tells of damage, noted for the next opening."""
        self.is_suspect = True
        self._failure = what
        return IndexCorrupt(f"the index {self.path} is damaged ({what}): it is moved aside when it is opened next")

    def _unusable(self) -> IndexFailed:
        return IndexFailed(f"the index {self.path} failed before ({self._failure}): roll back first")

    def _failed(self, error: sqlite3.Error) -> IndexFailed:
        self._failure = str(error)
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return self.corrupt(str(error))
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return IndexLocked(f"the index {self.path} is in use by another program: end that program")
        remedy = _REMEDIES.get(code, "report it with this line")
        return IndexFailed(f"the index {self.path} failed ({error}): {remedy}")
