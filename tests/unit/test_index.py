"""The SQLite index alone: damage, power cuts, full disks, refusals, and how it asks its tables."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
from importlib.resources import files
from pathlib import Path as FilePath

import msgspec
import pytest
import xxhash

from contract.index_harness import ORIGIN, directory_at, file_at, stat_of
from syncagent.core.plan import StatKey
from syncagent.index import Index, IndexCorrupt, IndexLocked, IndexTooNew, entries, history, pending
from syncagent.index.digest import mark
from syncagent.index.rows import pack_stat, unpack_stat
from syncagent.ports import IndexFailed, Past
from syncproto.model import Attributes, Kind, Metadata

PAGE = 4096


def open_index(path: FilePath, origin: str = ORIGIN) -> Index:
    return Index.open(path, new_origin=lambda: origin)


def filled(path: FilePath, rows: int = 300) -> Index:
    index = open_index(path)
    for number in range(1, rows + 1):
        index.put_row(file_at(b"d/%04d" % number, number), stat_of(number), Attributes(0o644))
    index.counter = rows
    index.commit()
    return index


def leave_unclean(index: Index) -> None:
    """Let go of the files as a kill does."""
    index._database.close()
    index._lock.release()


def take_seals_off(database: sqlite3.Connection) -> None:
    """As versions before 4 had it: no checksum behind a value."""
    database.create_function("unsealed", 1, lambda sealed: sealed[:-8])
    script = files("syncagent.index").joinpath("sealed.sql").read_text(encoding="utf-8")
    database.executescript(re.sub(r"\bsealed\(", "unsealed(", script))


# -- damage ------------------------------------------------------------------------------------------


def assert_replaced(path: FilePath, aside: FilePath, content: bytes) -> None:
    index = open_index(path, "fresh")
    assert (index.is_new, index.origin, index.replaced) == (True, "fresh", str(aside))
    assert list(index.entries()) == []
    assert aside.read_bytes() == content
    index.close()


def test_a_file_that_is_no_database_is_moved_aside(tmp_path: FilePath) -> None:
    path = tmp_path / "index.db"
    for number, content in enumerate([b"not SQLite" * 1000, b"again" * 1000], start=1):
        path.write_bytes(content)
        assert_replaced(path, tmp_path / f"index.db.damaged-{number}", content)


def test_a_damaged_page_is_found_after_an_unclean_end(tmp_path: FilePath) -> None:
    path = tmp_path / "index.db"
    leave_unclean(filled(path))
    damaged = bytearray(path.read_bytes())
    damaged[10 * PAGE : 11 * PAGE] = b"\xa5" * PAGE
    path.write_bytes(damaged)
    assert_replaced(path, tmp_path / "index.db.damaged-1", bytes(damaged))


def test_a_damaged_file_takes_its_wal_along(tmp_path: FilePath) -> None:
    path, wal = tmp_path / "index.db", tmp_path / "index.db-wal"
    path.write_bytes(b"no database" * 1000)
    wal.write_bytes(b"its log")
    open_index(path).close()
    assert (tmp_path / "index.db.damaged-1-wal").read_bytes() == b"its log"


def test_damage_that_is_met_in_use_is_told_and_the_file_replaced_at_the_next_start(tmp_path: FilePath) -> None:
    path = tmp_path / "index.db"
    filled(path).close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE entries SET entry = x'c1' WHERE path = ?", (b"d/0007",))
    database.close()
    index = open_index(path)
    with pytest.raises(IndexCorrupt, match="index.db is damaged"):
        list(index.entries())
    with pytest.raises(IndexFailed, match="roll back first"):
        index.put(file_at(b"x"))
    index.close()
    again = open_index(path, "fresh")
    assert (again.is_new, again.origin, again.replaced) == (True, "fresh", f"{path}.damaged-1")
    again.close()


@pytest.mark.parametrize("column", ["entry", "attributes"])
def test_one_flipped_bit_in_a_value_is_damage(tmp_path: FilePath, column: str) -> None:
    path = tmp_path / "index.db"
    filled(path).close()
    with sqlite3.connect(path) as database:
        (value,) = database.execute(f"SELECT {column} FROM entries WHERE path = ?", (b"d/0007",)).fetchone()
        flipped = value[:-9] + bytes([value[-9] ^ 1]) + value[-8:]
        database.execute(f"UPDATE entries SET {column} = ? WHERE path = ?", (flipped, b"d/0007"))
    database.close()
    index = open_index(path)
    with pytest.raises(IndexCorrupt, match="checksum"):
        index.row(b"d/0007")
    index.close()


def test_pages_are_read_back_from_the_disk(tmp_path: FilePath) -> None:
    path = tmp_path / "index.db"
    filled(path).close()
    index = open_index(path)
    assert len(list(index.entries())) == 300
    index.verify()
    with path.open("r+b") as file:
        file.seek(10 * PAGE)
        file.write(b"\xa5" * PAGE)
    with pytest.raises(IndexCorrupt):
        index.verify()
    index.close()
    again = open_index(path, "fresh")
    assert (again.is_new, again.replaced) == (True, f"{path}.damaged-1")
    again.close()


def test_damaged_state_is_damage(tmp_path: FilePath) -> None:
    path = tmp_path / "index.db"
    for change in ("UPDATE state SET known = x'c1'", "DELETE FROM state"):
        filled(path).close()
        with sqlite3.connect(path) as database:
            database.execute(change)
        database.close()
        index = open_index(path)
        assert index.replaced
        index.close()


def test_another_programs_database_is_moved_aside_and_not_changed(tmp_path: FilePath) -> None:
    path = tmp_path / "index.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE precious (value)")
        database.execute("INSERT INTO precious VALUES (42)")
    database.close()
    index = open_index(path)
    index.close()
    with sqlite3.connect(index.replaced) as database:
        assert database.execute("SELECT value FROM precious").fetchone() == (42,)
    database.close()


# -- refusals ----------------------------------------------------------------------------------------


def test_a_later_schema_is_refused_and_left_alone(tmp_path: FilePath) -> None:
    path = tmp_path / "index.db"
    filled(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    for _ in range(2):
        with pytest.raises(IndexTooNew, match=r"index.db has schema 99, this program knows 4: update the program"):
            open_index(path)
    assert sorted(os.listdir(tmp_path)) == ["index.db", "index.db.lock"]


def test_an_index_without_a_history_gets_one(tmp_path: FilePath) -> None:
    path = tmp_path / "index.db"
    filled(path).close()
    with sqlite3.connect(path) as database:
        take_seals_off(database)
        database.executescript("DROP TABLE history; DROP TABLE lineage; PRAGMA user_version = 1;")
    database.close()
    for number in range(2):
        index = open_index(path)
        assert (index.replaced, index.is_new, index.history_sums.changes) == ("", False, number)
        index.add_past(Past(b"x", None, Kind.FILE, ("a", 1), 1, 1))
        index.commit()
        index.close()


def test_the_lock_names_its_holder(tmp_path: FilePath) -> None:
    index = open_index(tmp_path / "index.db")
    with pytest.raises(IndexLocked, match=rf"index.db is in use by process {os.getpid()}: stop that agent"):
        open_index(tmp_path / "index.db")
    index.close()


def test_another_process_is_locked_out(tmp_path: FilePath) -> None:
    index = open_index(tmp_path / "index.db")
    script = "import sys; from syncagent.index import Index; Index.open(sys.argv[1], new_origin=lambda: 'x')"
    command = [sys.executable, "-c", script, str(tmp_path / "index.db")]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "IndexLocked" in refused.stderr
    index.close()
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_missing_directory_is_named(tmp_path: FilePath) -> None:
    with pytest.raises(IndexFailed, match=r"none/index.db cannot be used \(No such file or directory\): check its dir"):
        open_index(tmp_path / "none" / "index.db")


def test_the_files_are_for_their_owner_only(tmp_path: FilePath) -> None:
    index = filled(tmp_path / "index.db", 1)
    modes = {name: stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in os.listdir(tmp_path)}
    assert modes == {"index.db": 0o600, "index.db-wal": 0o600, "index.db.lock": 0o600}
    index.close()


def test_a_full_disk_stops_all_writing_until_rollback(tmp_path: FilePath) -> None:
    index = filled(tmp_path / "index.db")
    digest, database = index.digest, index._database
    pages = database.row("PRAGMA page_count")[0]
    database.row(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(IndexFailed, match=r"index.db failed \(database or disk is full\): free space"):
        for number in range(10_000):
            index.put(file_at(b"more/%d" % number))
    with pytest.raises(IndexFailed, match="roll back first"):
        index.hold(b"x")
    with pytest.raises(IndexFailed, match="roll back first"):
        index.commit()
    database.row(f"PRAGMA max_page_count = {2 * pages}")
    index.rollback()
    assert (index.digest, index.live_count, index.has_live_below(b"more")) == (digest, 300, False)
    index.put(file_at(b"x"))
    index.commit()
    index.close()


# -- power cuts --------------------------------------------------------------------------------------


def after_power_cut(path: FilePath, wal_bytes: int) -> FilePath:
    """A copy of what a power cut leaves if the WAL had reached the disk up to there."""
    copy = path.parent / "after" / "index.db"
    copy.parent.mkdir()
    shutil.copyfile(path, copy)
    wal = FilePath(f"{path}-wal").read_bytes()
    FilePath(f"{copy}-wal").write_bytes(wal[:wal_bytes])
    return copy


def test_a_power_cut_takes_commits_but_no_dot_comes_again(tmp_path: FilePath) -> None:
    path = tmp_path / "index.db"
    index = open_index(path)
    index.put(file_at(b"durable", 1))
    index.counter = 1
    index.commit(durable=True)
    flushed = os.path.getsize(f"{path}-wal")
    index.put(file_at(b"lost", 2))
    index.counter = 2
    index.commit()
    again = open_index(after_power_cut(path, flushed))
    assert list(again.entries()) == [file_at(b"durable", 1)]
    assert (again.was_clean, again.counter > 2, again.sequence > 2) == (False, True, True)
    again.close()
    index.close()


def test_a_counter_beyond_its_block_is_committed_durably(tmp_path: FilePath) -> None:
    path = tmp_path / "index.db"
    index = filled(path)
    flushes = index._database.row("SELECT flushes FROM state")[0]
    index.counter += 1
    index.commit()
    assert index._database.row("SELECT flushes FROM state")[0] == flushes
    index.counter = 10_001
    index.commit()
    assert index._database.row("SELECT flushes, counter_reserved FROM state") == (flushes + 1, 20_001)
    again = open_index(after_power_cut(path, os.path.getsize(f"{path}-wal")))
    assert again.counter == 20_001
    again.close()
    index.close()


@pytest.mark.strace
def test_a_durable_commit_flushes_the_wal_and_another_does_not(tmp_path: FilePath) -> None:
    script = """
