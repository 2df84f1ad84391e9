"""Messages for the protocol's tests: one plain sample of each type, and strategies that make any that may travel."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from syncproto.messages import (
    AnyMessage,
    Barrier,
    BarrierReply,
    ChunkData,
    ChunkRequest,
    Credit,
    Delta,
    Doubt,
    Former,
    Heartbeat,
    Hello,
    ManifestData,
    ManifestRequest,
    Members,
    NoSession,
    Pull,
    Range,
    Recall,
    Recalled,
    Refuse,
    Relayed,
    Start,
    VolumeHello,
    VolumeState,
)
from syncproto.model import PLACEHOLDER, Attributes, Chunk, Entry, Kind, Member, Metadata
from syncproto.version import Version, join

VOLUME = b"v" * 16
DIGEST = b"d" * 32
ATTRIBUTES = Attributes(0o644, 1000, 1000, ((b"user.note", b"\0\xff"),), 17)
ENTRY = Entry(
    path=b"dir/name\xff",
    kind=Kind.FILE,
    content=DIGEST,
    origin="a.1",
    counter=5,
    version=(("a.1", 5), ("b.1", 2)),
    stamp=1_700_000_000_000_000_000,
    metadata=Metadata(ATTRIBUTES, 3, "a.1", 4, ("b.1", 1), 1),
    carried=(("c.1", 9),),
    size=12,
    mtime_ns=-1,
)
HELLO = Hello(
    version_min=1,
    version_max=1,
    cluster="c",
    agent="a",
    instance=b"instance",
    chunker="x",
    credit=100,
    volumes=(VolumeHello(VOLUME, "data", "a.1", (Start(b"start--1", 3, 9),)),),
)
PULL = Pull(VOLUME, 1, {"a.1": 3}, "b.1", 7)
DELTA = Delta(VOLUME, 1, "b.1", 0, 8, 0, True, False, {"b.1": 8}, {}, 4, (ENTRY,), (DIGEST,))
SAMPLES: list[tuple[AnyMessage, tuple[bytes, ...]]] = [
    (HELLO, ()),
    (Refuse("cluster", "no"), ()),
    (NoSession(), ()),
    (Heartbeat(), ()),
    (Credit(5), ()),
    (
        VolumeState(
            VOLUME, "a.1", 1, {"a.1": 1}, {}, b"g" * 16, 1, 0, {}, True, {"b.1": Relayed({}, b"g" * 16, False, 5)}
        ),
        (),
    ),
    (
        Members(
            VOLUME,
            (Member("a.1", "a"), Member("b.1", "b", "receive-only", 5, 6, True)),
            {"a.1": 4},
            Metadata(ATTRIBUTES, 3, "a.1", 1, ("a.1", 1)),
        ),
        (),
    ),
    (Doubt(VOLUME, "a.1", "clone", "a copy", (b"start--1",), 7), ()),
    (Barrier(VOLUME, b"barrier1", 3), ()),
    (BarrierReply(VOLUME, b"barrier1", {"a.1": 1}), ()),
    (Recall(VOLUME, b"recall-1", 3, 17, b"dir"), ()),
    (
        Recalled(
            VOLUME, b"recall-1", (Former(ENTRY.path, ENTRY, True, True), Former(b"new", None, False, False)), True
        ),
        (),
    ),
    (PULL, ()),
    (DELTA, (b"hello",)),
    (ManifestRequest(VOLUME, 2, DIGEST, 5), ()),
    (ManifestData(VOLUME, 2, DIGEST, 5, 7, (Chunk(b"c" * 16, 9), Chunk(b"e" * 16, 1))), ()),
    (ChunkRequest(VOLUME, 3, (Range(DIGEST, 0, 10), Range(DIGEST, 10, 5))), ()),
    (ChunkData(VOLUME, 3, (True, False)), (b"0123456789",)),
]

_counters = st.integers(1, 2**62)
_origins = st.text("abc.-09é", min_size=1, max_size=8)
_vectors = st.dictionaries(_origins, st.integers(0, 2**62), max_size=4)
_versions: SearchStrategy[Version] = st.dictionaries(_origins, _counters, max_size=3).map(lambda d: join(d.items()))
_names = st.binary(min_size=1, max_size=12).map(lambda b: b.replace(b"\0", b"x").replace(b"/", b"y"))
_paths = st.lists(_names.filter(lambda n: n not in (b".", b"..", b".syncagent")), min_size=1, max_size=4).map(b"/".join)
_times = st.integers(-(2**63), 2**63 - 1)
_xattrs = st.dictionaries(_names, st.binary(max_size=20), max_size=3).map(lambda d: tuple(d.items()))
_attributes = st.builds(
    Attributes, st.integers(0, 0o777), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), _xattrs, st.none() | _times
)
_metadata = st.just(PLACEHOLDER) | st.builds(
    Metadata,
    st.none() | _attributes,
    st.integers(0, 2**62),
    _origins,
    _counters,
    st.tuples(_origins, _counters),
    st.integers(0, 2**62),
)


def _contents(kind: Kind) -> SearchStrategy[bytes | None]:
    digests = st.binary(min_size=32, max_size=32)
    targets = st.binary(min_size=1, max_size=40).map(lambda b: b.replace(b"\0", b"x"))
    if kind == Kind.FILE:
        return digests
    if kind == Kind.SYMLINK:
        return targets
    return st.none() if kind == Kind.DIRECTORY else st.none() | digests | targets


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """Any entry that may travel."""
    kind = draw(st.sampled_from(Kind))
    origin, counter = draw(_origins), draw(_counters)
    return Entry(
        path=draw(_paths),
        kind=kind,
        content=draw(_contents(kind)),
        origin=origin,
        counter=counter,
        version=join(draw(_versions), [(origin, counter)]),
        stamp=draw(st.integers(0, 2**62)),
        metadata=draw(_metadata),
        carried=draw(_versions),
        is_copy=draw(st.booleans()),
        size=draw(st.integers(0, 2**46)),
        mtime_ns=draw(_times),
        sparse=draw(st.booleans()),
    )


@st.composite
def deltas(draw: st.DrawFn) -> tuple[Delta, tuple[bytes, ...]]:
    """Any ``Delta`` that may travel, with its frames."""
    first = draw(st.integers(0, 2**61))
    inline = draw(st.dictionaries(st.binary(min_size=32, max_size=32), st.binary(max_size=64), max_size=3))
    delta = Delta(
        volume=draw(st.binary(min_size=16, max_size=16)),
        request=draw(st.integers(0, 2**62)),
        epoch=draw(_origins),
        first=first,
        last=first + draw(st.integers(0, 2**61)),
        part=draw(st.integers(0, 2**62)),
        is_last=draw(st.booleans()),
        is_full=draw(st.booleans()),
        known=draw(_vectors),
        collected=draw(_vectors),
        floor=draw(st.integers(0, 2**62)),
        entries=tuple(draw(st.lists(entries(), max_size=4))),
        inline=tuple(inline),
    )
    return delta, tuple(inline.values())
