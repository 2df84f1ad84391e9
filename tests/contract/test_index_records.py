"""What every index does with its history, what is pending, contents, peers and local facts."""

from __future__ import annotations

from contract.index_harness import (
    ATTRIBUTES,
    ORIGIN,
    Home,
    digest_of,
    directory_at,
    file_at,
    stat_of,
    tombstone_at,
)
from syncagent.core.starts import Remembered
from syncagent.ports import Index
from syncproto.messages import Start
from syncproto.model import Chunk, Manifest, Member

NO_DIGEST = bytes(16)


# -- history -----------------------------------------------------------------------------------------


def test_the_history_has_each_row_at_its_last_write(index: Index) -> None:
    index.put(file_at(b"a", 1))
    index.put_pending(file_at(b"p", 9, origin="b"))
    index.put(file_at(b"b", 2))
    index.put(file_at(b"a", 3))
    assert index.sequence == 4
    assert list(index.changed_since(0)) == [file_at(b"p", 9, origin="b"), file_at(b"b", 2), file_at(b"a", 3)]
    assert list(index.changed_since(3)) == [file_at(b"a", 3)]
    index.drop(b"a")
    index.drop_pending(("b", 9))
    assert (list(index.changed_since(0)), index.sequence) == ([file_at(b"b", 2)], 4)


def test_who_reads_the_history_while_it_is_written_misses_nothing(index: Index) -> None:
    total = 1200
    for number in range(total):
        index.put(file_at(b"%04d" % number, 1))
    index.put_pending(file_at(b"new", 1, origin="b"))
    reader = index.changed_since(0)
    got = [next(reader) for _ in range(700)]
    index.put(file_at(b"0003", 2))
    index.put(file_at(b"1100", 2))
    index.drop_pending(("b", 1))
    index.put(file_at(b"new", 1, origin="b"))
    latest = {entry.path: entry for entry in [*got, *reader]}
    assert latest == {entry.path: entry for entry in index.entries()}


def test_rows_may_be_dropped_while_they_are_read(index: Index) -> None:
    for number in range(1100):
        index.put(tombstone_at(b"%04d" % number))
        index.put_pending(file_at(b"p", number + 1, origin="b"))
    for tombstone in index.tombstones():
        index.drop(tombstone.path)
    for entry in index.pending():
        index.drop_pending(entry.dot)
    assert [*index.entries(), *index.pending()] == []


# -- pending -----------------------------------------------------------------------------------------


def test_pending_entries_come_by_dot(index: Index) -> None:
    entries = [file_at(b"x", 10, origin="b"), file_at(b"x", 9, origin="b"), tombstone_at(b"y", 11)]
    for entry in entries:
        index.put_pending(entry)
    by_dot = sorted(entries, key=lambda entry: entry.dot)
    assert list(index.pending()) == by_dot
    assert index.pending_at(b"x") == [entries[1], entries[0]]
    assert (index.pending_entry(("b", 9)), index.pending_entry(("b", 8))) == (entries[1], None)
    index.drop_pending(("b", 9))
    index.drop_pending(("b", 8))
    assert index.pending_at(b"x") == [entries[0]]


def test_a_pending_entry_is_replaced_by_its_dot(index: Index) -> None:
    index.put_pending(file_at(b"x", 5, origin="b", carried=(("c", 3),)))
    index.put_pending(file_at(b"x", 5, origin="b", size=30, carried=(("d", 4),)))
    assert list(index.pending()) == [file_at(b"x", 5, origin="b", size=30, carried=(("d", 4),))]
    assert (index.pending_count, index.pending_bytes) == (1, 30)
    assert [index.has_pending_wanting((), dot) for dot in (("c", 3), ("d", 4))] == [False, True]


