"""What every index does: SQLite on a real disk, and its twin in memory."""

from __future__ import annotations

import pytest
from msgspec import structs

from contract.index_harness import (
    ATTRIBUTES,
    ORIGIN,
    Home,
    digest_of,
    directory_at,
    file_at,
    stat_of,
    symlink_at,
    tombstone_at,
)
from syncagent.core.state import Overlay
from syncagent.index import IndexLocked
from syncagent.ports import Index, Row
from syncproto.model import Attributes, Metadata

NO_DIGEST = bytes(16)


# -- opening, transactions ---------------------------------------------------------------------------


def test_a_new_index_is_empty_and_has_the_minted_origin(index: Index) -> None:
    assert (index.is_new, index.was_clean, index.replaced, index.origin) == (True, True, "", ORIGIN)
    assert (index.counter, index.sequence, index.floor) == (0, 0, 0)
    assert (index.known, index.applied, index.collected, index.applied_by, index.remembered) == ({}, {}, {}, {}, {})
    assert (index.digest, index.live_count, index.live_bytes) == (NO_DIGEST, 0, 0)
    assert (index.pending_count, index.pending_bytes, index.starts) == (0, 0, ())
    assert [*index.entries(), *index.pending(), *index.changed_since(0), *index.members(), *index.held()] == []


def test_what_is_committed_is_there_again_and_the_rest_is_not(index_home: Home) -> None:
    index = index_home.open()
    index.put(file_at(b"kept", 7, size=5))
    index.put_pending(file_at(b"wanted", 8, size=6))
    index.counter, index.floor = 8, 99
    index.known, index.applied, index.collected = {ORIGIN: 8, "b": 3}, {ORIGIN: 7}, {"c": 2}
    index.commit()
    index.put(file_at(b"lost", 9))
    index.known = {ORIGIN: 9}
    digest = index.digest
    index.close()
    index.close()

    again = index_home.open("other")
    assert (again.is_new, again.was_clean, again.origin, again.floor) == (False, True, ORIGIN, 99)
    assert again.known == {ORIGIN: 8, "b": 3}
    assert (again.applied, again.collected) == ({ORIGIN: 7}, {"c": 2})
    assert list(again.entries()) == [file_at(b"kept", 7, size=5)]
    assert list(again.pending()) == [file_at(b"wanted", 8, size=6)]
    assert (again.live_count, again.live_bytes, again.pending_count, again.pending_bytes) == (1, 5, 1, 6)
    assert again.digest != digest
    again.recount()
    assert again.live_count == 1
    again.close()


def test_rollback_drops_all_but_the_counter_and_the_sequence(index: Index) -> None:
    index.put(file_at(b"a", 1))
    index.counter = 1
    index.commit()
    digest = index.digest
    index.put(file_at(b"a", 2, content=2))
    index.put_pending(file_at(b"b", 3, origin="b"))
    index.hold(b"a")
    index.set_applied_by("b", {"b": 3})
    index.counter, index.floor, index.known = 2, 5, {ORIGIN: 2}
    index.rollback()
    assert list(index.entries()) == [file_at(b"a", 1)]
    assert (index.floor, index.known, index.applied_by, index.held()) == (0, {}, {}, [])
    assert (index.pending_count, list(index.pending()), index.digest) == (0, [], digest)
    assert (index.counter, index.sequence) == (2, 3)


def test_an_open_index_cannot_be_opened_again(index_home: Home) -> None:
    index = index_home.open()
    with pytest.raises(IndexLocked, match="in use"):
        index_home.open()
    index.close()
    index_home.open().close()


def test_an_overlay_commits_into_the_index(index: Index) -> None:
    index.put(file_at(b"d/a", 1))
    index.put_pending(file_at(b"p", 5, origin="b"))
    overlay = Overlay(index)
    overlay.drop(b"d/a")
    overlay.put(directory_at(b"d", 2))
    overlay.drop_pending(("b", 5))
    overlay.counter, overlay.known = 2, {ORIGIN: 2}
    assert overlay.has_live_below(b"d") is False
    overlay.commit()
    assert list(index.entries()) == [directory_at(b"d", 2)]
    assert (index.counter, index.known, list(index.pending())) == (2, {ORIGIN: 2}, [])


# -- dots --------------------------------------------------------------------------------------------


def test_after_a_clean_end_the_counter_goes_on_where_it_was(index_home: Home) -> None:
    index = index_home.open()
    index.counter = 3
    index.put(file_at(b"a", 3))
    index.commit()
    index.close()
    again = index_home.open()
    assert (again.was_clean, again.counter, again.sequence) == (True, 3, 1)
    again.close()


