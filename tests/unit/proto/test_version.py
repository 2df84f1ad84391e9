from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from syncproto.version import NO_DOT, Vector, Version, covers, covers_all, join, merge
from unit.proto.strategies import dots, versions

vectors = versions.map(dict)


def test_a_vector_covers_what_is_at_or_below_it() -> None:
    vector = {"a": 3}
    assert covers(vector, ("a", 3))
    assert covers(vector, ("a", 1))
    assert not covers(vector, ("a", 4))
    assert not covers(vector, ("b", 1))
    assert covers({}, NO_DOT)


def test_all_dots_must_be_covered() -> None:
    assert covers_all({"a": 3, "b": 1}, [("a", 2), ("b", 1)])
    assert not covers_all({"a": 3, "b": 1}, [("a", 2), ("b", 2)])
    assert covers_all({}, [])


@given(versions, versions, versions)
def test_join_is_commutative_associative_and_idempotent(a: Version, b: Version, c: Version) -> None:
    assert join(a, b) == join(b, a)
    assert join(join(a, b), c) == join(a, join(b, c)) == join(a, b, c)
    assert join(a, a) == join(a) == a
    assert join(a, ()) == a


@given(versions, versions)
def test_join_is_the_least_upper_bound(a: Version, b: Version) -> None:
    joined = join(a, b)
    assert covers_all(dict(joined), [*a, *b])
    assert set(joined) <= {*a, *b}


@given(st.lists(dots))
def test_join_is_canonical(found: list[tuple[str, int]]) -> None:
    version = join(found)
    assert version == tuple(sorted(dict(version).items()))
    assert version == join(reversed(found)) == join(tuple(found) + ((found[0],) if found else ()))


@given(vectors, vectors, vectors)
def test_merge_is_commutative_associative_and_idempotent(a: Vector, b: Vector, c: Vector) -> None:
    assert merge(a, b) == merge(b, a)
    assert merge(merge(a, b), c) == merge(a, merge(b, c))
    assert merge(a, a) == a
    assert tuple(sorted(merge(a, b).items())) == join(a.items(), b.items())


@given(vectors, vectors)
def test_merge_changes_neither(a: Vector, b: Vector) -> None:
    before = dict(a), dict(b)
    merged = merge(a, b)
    merged["z"] = 1
    assert (a, b) == before
