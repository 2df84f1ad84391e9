"""From changed entries to steps on the disk."""

from __future__ import annotations

from msgspec import structs

from syncagent.core.plan import Keep, MakeDirectory, MakeSymlink, Move, Place, Remove, SetAttributes, StatKey
from syncagent.core.transition import Change, plan, restyle
from syncproto.model import Attributes, Entry, Kind, Metadata

STAT = StatKey(inode=1, size=5, mtime_ns=100, ctime_ns=100, mode=0o100644, uid=0, gid=0)
HERE = Attributes(0o644, 0, 0)


def entry(path: bytes, kind: Kind = Kind.FILE, content: bytes | None = bytes(32), counter: int = 1) -> Entry:
    register = Metadata(HERE, 10, "a.1", counter, ("a.1", counter))
    return Entry(path, kind, content, "a.1", counter, (("a.1", counter),), 10, register, size=5, mtime_ns=100)


def new(after: Entry) -> Change:
    return Change(after.path, None, None, after)


def steps(*changes: Change, staged: bool = True) -> list[str]:
    return [f"{type(s).__name__} {s.path.decode()}" for s in plan(changes, lambda digest: staged).steps]


def deleted(path: bytes, kind: Kind = Kind.FILE, content: bytes | None = bytes(32)) -> Change:
    before = entry(path, kind, content)
    return Change(path, before, STAT, structs.replace(before, kind=Kind.TOMBSTONE, counter=2))


def test_a_new_file_is_placed_once_its_content_is_staged() -> None:
    assert plan([new(entry(b"f"))], lambda digest: True).steps == [Place(b"f", None, bytes(32), 5, HERE, 100)]
    waiting = plan([new(entry(b"f"))], lambda digest: False)
    assert waiting.steps == [] and [e.path for e in waiting.needs] == [b"f"]


def test_directories_come_from_the_top_and_before_what_is_in_them() -> None:
    changes = [new(entry(b"d/e/f")), new(entry(b"d/e", Kind.DIRECTORY, None)), new(entry(b"d", Kind.DIRECTORY, None))]
    assert steps(*changes) == ["MakeDirectory d", "MakeDirectory d/e", "Place d/e/f"]


def test_deletes_go_from_the_bottom() -> None:
    assert steps(deleted(b"d", Kind.DIRECTORY, None), deleted(b"d/f")) == ["Remove d/f", "Remove d"]


def test_a_rename_moves_the_file_it_has() -> None:
    assert plan([new(entry(b"new", counter=2)), deleted(b"old")], lambda digest: False).steps == [
        Move(b"old", STAT, b"new")
    ]


def test_a_displaced_loser_gets_its_second_name_before_the_winner_comes() -> None:
    loser, winner = entry(b"f"), entry(b"f", content=bytes([1]) * 32, counter=2)
    made = plan([Change(b"f", loser, STAT, winner), new(entry(b"f~a.1-1"))], lambda digest: True).steps
    assert made == [Keep(b"f", STAT, b"f~a.1-1"), Place(b"f", STAT, bytes([1]) * 32, 5, HERE, 100)]


def test_a_symlink_that_loses_to_a_directory_gets_its_second_name_before_it_goes() -> None:
    loser = entry(b"x", Kind.SYMLINK, b"target")
    winner, copy = entry(b"x", Kind.DIRECTORY, None, 2), entry(b"x~a.1-1", Kind.SYMLINK, b"target", 3)
    assert plan([new(copy), Change(b"x", loser, STAT, winner)], lambda digest: True).steps == [
        Keep(b"x", STAT, b"x~a.1-1"),
        Remove(b"x", STAT, Kind.SYMLINK),
        MakeDirectory(b"x", None, HERE, 100),
    ]


def test_a_file_makes_room_for_a_directory_and_back() -> None:
    change = Change(b"x", entry(b"x"), STAT, entry(b"x", Kind.DIRECTORY, None, 2))
    assert plan([change], lambda digest: True).steps == [
        Remove(b"x", STAT, Kind.FILE),
        MakeDirectory(b"x", None, HERE, 100),
    ]
    back = Change(b"x", entry(b"x", Kind.DIRECTORY, None), STAT, entry(b"x", counter=2))
    assert steps(back) == ["Remove x", "Place x"]


def test_a_symlink_needs_no_content_and_replaces_a_file_in_place() -> None:
    change = Change(b"x", entry(b"x"), STAT, entry(b"x", Kind.SYMLINK, b"target", 2))
    assert plan([change], lambda digest: False).steps == [MakeSymlink(b"x", STAT, b"target", HERE, 100)]


def test_equal_payloads_need_no_step() -> None:
    assert plan([Change(b"f", entry(b"f"), STAT, entry(b"f", counter=2))], lambda digest: False).steps == []


def test_what_was_never_looked_at_is_not_touched() -> None:
    result = plan([Change(b"f", entry(b"f"), None, entry(b"f", content=bytes([1]) * 32))], lambda digest: True)
    assert result.unlooked == [b"f"] and result.steps == []


def test_attributes_are_set_only_where_they_differ() -> None:
    assert restyle(entry(b"f"), STAT, HERE) is None
    assert restyle(entry(b"f"), STAT, structs.replace(HERE, mode=0o600)) == SetAttributes(
        b"f", STAT, Kind.FILE, HERE, None
    )
    assert restyle(structs.replace(entry(b"f"), mtime_ns=7), STAT, HERE) == SetAttributes(
        b"f", STAT, Kind.FILE, None, 7
    )
    directory = structs.replace(entry(b"d", Kind.DIRECTORY, None), mtime_ns=7)
    assert restyle(directory, STAT, HERE) is None
    assert restyle(structs.replace(entry(b"d", Kind.DIRECTORY, None), metadata=Metadata()), STAT, HERE) is None


def test_a_symlink_is_not_given_what_it_cannot_have() -> None:
    """The register may be that of a file which it took the place of."""
    link = entry(b"link", Kind.SYMLINK, b"target")
    wanted = structs.replace(HERE, xattrs=((b"user.note", b"1"),))
    link = structs.replace(link, metadata=structs.replace(link.metadata, value=wanted))
    assert restyle(link, STAT, structs.replace(HERE, mode=0o777)) is None