def test_after_a_crash_no_dot_and_no_sequence_number_is_used_again(index_home: Home) -> None:
    index = index_home.open()
    index.counter = 3
    index.put(file_at(b"a", 3))
    index.commit()
    index.counter, beyond = 77, 10_000
    index_home.crash(index)
    again = index_home.open()
    assert (again.was_clean, list(again.entries())) == (False, [file_at(b"a", 3)])
    assert (again.counter, again.sequence) == (beyond, beyond)
    again.counter += 1
    again.put(file_at(b"b", again.counter))
    again.commit()
    index_home.crash(again)
    third = index_home.open()
    assert (third.counter, third.sequence) == (2 * beyond + 1, 2 * beyond + 1)
    third.close()


def test_a_dot_that_a_dying_process_had_in_mind_is_not_used_again(index_home: Home) -> None:
    index_home.crash(index_home.open())
    index = index_home.open()
    index.commit(durable=True)
    index.counter += 1
    in_mind = index.counter
    index_home.crash(index)
    again = index_home.open()
    assert again.counter >= in_mind
    again.close()


def test_crashes_alone_use_up_no_dots(index_home: Home) -> None:
    for _ in range(3):
        index = index_home.open()
        index_home.crash(index)
    index = index_home.open()
    assert index.counter == 10_000
    index.close()


# -- entries -----------------------------------------------------------------------------------------


def test_entries_come_by_path_and_tombstones_are_among_them(index: Index) -> None:
    entries = [
        file_at(b"\xff\xfe", metadata=Metadata(ATTRIBUTES, 5, "b", 6, ("c", 7), 2), carried=(("x", 1),)),
        tombstone_at(b"a/b"),
        directory_at(b"a"),
        symlink_at(b"a.txt", b"../\xff"),
    ]
    for entry in entries:
        index.put(entry)
    by_path = sorted(entries, key=lambda entry: entry.path)
    assert list(index.entries()) == by_path
    assert [index.entry(entry.path) for entry in by_path] == by_path
    assert list(index.tombstones()) == [tombstone_at(b"a/b")]
    assert index.entry(b"none") is None
    index.drop(b"a/b")
    index.drop(b"none")
    assert (index.entry(b"a/b"), list(index.tombstones())) == (None, [])


def test_below_is_strictly_inside(index: Index) -> None:
    for path in (b"d", b"d.x", b"d/\xff", b"d/a", b"d/a/b", b"d0", b"e/f"):
        index.put(file_at(path))
    index.put(tombstone_at(b"d/gone"))
    index.put(tombstone_at(b"t/gone"))
    assert index.live_below(b"d") == [b"d/a", b"d/a/b", b"d/\xff"]
    assert index.live_below(b"") == [b"d", b"d.x", b"d/a", b"d/a/b", b"d/\xff", b"d0", b"e/f"]
    assert [index.has_live_below(p) for p in (b"d", b"e", b"d0", b"t", b"")] == [True, True, False, False, True]
    assert [row.entry.path for row in index.rows_below(b"d")] == index.live_below(b"d")
    assert [row.entry.path for row in index.rows_below(b"")] == index.live_below(b"")


def test_children_are_direct_and_may_be_dead(index: Index) -> None:
    for entry in (file_at(b"top"), directory_at(b"d"), file_at(b"d/b"), tombstone_at(b"d/a"), file_at(b"d/b/c")):
        index.put(entry)
    assert [row.entry.path for row in index.children(b"d")] == [b"d/a", b"d/b"]
    assert [row.entry.path for row in index.children(b"")] == [b"d", b"top"]
    assert index.children(b"nothing") == []


def test_only_live_files_have_a_content(index: Index) -> None:
    index.put(tombstone_at(b"dead", content=1))
    index.put(symlink_at(b"link", digest_of(2)))
    index.put(file_at(b"file", content=3))
    assert [index.has_content(digest_of(n)) for n in (1, 2, 3, 4)] == [False, False, True, False]
    assert index.has_content(None) is False
    index.put(tombstone_at(b"file", content=3))
    assert index.has_content(digest_of(3)) is False


# -- rows --------------------------------------------------------------------------------------------


def test_put_keeps_what_the_disk_showed(index: Index) -> None:
    index.put_row(file_at(b"a", 1), stat_of(7, 10), ATTRIBUTES)
    index.put(file_at(b"a", 2))
    assert index.row(b"a") == Row(file_at(b"a", 2), stat_of(7, 10), ATTRIBUTES)
    index.put(tombstone_at(b"a", 3))
    assert index.row(b"a") == Row(tombstone_at(b"a", 3), stat_of(7, 10), ATTRIBUTES)
    index.put_row(file_at(b"a", 4), None, None)
    assert index.row(b"a") == Row(file_at(b"a", 4), None, None)
    index.put(file_at(b"b"))
    assert (index.row(b"b"), index.row(b"none")) == (Row(file_at(b"b"), None, None), None)


