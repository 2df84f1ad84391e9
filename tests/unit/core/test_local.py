"""What is minted for changes made here."""

from __future__ import annotations

import pytest

from syncagent.core.local import CLOCK_MAX
from syncproto import limits
from syncproto.model import Attributes, Kind
from syncproto.version import covers_all
from unit.core.replicas import DELETED, MODE, PRIVATE, entry, file, pull, replica, tree


def test_a_change_gets_the_next_dot_and_is_known_and_applied_here() -> None:
    a = replica("a")
    first, second = a.change(b"x", file(b"1"), 10, attributes=MODE), a.change(b"x", file(b"2"), 5)
    assert (first.dot, second.dot) == (("a.1", 1), ("a.1", 2))
    assert second.stamp == first.stamp + 1 == 11
    assert second.metadata == first.metadata
    assert (second.size, second.mtime_ns, second.content) == (1, 7, b"2")
    assert a.state.known == a.state.applied == {"a.1": 2}
    assert entry(a, b"x") == second


def test_a_vector_that_was_handed_out_does_not_change() -> None:
    a = replica("a")
    a.change(b"x", file(b"1"), 10)
    known, applied = a.state.known, a.state.applied
    a.change(b"x", file(b"2"), 20)
    assert known == applied == {"a.1": 1}


def test_a_tombstone_tells_what_it_deleted() -> None:
    a = replica("a")
    a.change(b"x", file(b"1"), 10, attributes=MODE)
    deleted = a.change(b"x", DELETED, 20)
    assert (deleted.kind, deleted.content, deleted.size) == (Kind.TOMBSTONE, b"1", 0)
    assert a.change(b"x", DELETED, 30).content == b"1"


def test_what_was_moved_here_is_carried() -> None:
    a = replica("a")
    old = a.change(b"x", file(b"1"), 10)
    new = a.change(b"y", file(b"1"), 20, source=old)
    assert new.version == (("a.1", 2),)
    assert new.carried == (("a.1", 1),)
    assert covers_all(dict(new.speaks_for), [old.dot])


@pytest.mark.parametrize(("clock", "stamp"), [(-5, 1), (0, 1), (9, 9), (2**70, CLOCK_MAX)])
def test_a_clock_that_is_off_is_clamped(clock: int, stamp: int) -> None:
    a = replica("a")
    assert a.change(b"x", file(b"1"), clock, attributes=MODE).stamp == stamp
    assert a.change_metadata(b"x", PRIVATE, clock).metadata.stamp == stamp + 1
    assert stamp < limits.STAMP_MAX


def test_a_change_of_metadata_keeps_the_dot_of_the_content() -> None:
    a = replica("a")
    before = a.change(b"x", file(b"1"), 10, attributes=MODE)
    after = a.change_metadata(b"x", PRIVATE, 5)
    assert (after.dot, after.version, after.stamp) == (before.dot, before.version, before.stamp)
    assert after.metadata.dot == after.metadata.author == ("a.1", 2)
    assert after.metadata.stamp == before.metadata.stamp + 1


def test_metadata_of_nothing_is_refused() -> None:
    with pytest.raises(KeyError, match="no entry"):
        replica("a").change_metadata(b"x", MODE, 10)


def test_new_content_brings_its_own_time_after_a_touch() -> None:
    a = replica("a")
    a.change(b"x", file(b"1"), 10, attributes=MODE)
    assert a.change_metadata(b"x", Attributes(0o644, mtime_ns=3), 1000).effective_mtime_ns == 3
    assert a.change(b"x", file(b"2", mtime_ns=8), 20).effective_mtime_ns == 8


def test_what_is_found_without_an_index_ranks_lowest() -> None:
    a, b = replica("a"), replica("b")
    a.change(b"x", file(b"new"), 2, attributes=MODE)
    found = b.adopt(b"x", file(b"old"), PRIVATE)
    pull(b, a)
    assert found.stamp == 1
    assert tree(b) == {b"x": b"new", b"x~b.1-1": b"old"}
