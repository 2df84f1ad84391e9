"""Single decisions. What they add up to is shown by the schedules in ``tests/model``."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from syncagent.core.local import Content
from syncproto.model import PLACEHOLDER, Attributes, Kind
from unit.core.replicas import DELETED, DIRECTORY, MODE, PRIVATE, entry, file, pull, replica, sequence, tree


@pytest.mark.parametrize("kind", [Kind.FILE, Kind.SYMLINK])
def test_the_loser_is_kept_whole_on_both_sides(kind: Kind) -> None:
    a, b = replica("a"), replica("b")
    a.change(b"d", DIRECTORY, 1, attributes=MODE)
    pull(b, a)
    loser = Content(kind, b"holes", size=5, mtime_ns=3, sparse=True)
    a.change(b"d/x.c", loser, 10, attributes=PRIVATE)
    b.change(b"d/x.c", file(b"2"), 20, attributes=MODE)
    pull(b, a)
    pull(a, b)
    for core in (a, b):
        copy = entry(core, b"d/x~a.1-2.c")
        assert (copy.kind, copy.content, copy.size, copy.mtime_ns, copy.sparse) == (kind, b"holes", 5, 3, True)
        assert copy.metadata.value == PRIVATE
        assert copy.is_copy
        assert entry(core, b"d/x.c").content == b"2"


def test_a_copy_keeps_the_time_that_its_loser_showed() -> None:
    a, b = replica("a"), replica("b")
    a.change(b"touched", file(b"1", mtime_ns=3), 10, attributes=MODE)
    a.change_metadata(b"touched", Attributes(0o644, mtime_ns=99), 11)
    a.change(b"written", file(b"1", mtime_ns=3), 10, attributes=Attributes(0o644, mtime_ns=99))
    a.change(b"written", file(b"2", mtime_ns=4), 12)
    for path in (b"touched", b"written"):
        b.change(path, file(b"3"), 100, attributes=MODE)
    pull(b, a)
    assert entry(b, b"touched~a.1-1").effective_mtime_ns == 99
    assert entry(b, b"written~a.1-4").effective_mtime_ns == 4


def test_equal_content_never_conflicts() -> None:
    a, b = replica("a"), replica("b")
    a.change(b"x", file(b"1"), 10, attributes=MODE)
    b.change(b"x", file(b"1"), 20, attributes=PRIVATE)
    pull(a, b)
    assert tree(a) == {b"x": b"1"}
    assert entry(a, b"x").version == (("a.1", 1), ("b.1", 1))
    assert entry(a, b"x").metadata.value == PRIVATE


def test_an_edit_survives_a_delete_with_its_time() -> None:
    a, b = replica("a"), replica("b")
    a.change(b"x", file(b"1"), 10, attributes=MODE)
    pull(b, a)
    b.change(b"x", DELETED, 1000)
    a.change(b"x", file(b"2", mtime_ns=5), 20)
    a.change_metadata(b"x", Attributes(0o600, mtime_ns=6), 30)
    pull(a, b)
    pull(b, a)
    for core in (a, b):
        assert tree(core) == {b"x": b"2"}
        assert entry(core, b"x").effective_mtime_ns == 6
        assert entry(core, b"x").stamp > 1000


def test_an_orphan_gets_its_directory_back() -> None:
    a, b = replica("a"), replica("b")
    a.change(b"d", DIRECTORY, 10, attributes=PRIVATE)
    pull(b, a)
    a.change(b"d", DELETED, 20)
    b.change(b"d/x", file(b"1"), 15, attributes=MODE)
    pull(a, b)
    assert tree(a) == {b"d": None, b"d/x": b"1"}
    assert entry(a, b"d").metadata.value == PRIVATE


def test_an_implied_directory_is_a_placeholder() -> None:
    a, b = replica("a"), replica("b")
    a.change(b"d", DIRECTORY, 10, attributes=PRIVATE)
    child = a.change(b"d/x", file(b"1"), 11, attributes=MODE)
    b.receive(child)
    b.work(50, lambda digest: True)
    assert entry(b, b"d").metadata == PLACEHOLDER
    pull(b, a)
    assert entry(b, b"d").metadata.value == PRIVATE


writes = st.lists(
    st.tuples(st.sampled_from([b"x", b"y"]), st.sampled_from([b"1", b"2", b"3"]), st.integers(1, 9)),
    min_size=1,
    max_size=4,
)


@given(st.lists(writes, min_size=2, max_size=3))
def test_the_order_of_arrival_does_not_matter(users: list[list[tuple[bytes, bytes, int]]]) -> None:
    sources = [replica(name) for name, _ in zip("abc", users, strict=False)]
    for source, acts in zip(sources, users, strict=True):
        for path, content, clock in acts:
            source.change(path, file(content + source.state.origin.encode()), clock, attributes=MODE)
    made = [e for source in sources for e in source.state.entries()]
    trees = []
    for order in itertools.permutations(sources):
        reader = replica("reader")
        for source in order:
            pull(reader, source)
        trees.append(tree(reader))
        for path in {e.path for e in made}:
            assert entry(reader, path) == max((e for e in made if e.path == path), key=lambda e: e.rank)
        assert Counter(trees[-1].values()) == Counter(e.content for e in made)
    assert all(found == trees[0] for found in trees)


# -- pending ---------------------------------------------------------------------------------------


def test_a_file_waits_for_its_content_and_holds_back_what_it_replaced() -> None:
    a, b, c = replica("a"), replica("b"), replica("c")
    a.change(b"x", file(b"1"), 10, attributes=MODE)
    pull(b, a)
    b.change(b"x", file(b"2"), 20)
    b.change(b"y", Content(Kind.SYMLINK, b"x"), 20, attributes=MODE)
    assert [e.path for e in pull(c, b, is_at_hand=False)] == [b"y"]
    assert tree(c) == {b"y": b"x"}
    assert c.state.known == {"a.1": 1, "b.1": 2}
    assert c.state.applied == {}
    assert {e.dot for e in c.unknown_to({})} == {("b.1", 1), ("b.1", 2)}
    assert [e.path for e in c.work(60, lambda digest: digest == b"2")] == [b"x"]
    assert c.state.applied == c.state.known


def test_content_that_is_here_under_another_name_is_at_hand() -> None:
    a, b = replica("a"), replica("b")
    old = a.change(b"x", file(b"1"), 10, attributes=MODE)
    pull(b, a)
    a.change(b"y", file(b"1"), 20, attributes=MODE, source=old)
    a.change(b"x", DELETED, 20)
    assert [e.path for e in pull(b, a, is_at_hand=False)] == [b"y", b"x"]
    assert tree(b) == {b"y": b"1"}


def test_a_delete_waits_for_what_became_of_the_file() -> None:
    a, b = replica("a"), replica("b")
    old = a.change(b"x", file(b"1"), 10, attributes=MODE)
    pull(b, a)
    a.change(b"y", file(b"2"), 20, attributes=MODE, source=old)  # renamed and edited
    delete = a.change(b"x", DELETED, 20)
    assert pull(b, a, is_at_hand=False) == []
    assert not b.is_ready(delete, lambda digest: False)
    assert [e.path for e in b.work(60, lambda digest: True)] == [b"y", b"x"]


def test_an_entry_settles_when_a_successor_is_here() -> None:
    a, b = replica("a"), replica("b")
    first = a.change(b"x", file(b"1"), 10, attributes=MODE)
    b.receive(first)
    b.receive(a.change(b"x", file(b"2"), 20))
    assert b.is_settled(first)
    b.settle(first)
    assert [e.content for e in b.state.pending()] == [b"2"]


def test_an_entry_that_is_known_is_not_taken_again() -> None:
    a, b = replica("a"), replica("b")
    first = a.change(b"x", file(b"1"), 10, attributes=MODE)
    pull(b, a)
    b.change(b"x", DELETED, 20)
    b.receive(first)
    assert [*b.state.pending()] == []


def test_metadata_of_a_known_entry_is_merged_at_once() -> None:
    a, b = replica("a"), replica("b")
    a.change(b"x", file(b"1"), 10, attributes=MODE)
    pull(b, a)
    b.receive(a.change_metadata(b"x", PRIVATE, 20))
    assert [*b.state.pending()] == []
    assert entry(b, b"x").metadata.value == PRIVATE


def test_merging_what_is_no_better_writes_nothing() -> None:
    a, b = replica("a"), replica("b")
    a.change(b"x", file(b"1"), 10, attributes=MODE)
    pull(b, a)
    late = a.change_metadata(b"x", PRIVATE, 20)
    b.change_metadata(b"x", MODE, 30)
    before = sequence(b)
    b.receive(late)
    assert sequence(b) == before


def test_work_that_is_done_does_nothing() -> None:
    a, b = replica("a"), replica("b")
    a.change(b"x", file(b"1"), 10, attributes=MODE)
    b.change(b"x", file(b"2"), 20, attributes=MODE)
    pull(a, b)
    pull(b, a)
    assert pull(a, b) == pull(b, a) == []
    before = [*a.state.entries()], [*b.state.entries()], a.state.counter, b.state.counter
    assert (a.work(90, lambda digest: True), b.work(90, lambda digest: True)) == ([], [])
    assert before == ([*a.state.entries()], [*b.state.entries()], a.state.counter, b.state.counter)


def test_content_that_died_is_given_up_and_old_names_stand() -> None:
    a, b = replica("a"), replica("b")
    old = a.change(b"x", file(b"1", mtime_ns=3), 10, attributes=MODE)
    pull(b, a)
    a.change(b"y", file(b"2"), 20, attributes=MODE, source=old)
    a.change(b"x", DELETED, 20)
    pull(b, a, is_at_hand=False)
    awaited = b.state.pending_at(b"y")[0]
    b.give_up(awaited)
    assert [*b.state.pending()] == []
    assert tree(b) == {b"x": b"1"}
    stands = entry(b, b"x")
    assert stands.has_seen(structs.replace(awaited, origin="a.1", counter=3))
    assert (stands.mtime_ns, stands.metadata.value) == (3, MODE)
    b.acknowledge()
    assert b.state.applied == b.state.known