def test_a_new_stat_is_no_news_for_peers(index: Index) -> None:
    index.put(file_at(b"a"))
    before = index.sequence
    index.set_stat(b"a", stat_of(2**64 - 1), Attributes(0o600))
    assert index.row(b"a") == Row(file_at(b"a"), stat_of(2**64 - 1), Attributes(0o600))
    index.set_stat(b"a", None, None)
    assert (index.row(b"a"), index.sequence) == (Row(file_at(b"a"), None, None), before)
    with pytest.raises(KeyError, match="none"):
        index.set_stat(b"none", None, None)


@pytest.mark.parametrize("inode", [1, 2**63 - 1, 2**63, 2**64 - 1])
def test_an_inode_finds_live_rows(index: Index, inode: int) -> None:
    index.put_row(file_at(b"one"), stat_of(inode), None)
    index.put_row(file_at(b"dead"), stat_of(inode), None)
    index.put_row(file_at(b"other"), stat_of(5), None)
    index.put(file_at(b"unseen"))
    index.put(tombstone_at(b"dead", 2))
    assert [row.entry.path for row in index.by_inode(inode)] == [b"one"]
    index.set_stat(b"unseen", stat_of(inode), None)
    index.set_stat(b"dead", stat_of(inode), None)
    assert [row.entry.path for row in index.by_inode(inode)] == [b"one", b"unseen"]
    index.put(file_at(b"dead", 3))
    assert [row.entry.path for row in index.by_inode(inode)] == [b"dead", b"one", b"unseen"]
    index.drop(b"one")
    index.set_stat(b"unseen", None, None)
    assert [row.entry.path for row in index.by_inode(inode)] == [b"dead"]


def test_a_content_finds_files_those_with_a_stat_first(index: Index) -> None:
    index.put(file_at(b"a", content=1))
    index.put_row(file_at(b"b", content=1), stat_of(2), None)
    index.put_row(file_at(b"c", content=1), stat_of(3), None)
    index.put_row(file_at(b"d", content=2), stat_of(4), None)
    index.put(tombstone_at(b"e", content=1))
    assert [row.entry.path for row in index.by_content(digest_of(1))] == [b"b", b"c", b"a"]
    assert [row.entry.path for row in index.by_content(digest_of(1), limit=2)] == [b"b", b"c"]
    assert index.by_content(digest_of(3)) == []


# -- sums --------------------------------------------------------------------------------------------


def test_the_digest_is_of_what_is_live_and_not_of_how_it_came(index: Index) -> None:
    one, two = file_at(b"a", 1), file_at(b"b", 2)
    index.put(one)
    alone = index.digest
    index.put(two)
    index.put(tombstone_at(b"c", 3))
    both = index.digest
    assert (index.live_count, index.live_bytes) == (2, 20)
    index.put(tombstone_at(b"b", 4))
    assert (index.digest, index.live_count, index.live_bytes) == (alone, 1, 10)
    index.drop(b"a")
    index.drop(b"b")
    assert (index.digest, index.live_count, index.live_bytes) == (NO_DIGEST, 0, 0)
    index.put(two)
    index.put(one)
    assert index.digest == both
    index.put(file_at(b"a", 1, metadata=Metadata(Attributes(0o600), 9, "b", 4, ("b", 4))))
    assert index.digest != both


def test_what_is_not_counted_is_in_no_sum(index: Index) -> None:
    index.put(file_at(b"a", 1, size=1))
    alone = index.digest
    index.put(file_at(b"a~", 2, size=2))
    index.put(file_at(b"b~", 3, size=4))
    index.is_counted = lambda path: not path.endswith(b"~")
    index.recount()
    assert (index.digest, index.live_count, index.live_bytes) == (alone, 1, 1)
    index.put(file_at(b"c~", 4, size=8))
    index.drop(b"a~")
    assert (index.digest, index.live_count, index.live_bytes) == (alone, 1, 1)
    index.is_counted = None
    index.recount()
    assert (index.live_count, index.live_bytes) == (3, 13)


def test_copies_residues_and_pending_contents_are_found(index: Index) -> None:
    copy = structs.replace(file_at(b"x~b-1", 1), is_copy=True)
    index.put(copy)
    index.put(file_at(b"x", 2))
    assert list(index.copies()) == [copy]
    index.put(tombstone_at(b"x~b-1"))
    assert list(index.copies()) == []
    index.add_residue(b"left")
    index.add_residue(b"behind")
    assert index.residues() == [b"behind", b"left"]
    first, second = file_at(b"p", 7), structs.replace(file_at(b"q", 8), content=file_at(b"p", 7).content)
    index.put_pending(second)
    index.put_pending(first)
    assert index.pending_with_content(first.content or b"") == [first, second]
    assert index.pending_with_content(bytes(32)) == []