def test_a_pending_file_wants_its_content_and_what_it_carries(index: Index) -> None:
    nothing = ("z", 1)
    assert index.has_pending_wanting((), ("", 0)) is False
    index.put_pending(tombstone_at(b"t", 1, content=7))
    assert index.has_pending_wanting((digest_of(7), None), nothing) is False
    assert index.has_pending_wanting((), ("", 0)) is False
    index.put_pending(file_at(b"x", 5, content=1, origin="b", carried=(("c", 3), ("d", 8))))
    assert index.has_pending_wanting((digest_of(2), digest_of(1)), nothing) is True
    assert index.has_pending_wanting((digest_of(2), None), nothing) is False
    assert index.has_pending_wanting((None,), ("c", 3)) is True
    assert index.has_pending_wanting((None,), ("c", 4)) is False
    assert index.has_pending_wanting((None,), ("d", 1)) is True
    assert index.has_pending_wanting((), ("", 0)) is True
    index.drop_pending(("b", 5))
    assert index.has_pending_wanting((digest_of(1),), ("d", 1)) is False


def test_wanted_contents_come_once_in_the_order_of_arrival(index: Index) -> None:
    for counter, content in enumerate([5, 3, 5, 9], start=1):
        index.put_pending(file_at(b"%d" % counter, counter, content, origin="b", size=content))
    index.put_pending(tombstone_at(b"t", 1, content=1))
    wanted = [(digest_of(n), n, False) for n in (5, 3, 9)]
    assert list(index.pending_contents()) == wanted
    assert (index.pending_count, index.pending_bytes) == (5, 22)
    index.drop_pending(("b", 1))
    assert list(index.pending_contents()) == [wanted[1], wanted[0], wanted[2]]


# -- contents, other replicas, local facts ------------------------------------------------------------


def test_manifests_stay_as_long_as_a_file_has_their_content(index: Index) -> None:
    manifests = [Manifest(digest_of(n), 7, (Chunk(bytes([n]) * 16, 3), Chunk(b"\xff" * 16, 4))) for n in (1, 2, 3, 4)]
    for manifest in manifests:
        index.put_manifest(manifest)
    index.put(file_at(b"live", content=1))
    index.put(tombstone_at(b"dead", content=3))
    index.put_pending(file_at(b"pending", content=2, origin="b"))
    index.prune_manifests()
    assert [index.manifest(digest_of(n)) for n in (1, 2, 3, 4)] == [*manifests[:2], None, None]
    again = Manifest(digest_of(1), 7, (Chunk(b"z" * 16, 7),))
    index.put_manifest(again)
    assert index.manifest(digest_of(1)) == again


def test_peers_are_remembered(index_home: Home) -> None:
    index = index_home.open()
    assert index.cursor("b") == ("", 0)
    index.set_cursor("b", "epoch", 17)
    index.set_applied_by("b", {"b": 4, ORIGIN: 2})
    index.set_applied_by("c", {})
    index.remember("b", Remembered((b"12345678",), 3))
    index.remember("b", Remembered((b"12345678", b"87654321"), 4))
    index.commit()
    index.close()
    again = index_home.open()
    assert (again.cursor("b"), again.cursor("c")) == (("epoch", 17), ("", 0))
    assert again.applied_by == {"b": {"b": 4, ORIGIN: 2}, "c": {}}
    assert again.remembered == {"b": Remembered((b"12345678", b"87654321"), 4)}
    again.close()


def test_a_start_is_remembered_at_once(index_home: Home) -> None:
    index = index_home.open()
    index.put(file_at(b"a"))
    for number in range(20):
        index.add_start(b"start%03d" % number)
    index_home.crash(index)
    again = index_home.open()
    assert [start.id for start in again.starts] == [b"start%03d" % number for number in range(4, 20)]
    assert again.entry(b"a") == file_at(b"a")
    again.close()


def test_members_come_and_go(index: Index) -> None:
    members = [Member("b", "left"), Member("a", "right", "send-only", 5, 6, True)]
    for member in members:
        index.put_member(member)
    index.put_member(Member("b", "left", stamp=9))
    assert index.members() == [members[1], Member("b", "left", stamp=9)]
    index.set_cursor("b", "epoch", 3)
    index.set_applied_by("b", {"b": 1})
    index.remember("b", Remembered((b"12345678",), 3))
    index.drop_member("b")
    index.drop_member("none")
    assert (index.members(), index.cursor("b"), index.applied_by, index.remembered) == ([members[1]], ("", 0), {}, {})


