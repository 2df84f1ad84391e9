"""What every index does with its history: what stood at paths before they were changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from contract.index_harness import ORIGIN, Home, digest_of, directory_at, file_at, symlink_at, tombstone_at
from syncagent.ports import HistorySums, Index, Past
from syncproto.model import Entry, Kind, Manifest, Path


def past_of(path: Path, stamp: int, before: Entry | None = None, kept: bytes = b"", kept_bytes: int = 0) -> Past:
    """A change of a file at this path."""
    return Past(path, before, Kind.FILE, ("b", stamp), stamp, 1000 + stamp, kept, kept_bytes)


def numbers(pasts: Iterable[Past]) -> list[int]:
    return [past.number for past in pasts]


def test_changes_of_a_path_come_newest_first(index: Index) -> None:
    first = past_of(b"x", 5)
    second = past_of(b"x", 4, file_at(b"x", 7, content=3), b"name-2", 4096)
    for past in (first, past_of(b"x/y", 6), second):
        index.add_past(past)
    assert index.history_of(b"x") == [replace(second, number=3), replace(first, number=1)]
    assert index.history_of(b"none") == []
    assert numbers(index.latest_history(2)) == [3, 2]
    assert numbers(index.oldest_history()) == [1, 2, 3]
    assert index.history_sums == HistorySums(3, 1, 4096)


def test_every_kind_of_entry_comes_back_as_it_was(index: Index) -> None:
    before = [None, file_at(b"x", 2), directory_at(b"x"), symlink_at(b"x", b"target"), tombstone_at(b"x", 4)]
    kinds = [Kind.TOMBSTONE, Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK, Kind.FILE]
    pasts = [
        replace(past_of(b"x", 1, entry, b"k%d" % number, 7), kind=kind)
        for number, (entry, kind) in enumerate(zip(before, kinds, strict=True))
    ]
    for past in pasts:
        index.add_past(past)
    assert [replace(past, number=0) for past in index.oldest_history()] == pasts


def test_changes_below_a_directory_come_by_path(index: Index) -> None:
    for path in (b"d/b", b"d", b"d/a", b"d0", b"d/b", b"d.x", b"d/a/c", b"e/d/x"):
        index.add_past(past_of(path, 1))
    assert [(past.path, past.number) for past in index.history_below(b"d")] == [
        (b"d/a", 3),
        (b"d/a/c", 7),
        (b"d/b", 5),
        (b"d/b", 1),
    ]
    assert len(list(index.history_below(b""))) == 8


def test_changes_since_a_stamp_come_by_stamp(index: Index) -> None:
    for stamp in (30, 10, 20, 10, 2**62):
        index.add_past(past_of(b"x", stamp))
    assert [(past.stamp, past.number) for past in index.history_since(10)] == [
        (10, 2),
        (10, 4),
        (20, 3),
        (30, 1),
        (2**62, 5),
    ]
    assert numbers(index.history_since(11)) == [3, 1, 5]
    assert numbers(index.history_since(2**62 + 1)) == []


def test_what_is_kept_is_found_by_content(index: Index) -> None:
    index.add_past(past_of(b"a", 1, file_at(b"a", 1, content=3), b"one", 10))
    index.add_past(past_of(b"b", 1, file_at(b"b", 1, content=3)))
    index.add_past(past_of(b"c", 1, file_at(b"c", 1, content=4), b"two", 20))
    index.add_past(past_of(b"d", 1, file_at(b"d", 1, content=3), b"three", 30))
    index.add_past(past_of(b"e", 1, tombstone_at(b"e", 1, content=3)))
    assert [past.kept for past in index.kept_with_content(digest_of(3))] == [b"three", b"one"]
    assert [past.kept for past in index.kept_with_content(digest_of(3), 1)] == [b"three"]
    assert index.kept_with_content(digest_of(5)) == []
    assert [past.kept for past in index.oldest_kept()] == [b"one", b"two", b"three"]
    index.unkeep(1)
    assert [past.kept for past in index.kept_with_content(digest_of(3))] == [b"three"]
    assert index.history_of(b"a") == [replace(past_of(b"a", 1, file_at(b"a", 1, content=3)), number=1)]
    assert index.history_sums == HistorySums(5, 2, 50)


def test_what_is_dropped_is_gone_also_while_it_is_read(index: Index) -> None:
    for number in range(1100):
        index.add_past(past_of(b"%d" % number, number + 1, file_at(b"x", 1, content=number), b"k%d" % number, 1))
    for past in index.oldest_kept():
        if past.number % 2:
            index.drop_past(past.number)
        else:
            index.unkeep(past.number)
    assert index.history_sums == HistorySums(550, 0, 0)
    for past in index.oldest_history():
        index.drop_past(past.number)
    assert list(index.oldest_history()) == []


def test_history_is_part_of_the_transaction(index_home: Home) -> None:
    index = index_home.open()
    index.add_past(past_of(b"x", 1))
    index.commit()
    index.add_past(past_of(b"x", 2))
    index.rollback()
    assert numbers(index.oldest_history()) == [1]
    index_home.crash(index)
    again = index_home.open()
    assert numbers(again.history_of(b"x")) == [1]
    again.close()


def test_history_outlives_an_incarnation(index: Index) -> None:
    index.add_past(past_of(b"x", 1, file_at(b"x", 1), b"kept", 5))
    index.reincarnate("zz", b"start001")
    assert [past.kept for past in index.history_of(b"x")] == [b"kept"]
    assert index.history_of(b"x")[0].before == file_at(b"x", 1, origin=ORIGIN)


def test_manifests_of_what_is_kept_stay(index: Index) -> None:
    for number in (1, 2):
        index.put_manifest(Manifest(digest_of(number), 0, ()))
    index.add_past(past_of(b"x", 1, file_at(b"x", 1, content=1), b"kept", 5))
    index.add_past(past_of(b"x", 1, file_at(b"x", 1, content=2)))
    index.prune_manifests()
    assert index.manifest(digest_of(1)) is not None
    assert index.manifest(digest_of(2)) is None
