from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from syncagent.core.conflict import conflict_paths, copied_from
from syncproto import limits, paths
from syncproto.model import Entry, Kind

LOSER = Entry(b"report.txt", Kind.FILE, b"1", "laptop.3f9a2c1d", 17, (("laptop.3f9a2c1d", 17),), 1)

names = st.binary(min_size=1, max_size=255).filter(
    lambda name: not {b"/"[0], 0} & set(name) and name not in (b".", b"..", paths.RESERVED_NAME)
)
travelling = st.lists(names, min_size=1, max_size=20).map(b"/".join).filter(lambda path: len(path) <= 4000)
deep = names.map(lambda name: ((b"d" * 96 + b"/") * 41 + name)[: limits.PATH_BYTES_MAX])
origins = st.text(max_size=80) | st.sampled_from(["laptop.3f9a2c1d", "../../etc", "a/b", "a\0b", "a~2"])


def first(path: bytes, origin: str = "laptop.3f9a2c1d", count: int = 1) -> list[bytes]:
    return list(islice(conflict_paths(structs.replace(LOSER, path=path, origin=origin)), count))


@pytest.mark.parametrize(
    ("path", "copy"),
    [
        (b"report.txt", b"report~laptop.3f9a2c1d-17.txt"),
        (b"d/e.f/report.txt", b"d/e.f/report~laptop.3f9a2c1d-17.txt"),
        (b"d.x/report", b"d.x/report~laptop.3f9a2c1d-17"),
        (b".bashrc", b".bashrc~laptop.3f9a2c1d-17"),
        (b".config.json", b".config~laptop.3f9a2c1d-17.json"),
        (b"a.tar.gz", b"a.tar~laptop.3f9a2c1d-17.gz"),
        (b"end.", b"end.~laptop.3f9a2c1d-17"),
        (b"notes of 3. May", b"notes of 3. May~laptop.3f9a2c1d-17"),
        (b"\xff\xfe.txt", b"\xff\xfe~laptop.3f9a2c1d-17.txt"),
        (b"x~desktop.aa-5", b"x~desktop.aa-5~laptop.3f9a2c1d-17"),
        (b"x~desktop.aa-5.c", b"x~desktop.aa-5~laptop.3f9a2c1d-17.c"),
    ],
)
def test_a_copy_keeps_the_extension(path: bytes, copy: bytes) -> None:
    assert first(path) == [copy]


def test_a_series_counts_before_the_extension() -> None:
    assert first(b"report.txt", count=3) == [
        b"report~laptop.3f9a2c1d-17.txt",
        b"report~laptop.3f9a2c1d-17~2.txt",
        b"report~laptop.3f9a2c1d-17~3.txt",
    ]


def test_a_name_that_is_too_long_is_cut_before_its_extension_and_told_apart() -> None:
    one, other = first(b"d/" + b"n" * 250 + b".txt"), first(b"d/" + b"n" * 249 + b"m.txt")
    assert len(paths.name(one[0])) == limits.NAME_BYTES_MAX
    assert one[0].startswith(b"d/nnnnn") and one[0].endswith(b".txt") and b"~laptop.3f9a2c1d-17~" in one[0]
    assert one != other
    assert one == first(b"d/" + b"n" * 250 + b".txt")


def test_a_name_is_never_cut_inside_a_character() -> None:
    for padding in range(4):
        name = paths.name(first(b"n" * padding + "\N{SNOWMAN}".encode() * 80)[0])
        assert "\N{SNOWMAN}" in name.decode()
        assert limits.NAME_BYTES_MAX - 2 <= len(name) <= limits.NAME_BYTES_MAX


def test_a_copy_moves_up_from_a_directory_in_which_no_name_fits() -> None:
    directory = b"/".join([b"d" * 199] * 20)[: limits.PATH_BYTES_MAX - 2]
    copy = first(directory + b"/n")[0]
    assert paths.is_below(copy, paths.parent(directory))
    assert not paths.is_below(copy, directory)
    assert paths.name(copy).startswith(b"n~laptop.3f9a2c1d-17~")


@pytest.mark.parametrize("origin", ["../../etc", "a/b", "a\0b", "\N{SNOWMAN}"])
def test_an_origin_cannot_lead_elsewhere(origin: str) -> None:
    copy = first(b"d/report.txt", origin)[0]
    assert paths.parent(copy) == b"d"
    assert paths.why_not_canonical(copy) is None
    assert copy.isascii()


@given(travelling | deep, origins, st.integers(1, limits.COUNTER_MAX))
def test_every_conflict_path_may_travel(path: bytes, origin: str, counter: int) -> None:
    loser = structs.replace(LOSER, path=path, origin=origin, counter=counter)
    series = list(islice(conflict_paths(loser), 12))
    assert len(set(series)) == len(series)
    assert path not in series
    for copy in series:
        assert paths.why_not_canonical(copy) is None
        assert b"~" in paths.name(copy)
        assert paths.parent(copy) in (paths.parent(path), *paths.above(path), b"")


losers = st.builds(
    lambda path, origin, counter: structs.replace(LOSER, path=path, origin=origin, counter=counter),
    st.sampled_from([b"r", b"r.txt", b"r~a-1.txt", b"d/r", b"n" * 254, b"n" * 255, b"n" * 240 + b".txt"]),
    st.sampled_from(["a", "b", "a-1", "a/1", "a_1", "a:1", "\xe9", "\xe8", "~2", "a~2"]),
    st.integers(1, 12),
)


@given(losers, losers)
def test_different_losers_never_share_a_path(one: Entry, other: Entry) -> None:
    if one.dot != other.dot:
        assert not set(islice(conflict_paths(one), 12)) & set(islice(conflict_paths(other), 12))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"d/report~laptop.3f9a2c1d-17.txt", (b"d/report.txt", "laptop.3f9a2c1d")),
        (b"report~laptop.3f9a2c1d-17~2.txt", (b"report.txt", "laptop.3f9a2c1d")),
        (b"x~my-host.1f-3", (b"x", "my-host.1f")),
        (b"plain~file", (b"plain~file", "")),
    ],
)
def test_a_copys_name_tells_whose_it_is(path: bytes, expected: tuple[bytes, str]) -> None:
    assert copied_from(path) == expected