def test_local_facts_are_kept(index: Index) -> None:
    for path in (b"b", b"a", b"b", b"\xff"):
        index.hold(path)
    index.unhold(b"\xff")
    index.unhold(b"none")
    assert index.held() == [b"a", b"b"]
    index.add_residue(b"d")
    index.add_residue(b"d")
    assert [index.is_residue(path) for path in (b"d", b"d/x")] == [True, False]
    index.drop_residue(b"d")
    assert index.is_residue(b"d") is False
    index.set("key", b"\0value")
    index.set("key", b"")
    assert (index.get("key"), index.get("none")) == (b"", None)
    index.set("key", None)
    assert index.get("key") is None


def test_a_new_incarnation_begins_with_nothing_but_its_acquaintances(index_home: Home) -> None:
    index = index_home.open()
    index.put_row(file_at(b"b", 1), stat_of(1), ATTRIBUTES)
    index.put(directory_at(b"a", 2))
    index.put(tombstone_at(b"c", 3))
    index.put_pending(file_at(b"p", 4, origin="b", carried=(("c", 3),)))
    index.counter, index.floor = 20_000, 5
    index.known = index.applied = index.collected = {ORIGIN: 3}
    index.hold(b"b")
    index.add_residue(b"r")
    index.put_member(Member("b", "left"))
    index.remember("b", Remembered((b"12345678",), 3))
    index.set_cursor("b", "epoch", 3)
    index.set_applied_by("b", {"b": 1})
    index.set("key", b"value")
    index.commit()
    sequence = index.sequence

    index.reincarnate("zz", b"start001")
    index.commit()
    index_home.crash(index)
    again = index_home.open()
    assert (again.origin, again.counter, again.floor) == ("zz", 10_000, 0)
    assert (again.known, again.applied, again.collected, again.applied_by) == ({}, {}, {}, {})
    assert [*again.entries(), *again.pending(), *again.held(), *again.changed_since(0)] == []
    assert (again.live_count, again.live_bytes, again.digest) == (0, 0, NO_DIGEST)
    assert (again.pending_count, again.pending_bytes, again.is_residue(b"r")) == (0, 0, False)
    assert again.has_pending_wanting((), ("c", 3)) is False
    assert (again.members(), again.remembered) == ([Member("b", "left")], {"b": Remembered((b"12345678",), 3)})
    assert again.starts == (Start(b"start001"),)
    assert [again.lineage(path) for path in (b"a", b"b", b"c")] == [directory_at(b"a", 2), file_at(b"b", 1), None]
    assert (again.cursor("b"), again.get("key")) == (("", 0), b"value")
    assert again.sequence > sequence
    again.close()


def test_a_start_tells_what_it_found_and_where_it_goes_on(index_home: Home) -> None:
    index = index_home.open()
    index.add_start(b"start001")
    index.counter = 7
    index.commit()
    index_home.crash(index)
    again = index_home.open()
    again.add_start(b"start002")
    again.close()
    third = index_home.open()
    third.add_start(b"start003")
    assert third.starts == (
        Start(b"start001"),
        Start(b"start002", 7, 10_000),
        Start(b"start003", 10_000, 10_000),
    )
    third.close()


def test_what_is_left_of_former_incarnations_adds_up_until_it_is_ended(index: Index) -> None:
    index.put(file_at(b"a", 1))
    index.put(file_at(b"b", 2))
    index.reincarnate("zz", b"start001")
    index.put(file_at(b"b", 1, content=9, origin="zz"))
    index.reincarnate("yy", b"start001")
    assert index.lineage(b"a") == file_at(b"a", 1)
    assert index.lineage(b"b") == file_at(b"b", 1, content=9, origin="zz")
    index.end_lineage()
    assert index.lineage(b"a") is None