import os, sys
from contract.index_harness import file_at
from syncagent.index import Index
index = Index.open(sys.argv[1], new_origin=lambda: "a")
for number, durable in enumerate([False, True, False, True]):
    index.put(file_at(b"path", number + 1))
    os.write(2, b"BEGIN durable\\n" if durable else b"BEGIN\\n")
    index.commit(durable)
    os.write(2, b"END\\n")
"""
    trace = tmp_path / "trace"
    command = ["strace", "-y", "-f", "-e", "trace=write,fsync,fdatasync", "-o", str(trace)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(FilePath(__file__).parent.parent), *sys.path])}
    subprocess.run([*command, sys.executable, "-c", script, str(tmp_path / "i.db")], check=True, env=environment)
    commits = re.findall(r'"BEGIN( durable)?\\n"(.*?)"END\\n"', trace.read_text(), re.DOTALL)
    synced = [
        (bool(durable), len(re.findall(r"f(?:data)?sync\(\d+<.*i\.db-wal>", calls))) for durable, calls in commits
    ]
    assert synced == [(False, 0), (True, 1), (False, 0), (True, 1)]


# -- storage -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        StatKey(1, 0, 0, 0, 0, 0, 0),
        StatKey(2**64 - 1, 2**46, -1, 2**63 * 3, 0o177777, 2**32 - 1, 2**32 - 1),
        StatKey(2**63, 5, -(10**18) - 1, 16_725_225_600_000_000_001, 0o40755, 1, 2),
    ],
    ids=["zero", "largest", "before-1970-and-after-2262"],
)
def test_every_stat_can_be_stored(key: StatKey) -> None:
    assert unpack_stat(pack_stat(key)) == key


def test_the_mark_of_an_entry_is_as_specified() -> None:
    entry = file_at(b"a/\xff", 5, metadata=Metadata(Attributes(0o600), 9, "b", 300, ("c", 1)))
    packed = b"\x95\xc4\x03a/\xff\xa2aa\x05\xa1b\xcd\x01\x2c"
    assert msgspec.msgpack.encode((b"a/\xff", "aa", 5, "b", 300)) == packed
    assert mark(entry) == xxhash.xxh3_128_digest(packed)
    assert mark(entry).hex() == "c2a23ae2d26115ac4a9b087c7eedf5d4"


def test_the_digest_is_the_sum_of_the_marks(tmp_path: FilePath) -> None:
    index = open_index(tmp_path / "index.db")
    both = [file_at(b"a", 1), directory_at(b"b", 2)]
    for entry in both:
        index.put(entry)
    total = sum(int.from_bytes(mark(entry), "big") for entry in both) % 2**128
    assert index.digest == total.to_bytes(16, "big")
    index.close()


def test_paths_with_the_same_hash_are_told_apart(tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "hashed", lambda path: 5)
    index = open_index(tmp_path / "index.db")
    for path in (b"one/a", b"two/b", b"top"):
        index.put(file_at(path))
    assert [row.entry.path for row in index.children(b"one")] == [b"one/a"]
    assert [row.entry.path for row in index.children(b"")] == [b"top"]
    index.close()


def statements() -> list[str]:
    """Every query that the modules of the large tables keep as a constant."""
    constants = [
        value for module in (entries, history, pending) for value in vars(module).values() if isinstance(value, str)
    ]
    return [sql for sql in constants if sql.startswith("SELECT") and "?" in sql]


@pytest.mark.parametrize("sql", statements(), ids=lambda sql: " ".join(sql.split())[:60])
def test_no_query_reads_a_whole_table(sql: str, tmp_path: FilePath) -> None:
    index = filled(tmp_path / "index.db", 1)
    count = len(set(re.findall(r"\?\d", sql))) or sql.count("?")
    plan = [row[3] for row in index._database.rows(f"EXPLAIN QUERY PLAN {sql}", *[b""] * count)]
    assert plan
    assert [line for line in plan if line.startswith("SCAN")] == []
    index.close()


def test_the_schema_is_part_of_the_package() -> None:
    assert "CREATE TABLE entries" in files("syncagent.index").joinpath("schema.sql").read_text(encoding="utf-8")
