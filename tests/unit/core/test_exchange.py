"""What replicas tell each other, and what may be forgotten."""

from __future__ import annotations

from syncagent.core.reconcile import Reconciler
from unit.core.replicas import DELETED, DIRECTORY, MODE, PRIVATE, entry, file, pull, replica, sequence


def test_a_peer_is_told_what_it_lacks_by_dot() -> None:
    a = replica("a")
    a.change(b"y", file(b"1"), 10)
    a.change(b"x", file(b"2"), 10)
    a.change_metadata(b"y", PRIVATE, 20)
    assert [e.path for e in a.unknown_to({})] == [b"y", b"x"]
    assert [e.path for e in a.unknown_to({"a.1": 2})] == [b"y"]
    assert a.unknown_to({"a.1": 3}) == []


def test_a_peer_is_told_what_was_written_since() -> None:
    a = replica("a")
    a.change(b"x", file(b"1"), 10)
    mark = sequence(a)
    a.change(b"y", file(b"2"), 10)
    assert [e.path for e in a.unknown_to({}, mark)] == [b"y"]
    assert a.unknown_to({}, sequence(a)) == []


def deleted_everywhere() -> tuple[Reconciler, Reconciler]:
    """A deleted ``d/x`` and ``d``, B has applied it; C, which had them, was away."""
    a, c = replica("a"), replica("c")
    a.change(b"d", DIRECTORY, 10, attributes=MODE)
    a.change(b"d/x", file(b"1"), 10, attributes=MODE)
    pull(c, a)
    a.change(b"d/x", DELETED, 20)
    a.change(b"d", DELETED, 20)
    return a, c


def test_a_tombstone_goes_when_all_have_applied_it() -> None:
    a, _ = deleted_everywhere()
    assert a.collect([{"a.1": 3}]) == [b"d/x"]
    assert a.collect([a.state.applied, {}]) == []
    assert a.collect([{"a.1": 4}]) == [b"d"]
    assert [*a.state.entries()] == []
    assert a.state.collected == {"a.1": 4}
    assert a.change(b"d", DIRECTORY, 0).stamp > 20


def test_a_tombstone_stays_while_something_is_pending_at_its_path() -> None:
    a, b = replica("a"), replica("b")
    b.change(b"x", file(b"1"), 10, attributes=MODE)
    a.change(b"x", DELETED, 20)
    pull(a, b, is_at_hand=False)
    assert a.collect([]) == []


def test_who_missed_a_collected_tombstone_drops_what_the_source_has_no_more() -> None:
    a, c = deleted_everywhere()
    a.collect([])
    assert c.needs_full(a.state.collected)
    known = a.state.known
    missing = c.missing_from(a.unknown_to({}), known)
    assert [each.path for each in missing] == [b"d/x", b"d"]
    for each in missing:
        c.drop_collected(each, known)
    c.join_collected(a.state.collected, a.state.floor)
    c.take([], known)
    assert [*c.state.entries()] == []
    assert not c.needs_full(a.state.collected)
    assert c.state.floor == a.state.floor == 20


def test_what_changed_meanwhile_is_not_dropped_nor_the_directory_above_it() -> None:
    a, c = deleted_everywhere()
    a.collect([])
    known = a.state.known
    missing = c.missing_from([], known)
    edited = c.change(b"d/x", file(b"2"), 30)
    for each in missing:
        c.drop_collected(each, known)
    assert entry(c, b"d/x") == edited
    assert entry(c, b"d").is_live
    assert entry(c, b"d").origin == "c.1"


def test_a_dropped_path_takes_along_what_was_pending_there() -> None:
    a, c = replica("a"), replica("c")
    a.change(b"x", file(b"1"), 10, attributes=MODE)
    pull(c, a, is_at_hand=False)
    a.change(b"x", DELETED, 20)
    a.collect([])
    (missing,) = c.missing_from([], a.state.known)
    c.drop_collected(missing, a.state.known)
    assert [*c.state.pending()] == []


def test_what_the_source_has_stays_where_something_pending_is_gone() -> None:
    a, c = replica("a"), replica("c")
    a.change(b"x", file(b"1"), 10, attributes=MODE)
    pull(c, a, is_at_hand=False)  # pending here, and never to be had: its writer replaces it
    ours = c.change(b"x", file(b"2"), 50, attributes=MODE)
    a.change(b"x", DELETED, 20)
    pull(a, c)
    a.collect([])
    a_entry = entry(a, b"x")
    assert a_entry.dot == ours.dot
    (missing,) = c.missing_from(a.unknown_to({}), a.state.known)
    assert not missing.dot == ours.dot
    c.drop_collected(missing, a.state.known)
    assert entry(c, b"x") == ours
    assert [*c.state.pending()] == []


def test_a_register_that_the_source_dropped_goes_and_the_entry_stays() -> None:
    a, c = replica("a"), replica("c")
    made = a.change(b"x", file(b"1"), 10, attributes=MODE)
    pull(c, a)
    register = c.change_metadata(b"x", PRIVATE, 20).metadata
    known = {"a.1": 1, register.origin: register.counter}
    assert c.missing_from([made], known) == []
    c.adopt_registers([made], {"a.1": 1})  # it did not know ours: ours is news to it
    assert entry(c, b"x").metadata == register
    c.adopt_registers([made], known)
    assert entry(c, b"x") == made


def test_what_was_made_anew_at_a_deleted_path_does_not_keep_the_old_entry() -> None:
    a, c = deleted_everywhere()
    a.collect([])
    b = replica("b")
    pull(b, a)
    again = b.change(b"d", DIRECTORY, 30, attributes=MODE)
    pull(a, b)
    missing = c.missing_from(a.unknown_to({}), a.state.known)
    assert [each.path for each in missing] == [b"d/x", b"d"]
    for each in missing:
        c.drop_collected(each, a.state.known)
    pull(c, a)
    assert [*c.state.entries()] == [again]
