"""Wishes of a person: pending entries of this replica itself; and the names of conflict copies that stay."""

from __future__ import annotations

from itertools import islice

import pytest

from syncagent.core.conflict import copied_from, is_displaced, ordinary_paths
from syncagent.core.local import Content
from syncagent.core.reconcile import Reconciler
from syncagent.core.state import MemoryState
from syncproto.model import Kind, Path
from syncproto.version import covers

OLD, NEW = b"o" * 32, b"n" * 32


def replica(origin: str = "a.1") -> Reconciler:
    return Reconciler(MemoryState(origin))


def test_a_wish_is_known_and_told_but_not_applied() -> None:
    mine = replica()
    old = mine.change(b"f", Content(Kind.FILE, OLD), 10)
    wished = mine.wish(b"f", Content(Kind.FILE, NEW), 20)
    assert mine.state.entry(b"f") == old and list(mine.state.pending()) == [wished]
    assert wished.has_seen(old) and wished.rank > old.rank
    assert covers(mine.state.known, wished.dot) and not covers(mine.state.applied, wished.dot)
    other = mine.change(b"g", Content(Kind.FILE, OLD), 30)
    mine.acknowledge()
    assert not covers(mine.state.applied, other.dot), "what comes after it is not acknowledged before it"
    assert mine.unknown_to({}) == [old, wished, other]
    mine.work(40, lambda digest: digest == NEW)
    assert mine.state.entry(b"f") == wished
    assert mine.state.applied == mine.state.known == {"a.1": 3}


def test_what_a_user_does_meanwhile_takes_the_place_of_the_wish() -> None:
    mine, theirs = replica("a.1"), replica("b.1")
    mine.change(b"f", Content(Kind.FILE, OLD), 10)
    mine.wish(b"f", Content(Kind.FILE, NEW), 20)
    theirs.take(mine.unknown_to({}), mine.state.known)
    theirs.work(20, lambda digest: True)
    edit = mine.change(b"f", Content(Kind.FILE, b"u" * 32), 30)
    mine.work(40, lambda digest: True)
    theirs.take(mine.unknown_to(theirs.state.known), mine.state.known)
    theirs.work(40, lambda digest: True)
    for one in (mine, theirs):
        assert [*one.state.entries(), *one.state.pending()] == [edit]


def test_a_wished_delete_and_a_wished_revival() -> None:
    mine = replica()
    mine.change(b"f", Content(Kind.FILE, OLD), 10)
    mine.wish(b"f", Content(Kind.TOMBSTONE), 20)
    mine.work(30, lambda digest: False)
    gone = mine.state.entry(b"f")
    assert gone is not None and not gone.is_live and gone.content == OLD
    mine.wish(b"d/f", Content(Kind.FILE, NEW), 40)
    mine.work(50, lambda digest: True)
    assert [entry.path for entry in mine.state.entries() if entry.is_live] == [b"d", b"d/f"]


def test_equal_wishes_of_two_replicas_make_no_copy() -> None:
    mine, theirs = replica("a.1"), replica("b.1")
    mine.change(b"f", Content(Kind.FILE, OLD), 10)
    theirs.take(mine.unknown_to({}), mine.state.known)
    theirs.work(10, lambda digest: True)
    for one in (mine, theirs):
        one.wish(b"f", Content(Kind.FILE, NEW), 20)
    for one, other in ((mine, theirs), (theirs, mine), (mine, theirs)):
        one.take(other.unknown_to(one.state.known), other.state.known)
        one.work(30, lambda digest: True)
    for one in (mine, theirs):
        assert [(entry.path, entry.content) for entry in one.state.entries()] == [(b"f", NEW)]


@pytest.mark.parametrize(
    ("copy", "names"),
    [
        (b"d/report~laptop.3f9a-17.txt", [b"d/report-laptop.txt", b"d/report-laptop-2.txt"]),
        (b"noext~a.b.3f9a-17~2", [b"noext-a.b", b"noext-a.b-2"]),
        (b"x.txt~displaced-1", [b"x-displaced.txt", b"x-displaced-2.txt"]),
    ],
)
def test_ordinary_names_tell_no_copy(copy: Path, names: list[Path]) -> None:
    assert list(islice(ordinary_paths(copy), 2)) == names
    assert all(copied_from(name) == (name, "") for name in names)


def test_ordinary_names_fit() -> None:
    long = next(ordinary_paths(b"x" * 240 + b"~a.1-5.txt"))
    assert len(long) <= 255 and long.endswith(b"-a.txt")


def test_what_was_written_late_is_a_conflict_copy() -> None:
    mine = replica()
    assert mine.change(b"d/x~displaced-12", Content(Kind.FILE, OLD), 1).is_copy
    assert not mine.change(b"d/x~displaced-", Content(Kind.FILE, OLD), 1).is_copy
    assert not mine.change(b"y~displaced-1", Content(Kind.DIRECTORY), 1).is_copy
    assert is_displaced(b"x~displaced-1") and not is_displaced(b"x~displaced-1/y")
