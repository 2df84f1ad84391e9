from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncproto import limits, paths

names = st.binary(min_size=1, max_size=6).filter(
    lambda name: not {b"/"[0], 0} & set(name) and name not in (b".", b"..", paths.RESERVED_NAME)
)
canonical = st.lists(names, min_size=1, max_size=5).map(b"/".join)


@pytest.mark.parametrize("path", [b"a", b"a/b", b"...", b".a", b"\xff\xfe", b" ", b"a/.syncagent", b"n" * 255])
def test_a_canonical_path(path: bytes) -> None:
    assert paths.why_not_canonical(path) is None


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (b"", "empty"),
        (b"/a", "component"),
        (b"a/", "component"),
        (b"a//b", "component"),
        (b".", "component"),
        (b"a/../b", "component"),
        (b"./a", "component"),
        (b"a\0b", "NUL"),
        (b"n" * 256, "255"),
        (b"/".join([b"n" * 199] * 20) + b"/n", str(limits.PATH_BYTES_MAX)),
        (b".syncagent", "reserved"),
        (b".syncagent/staging/x", "reserved"),
    ],
)
def test_a_path_that_may_not_travel_says_why(path: bytes, why: str) -> None:
    reason = paths.why_not_canonical(path)
    assert reason is not None
    assert why in reason


@given(canonical)
def test_a_path_is_its_parent_and_its_name(path: bytes) -> None:
    parent, name = paths.parent(path), paths.name(path)
    assert path == (parent + b"/" + name if parent else name)
    assert b"/" not in name
    assert paths.why_not_canonical(path) is None


@given(canonical)
def test_a_path_is_below_each_directory_above_it_and_the_root(path: bytes) -> None:
    above = paths.above(path)
    assert len(above) == path.count(b"/")
    assert all(paths.is_below(path, directory) for directory in [*above, b""])
    assert above == sorted(above, key=len)
    assert [paths.parent(directory) for directory in [*above, path]] == [b"", *above]


@given(canonical, canonical)
def test_nothing_is_below_itself_or_a_mere_prefix_of_its_name(path: bytes, other: bytes) -> None:
    assert not paths.is_below(path, path)
    assert not paths.is_below(path + other.lstrip(b"/"), path)
    assert paths.is_below(path + b"/" + other, path)
