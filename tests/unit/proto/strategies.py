"""Hypothesis strategies for dots, versions, entries and paths, small enough that they meet one another."""

from __future__ import annotations

from hypothesis import strategies as st

from syncproto.model import Attributes, Entry, Kind, Metadata
from syncproto.version import Version, join

ORIGINS = ["a.1", "b.2", "c.3"]
PATHS = [b"x", b"y", b"d", b"d/x", b"d/x/y", b"\xff.txt"]

dots = st.tuples(st.sampled_from(ORIGINS), st.integers(1, 5))
versions: st.SearchStrategy[Version] = st.lists(dots, max_size=4).map(lambda found: join(found))
attributes = st.builds(
    Attributes,
    mode=st.integers(0, 0o777),
    uid=st.integers(0, 3),
    xattrs=st.sampled_from([(), ((b"user.a", b"\0\xff"),)]),
    mtime_ns=st.none() | st.integers(0, 9),
)
registers = st.builds(
    Metadata,
    value=st.none() | attributes,
    stamp=st.integers(0, 9),
    origin=st.sampled_from(ORIGINS),
    counter=st.integers(1, 9),
    author=dots,
    again=st.integers(0, 2),
)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """Any entry that keeps the invariants: its version covers its dot, and only what has content has a size."""
    origin, counter = draw(dots)
    kind = draw(st.sampled_from(Kind))
    content = None if kind == Kind.DIRECTORY else draw(st.sampled_from([b"1", b"2", b"3"]))
    return Entry(
        path=draw(st.sampled_from(PATHS)),
        kind=kind,
        content=content,
        origin=origin,
        counter=counter,
        version=join(draw(versions), [(origin, counter)]),
        stamp=draw(st.integers(1, 9)),
        metadata=draw(registers),
        carried=draw(versions),
        is_copy=draw(st.booleans()),
        size=draw(st.integers(0, 9)) if kind == Kind.FILE else 0,
        mtime_ns=draw(st.integers(0, 9)),
        sparse=draw(st.booleans()),
    )
