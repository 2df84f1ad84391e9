"""What a look at the disk means."""

from __future__ import annotations

from msgspec import structs

from syncagent.core.detect import Restyled, Rewritten, Same, Seen, creations_first, deletions_first, detect
from syncagent.core.plan import StatKey
from syncproto.model import Attributes, Entry, Kind, Metadata

DIGEST, OTHER = bytes(32), bytes([1]) * 32
STAT = StatKey(inode=1, size=5, mtime_ns=100, ctime_ns=100, mode=0o100644, uid=0, gid=0)
HERE = Attributes(0o644, 0, 0)


def entry(wanted: Attributes = HERE, kind: Kind = Kind.FILE, content: bytes | None = DIGEST) -> Entry:
    register = Metadata(wanted, 10, "a.1", 1, ("a.1", 1))
    return Entry(b"f", kind, content, "a.1", 1, (("a.1", 1),), 10, register, size=5, mtime_ns=100)


def seen(content: bytes | None = DIGEST, stat: StatKey = STAT, attributes: Attributes = HERE) -> Seen:
    return Seen(Kind.FILE, content, stat, attributes)


def stat_with(**changes: int) -> StatKey:
    values = {name: getattr(STAT, name) for name in StatKey.__slots__}
    return StatKey(**{**values, **changes})


def test_what_nobody_knows_is_new_with_its_attributes() -> None:
    assert detect(None, None, None, seen()) == Rewritten(HERE)
    assert detect(structs.replace(entry(), kind=Kind.TOMBSTONE), None, None, seen()) == Rewritten(HERE)


def test_an_equal_look_is_nothing_new() -> None:
    assert detect(entry(), STAT, HERE, seen()) == Same()
    assert detect(entry(), STAT, HERE, seen(stat=stat_with(ctime_ns=200))) == Same()


def test_an_edit_keeps_the_register_where_the_attributes_are_the_same() -> None:
    assert detect(entry(), STAT, HERE, seen(OTHER)) == Rewritten(None)
    styled = structs.replace(HERE, mode=0o600)
    assert detect(entry(), STAT, HERE, seen(OTHER, attributes=styled)) == Rewritten(styled)


def test_a_touch_carries_its_time_and_an_edit_does_not() -> None:
    touched = detect(entry(), STAT, HERE, seen(stat=stat_with(mtime_ns=777)))
    assert touched == Restyled(structs.replace(HERE, mtime_ns=777))
    assert detect(entry(), STAT, HERE, seen(OTHER, stat=stat_with(mtime_ns=777))) == Rewritten(None)


def test_an_edit_with_new_attributes_ends_an_earlier_touch() -> None:
    touched = entry(structs.replace(HERE, mtime_ns=777))
    styled = structs.replace(HERE, mode=0o600)
    assert detect(touched, STAT, HERE, seen(OTHER, attributes=styled)) == Rewritten(styled)


def test_what_this_disk_may_not_have_is_no_local_change() -> None:
    wanted = Attributes(0o644, 1000, 1000)
    assert detect(entry(wanted), STAT, HERE, seen()) == Same()
    changed = detect(entry(wanted), STAT, HERE, seen(attributes=structs.replace(HERE, mode=0o600)))
    assert changed == Restyled(Attributes(0o600, 1000, 1000))


def test_a_directorys_time_is_never_a_change() -> None:
    directory = entry(kind=Kind.DIRECTORY, content=None)
    look = Seen(Kind.DIRECTORY, None, stat_with(mtime_ns=999), HERE)
    assert detect(directory, STAT, HERE, look) == Same()


def test_each_attribute_counts() -> None:
    for name, value in {"mode": 0o600, "uid": 7, "gid": 7, "xattrs": ((b"user.x", b"1"),)}.items():
        changed = structs.replace(HERE, **{name: value})
        assert detect(entry(), STAT, HERE, seen(attributes=changed)) == Restyled(changed), name
        assert detect(entry(changed), STAT, changed, seen(attributes=HERE)) == Restyled(HERE), name
        assert detect(entry(), STAT, HERE, seen(OTHER, attributes=changed)) == Rewritten(changed), name


def test_another_kind_is_new_content() -> None:
    verdict = detect(entry(), STAT, HERE, Seen(Kind.SYMLINK, b"target", STAT, HERE))
    assert isinstance(verdict, Rewritten)


def test_order_of_creations_and_deletions() -> None:
    paths = [b"a/b/c", b"a", b"z", b"a/b"]
    assert creations_first(paths) == [b"a", b"z", b"a/b", b"a/b/c"]
    assert deletions_first(paths) == [b"a/b/c", b"a/b", b"a", b"z"]
