"""From a path to a checked database: the lock, the schema, the check after an unclean end, the damaged file."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files

from syncagent.index.database import Database
from syncagent.index.errors import IndexCorrupt, IndexLocked, IndexTooNew
from syncagent.index.rows import encode, seal
from syncagent.ports import IndexFailed

SCHEMA_VERSION = 4
APPLICATION_ID = 0x53594E43
"""Tells our files from other SQLite databases."""
RESERVED_BLOCK = 10_000
"""So many dots and sequence numbers are reserved with one flush."""

UNCLEAN, CLEAN, SUSPECT = 0, 1, -1

_INSERT_STATE = """
INSERT INTO state (id, is_clean, flushes, origin, counter, counter_reserved, sequence, sequence_reserved, floor,
    known, applied, collected, starts, live_count, live_bytes, digest, pending_count, pending_bytes)
VALUES (1, 0, 0, ?, 0, ?, 0, ?, 0, ?4, ?4, ?4, ?5, 0, 0, zeroblob(16), 0, 0)
"""


class Lock:
    """One process, and one index in it, holds the lock file; the kernel lets go of it when the process dies."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: str) -> Lock:
        """Lock the index at ``path``. Raises ``IndexLocked``."""
        name = path + ".lock"
        with _os_errors(path):
            descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise IndexLocked(
                f"the index {path} is in use by process {holder}: stop that agent, or give this one its own --state-dir"
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise IndexFailed(
                f"the index {path} cannot be locked ({error.strerror}): use a file system with locks"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return cls(name, descriptor)

    def release(self) -> None:
        """Let others open the index. The file stays: to remove it would let two hold it."""
        os.close(self._descriptor)


@dataclass(frozen=True, slots=True)
class Opened:
    """A database that may be used, and how it came to be."""

    database: Database
    is_new: bool
    was_clean: bool
    replaced: str
    """Where a damaged file was moved, empty if there was none."""


def open_database(path: str, new_origin: Callable[[], str], replaced: str) -> Opened:
    """Open or create the database, which is marked as not cleanly closed from here on. Raises ``IndexFailed``."""
    with _os_errors(path):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    database = Database.open(path)
    with closed_on_failure(database):
        database.set_up()
        is_new = _is_empty(database)
        if is_new:
            _create(database, new_origin())
        was_clean = _check(database) or is_new
        database.change("UPDATE state SET is_clean = ?", UNCLEAN)
        database.commit()
        database.flush()
        if is_new:
            with _os_errors(path):
                _flush_directory(path)
    return Opened(database, is_new, was_clean, replaced)


@contextlib.contextmanager
def closed_on_failure(database: Database) -> Iterator[None]:
    """Close the database if the block fails. A damaged one is moved first: to close it would remove its WAL."""
    try:
        yield
    except IndexCorrupt as error:
        error.moved_to = set_aside(database.path)
        database.close()
        raise
    except BaseException:
        database.close()
        raise


def _is_empty(database: Database) -> bool:
    return bool(database.row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)")[0])


def _create(database: Database, origin: str) -> None:
    identity = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
    scripts = " ".join(map(_script, ("schema.sql", "history.sql", "lineage.sql")))
    database.run_script(f"BEGIN IMMEDIATE; {identity} {scripts}")
    database.change(_INSERT_STATE, origin, RESERVED_BLOCK, RESERVED_BLOCK, encode({}), encode(()))
    database.commit()


def _script(name: str) -> str:
    return files("syncagent.index").joinpath(name).read_text(encoding="utf-8")


def _migrate(database: Database, version: int) -> None:
    """From the schema of an earlier version to this one, or not at all."""
    if version < 2:
        database.run_script(f"BEGIN IMMEDIATE; PRAGMA user_version = 2; {_script('history.sql')} COMMIT;")
    if version < 3:
        database.run_script(f"BEGIN IMMEDIATE; PRAGMA user_version = 3; {_script('lineage.sql')} COMMIT;")
    if version < 4:
        database.define("sealed", seal)
        database.run_script(f"BEGIN IMMEDIATE; PRAGMA user_version = 4; {_script('sealed.sql')} COMMIT;")


def _check(database: Database) -> bool:
    """Whether the last use ended cleanly. Raises ``IndexCorrupt`` and ``IndexTooNew``.

    All pages are read only where it did not: that takes about a second for a million rows.
    """
    if database.row("PRAGMA application_id")[0] != APPLICATION_ID:
        raise database.corrupt("it is no index of ours")
    version = database.row("PRAGMA user_version")[0]
    if version > SCHEMA_VERSION:
        raise IndexTooNew(
            f"the index {database.path} has schema {version}, this program knows {SCHEMA_VERSION}: update the program"
        )
    _migrate(database, version)
    found = database.row("SELECT is_clean FROM state WHERE id = 1")
    if found is None or found[0] == SUSPECT:
        raise database.corrupt("it was found damaged before" if found else "its state is missing")
    if found[0] == CLEAN:
        return True
    database.verify()
    return False


def set_aside(path: str) -> str:
    """Rename a damaged file and its WAL to the first free name, and return that name."""
    number = 1
    while os.path.lexists(aside := f"{path}.damaged-{number}"):
        number += 1
    with _os_errors(path):
        if os.path.lexists(path + "-wal"):
            os.rename(path + "-wal", aside + "-wal")
        os.rename(path, aside)
        _flush_directory(path)
    return aside


def latest_aside(path: str) -> str:
    """The damaged file that was moved last and is still there; empty if there is none."""
    number, latest = 1, ""
    while os.path.lexists(aside := f"{path}.damaged-{number}"):
        number, latest = number + 1, aside
    return latest


def _flush_directory(path: str) -> None:
    descriptor = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _os_errors(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise IndexFailed(f"the index {path} cannot be used ({error.strerror}): check its directory") from error
