from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from msgspec import structs

from syncproto import limits
from syncproto.model import PLACEHOLDER, Attributes, Entry, Kind, Member, Metadata, is_news, volume_id
from syncproto.version import covers_all, join
from unit.proto.strategies import attributes, entries, registers

FILE = Entry(b"x", Kind.FILE, b"1", "a", 2, (("a", 2), ("b", 1)), 20)


@given(entries())
def test_an_entry_survives_the_wire(entry: Entry) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(entry), type=Entry) == entry


@pytest.mark.parametrize(
    "wrong",
    [
        structs.replace(FILE, path=b""),
        structs.replace(FILE, path=b"x" * (limits.PATH_BYTES_MAX + 1)),
        structs.replace(FILE, content=b"x" * (limits.TARGET_BYTES_MAX + 1)),
        structs.replace(FILE, counter=-1),
        structs.replace(FILE, stamp=limits.STAMP_MAX + 1),
        structs.replace(FILE, origin="o" * (limits.ORIGIN_CHARS_MAX + 1)),
        structs.replace(FILE, size=limits.FILE_SIZE_MAX + 1),
        structs.replace(FILE, metadata=Metadata(Attributes(0o1000))),
    ],
)
def test_what_breaks_a_limit_is_refused(wrong: Entry) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(msgspec.msgpack.encode(wrong), type=Entry)


def test_the_kinds() -> None:
    leaves = [kind for kind in Kind if structs.replace(FILE, kind=kind).is_leaf]
    live = [kind for kind in Kind if structs.replace(FILE, kind=kind).is_live]
    assert leaves == [Kind.FILE, Kind.SYMLINK]
    assert live == [Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK]


def test_the_stamp_ranks_first_and_the_dot_breaks_ties() -> None:
    later = structs.replace(FILE, stamp=21, origin="a", counter=1)
    other = structs.replace(FILE, origin="b", counter=1)
    assert FILE.rank < other.rank < later.rank


def test_an_entry_has_seen_what_its_version_covers() -> None:
    assert FILE.has_seen(FILE)
    assert FILE.has_seen(structs.replace(FILE, origin="b", counter=1))
    assert not FILE.has_seen(structs.replace(FILE, origin="b", counter=2))
    assert not FILE.has_seen(structs.replace(FILE, origin="c", counter=1))


def test_the_payload_is_kind_and_content_and_deletes_are_equal() -> None:
    tombstone = structs.replace(FILE, kind=Kind.TOMBSTONE)
    assert FILE.same_payload(structs.replace(FILE, origin="z", size=9))
    assert not FILE.same_payload(structs.replace(FILE, content=b"2"))
    assert not FILE.same_payload(structs.replace(FILE, kind=Kind.SYMLINK))
    assert tombstone.same_payload(structs.replace(tombstone, content=b"2"))


def test_an_entry_speaks_for_its_version_its_metadata_and_what_it_carries() -> None:
    register = Metadata(Attributes(0o600), 5, "m", 7, ("m", 7))
    entry = structs.replace(FILE, metadata=register, carried=(("c", 4),))
    assert entry.speaks_for == (("a", 2), ("b", 1), ("c", 4), ("m", 7))


@given(entries(), registers, registers)
def test_the_best_metadata_stays_whatever_the_order(entry: Entry, one: Metadata, two: Metadata) -> None:
    best = max([entry.metadata, one, two], key=lambda register: register.rank)
    for first, second in itertools.permutations([one, two]):
        assert entry.with_metadata(first).with_metadata(second).metadata.rank == best.rank
    assert entry.with_metadata(entry.metadata) is entry


@given(attributes)
def test_a_placeholder_ranks_below_any_value(value: Attributes) -> None:
    assert Metadata(value).rank > PLACEHOLDER.rank
    assert Metadata(value).rank > Metadata(None, 9, "z", 9, ("z", 9), 9).rank


@given(entries(), entries(), entries())
def test_joining_entries_is_order_free(a: Entry, b: Entry, c: Entry) -> None:
    joined = a.joined_with(b).joined_with(c)
    assert joined == a.joined_with(c).joined_with(b) == a.joined_with(b.joined_with(c))
    assert joined == joined.joined_with(b)
    assert covers_all(dict(joined.version), [*a.version, *b.version, *c.version])
    assert joined.dot == a.dot


@pytest.mark.parametrize(("touched_at", "mtime_ns"), [(19, 1), (20, 2), (21, 2)])
def test_the_later_of_content_and_touch_gives_the_time(touched_at: int, mtime_ns: int) -> None:
    register = Metadata(Attributes(0o600, mtime_ns=2), touched_at, "m", 7, ("m", 7))
    assert structs.replace(FILE, mtime_ns=1, metadata=register).effective_mtime_ns == mtime_ns


def test_a_chmod_is_no_touch() -> None:
    register = Metadata(Attributes(0o600), 99, "m", 7, ("m", 7))
    assert structs.replace(FILE, mtime_ns=1, metadata=register).effective_mtime_ns == 1


def test_a_joined_version_is_news_to_those_who_know_the_dot() -> None:
    assert not is_news(FILE, {"a": 2, "b": 1})
    assert is_news(FILE, {"a": 2})
    assert is_news(FILE, {"a": 1, "b": 1})
    assert is_news(FILE, {})


def test_a_volume_id_depends_on_both_names_and_nothing_else() -> None:
    assert volume_id("home", "data") == volume_id("home", "data")
    assert len({volume_id("home", "data"), volume_id("home", "date"), volume_id("homed", "ata")}) == 3
    assert len(volume_id("home", "data")) == 16


def test_of_two_lines_about_a_member_the_later_wins_and_gone_breaks_the_tie() -> None:
    here, gone = Member("a.1", "a", stamp=5), Member("a.1", "a", stamp=5, is_gone=True)
    assert here.rank < gone.rank < Member("a.1", "a", stamp=6).rank


def test_the_version_of_a_plain_entry_is_canonical() -> None:
    assert FILE.version == join(FILE.version)
