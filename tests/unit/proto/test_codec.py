"""The codec: what goes out comes back equal, and whatever comes in is a message or a ``DecodeError``."""

from __future__ import annotations

from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from syncproto import limits
from syncproto.codec import batches, decode, encode, pack
from syncproto.errors import DecodeError, LocalProtocolError
from syncproto.messages import (
    AnyMessage,
    BarrierReply,
    ChunkData,
    ChunkRequest,
    Delta,
    Doubt,
    Former,
    ManifestData,
    Members,
    Pull,
    Range,
    Recall,
    Recalled,
    Refuse,
    Relayed,
    SessionMessage,
    Start,
    VolumeHello,
    VolumeMessage,
    VolumeState,
)
from syncproto.model import Attributes, Chunk, Entry, Kind, Member, Metadata
from unit.proto.samples import ATTRIBUTES, DELTA, DIGEST, ENTRY, HELLO, PULL, SAMPLES, VOLUME, deltas, entries


def test_samples_cover_every_message() -> None:
    assert {type(message) for message, _ in SAMPLES} == set((SessionMessage | VolumeMessage).__args__)


@pytest.mark.parametrize(("message", "frames"), SAMPLES, ids=lambda value: type(value).__name__)
def test_round_trip_in_plain_msgpack(message: AnyMessage, frames: tuple[bytes, ...]) -> None:
    header = encode(message)
    assert decode(header, frames) == message
    assert msgpack.packb(msgpack.unpackb(header)) == header


@given(deltas())
def test_any_delta_round_trips(sent: tuple[Delta, tuple[bytes, ...]]) -> None:
    assert decode(encode(sent[0]), sent[1]) == sent[0]


@given(st.binary(max_size=300), st.lists(st.binary(max_size=5), max_size=3))
def test_noise_is_a_decode_error(noise: bytes, frames: list[bytes]) -> None:
    with pytest.raises(DecodeError):
        decode(noise, frames)


@settings(max_examples=300)
@given(st.sampled_from(SAMPLES), st.data())
def test_damaged_messages_decode_or_are_refused(
    sample: tuple[AnyMessage, tuple[bytes, ...]], data: st.DataObject
) -> None:
    header = bytearray(encode(sample[0]))
    for _ in range(data.draw(st.integers(1, 3))):
        header[data.draw(st.integers(0, len(header) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(header[: data.draw(st.integers(0, len(header)))])
    try:
        assert isinstance(decode(cut, sample[1]), VolumeMessage | SessionMessage)
    except DecodeError as error:
        assert str(error)


@settings(max_examples=300)
@given(st.sampled_from([sample for sample, _ in SAMPLES]), st.data())
def test_wrong_types_anywhere_decode_or_are_refused(message: AnyMessage, data: st.DataObject) -> None:
    fields = msgpack.unpackb(encode(message))
    if len(fields) == 1:
        fields.append(None)
    odd = (
        st.none()
        | st.booleans()
        | st.floats()
        | st.binary(max_size=3)
        | st.text(max_size=3)
        | st.integers(-(2**63), 2**64 - 1)
    )
    fields[data.draw(st.integers(1, len(fields) - 1))] = data.draw(odd | st.lists(odd, max_size=3))
    try:
        assert isinstance(decode(msgpack.packb(fields)), VolumeMessage | SessionMessage)
    except DecodeError as error:
        assert str(error)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\xc1",
        b"\x91" * 100_000,
        b"\x81" * 100_000,
        b"\xdd\xff\xff\xff\xff\xa4pull",
        b"\x92\xa4pull\xc6\xff\xff\xff\xff",
        encode(PULL) + b"\0",
        encode(PULL)[:-3],
        msgpack.packb(["pull"]),
        msgpack.packb([*msgpack.unpackb(encode(PULL)), 1]),
        msgpack.packb(["unheard-of", 1]),
        encode(PULL).replace(b"\xa3a.1", b"\xa3a.\xff"),
        msgpack.packb(["credit", msgpack.Timestamp(1)]),
        bytes(limits.HEADER_BYTES_MAX + 1),
    ],
    ids=lambda header: header[:12].hex(),
)
def test_hostile_headers_are_refused(header: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(header)


def _with_entry(**changes: Any) -> Delta:
    return structs.replace(DELTA, entries=(structs.replace(ENTRY, **changes),), inline=())


def _with_metadata(**changes: Any) -> Delta:
    return _with_entry(metadata=structs.replace(ENTRY.metadata, **changes))


def _with_xattrs(*xattrs: tuple[bytes, bytes]) -> Delta:
    return _with_metadata(value=structs.replace(ATTRIBUTES, xattrs=xattrs))


def _relayed(*origins: str) -> Relayed:
    return Relayed(dict.fromkeys(origins, 1), b"g" * 16, False, 0)


def _recalled(former: Former) -> Recalled:
    return Recalled(VOLUME, b"recall-1", (former,), True)


WRONG: list[tuple[AnyMessage, str]] = [
    (_with_entry(path=b"../x"), "'..'"),
    (_with_entry(path=b"/x"), "empty"),
    (_with_entry(path=b"a//b"), "empty"),
    (_with_entry(path=b"a\0b"), "NUL"),
    (_with_entry(path=b".syncagent/x"), "reserved"),
    (_with_entry(path=b"x" * 256), "255"),
    (_with_entry(path=b"x/" * 1999 + b"xyz"), "4000"),
    (_with_entry(kind=Kind.FILE, content=None), "digest"),
    (_with_entry(kind=Kind.FILE, content=b"short"), "digest"),
    (_with_entry(kind=Kind.DIRECTORY), "no content"),
    (_with_entry(kind=Kind.SYMLINK, content=None), "target"),
    (_with_entry(kind=Kind.SYMLINK, content=b""), "target"),
    (_with_entry(kind=Kind.SYMLINK, content=b"a\0"), "NUL"),
    (_with_entry(kind=Kind.TOMBSTONE, content=b""), "tombstone"),
    (_with_entry(kind=7), "Invalid"),
    (_with_entry(version=(("b.1", 2), ("a.1", 5))), "sorted"),
    (_with_entry(version=(("a.1", 5), ("a.1", 5))), "sorted"),
    (_with_entry(version=()), "own dot"),
    (_with_entry(version=(("a.1", 4),)), "own dot"),
    (_with_entry(version=(("a.1", 5), ("b.1", 0))), "counter 0"),
    (_with_entry(counter=0), "own dot"),
    (_with_entry(counter=2**62 + 1), "<="),
    (_with_entry(carried=(("", 1),)), "sorted"),
    (_with_entry(carried=(("a/b", 1),)), "'/'"),
    (_with_entry(carried=(("a\x1b", 1),)), "printed"),
    (_with_entry(mtime_ns=2**63), "64 bits"),
    (_with_entry(size=-1), ">="),
    (_with_metadata(origin="", counter=3), "dot"),
    (_with_metadata(origin="", counter=0), "no dot"),
    (_with_metadata(author=("x", 0)), "dot"),
    (_with_metadata(value=Attributes(0o1777)), "<="),
    (_with_metadata(value=Attributes(0o777, mtime_ns=2**64 - 1)), "64 bits"),
    (_with_xattrs((b"user.a", b"x" * 65536)), "65536"),
    (_with_xattrs((b"user.a", b""), (b"user.a", b"")), "repeated"),
    (_with_xattrs((b"", b"")), "empty"),
    (structs.replace(DELTA, first=9, inline=()), "9 to 8"),
    (structs.replace(DELTA, epoch="", inline=()), "origin"),
    (structs.replace(DELTA, known={"a\n": 1}, inline=()), "printed"),
    (structs.replace(DELTA, entries=(ENTRY,) * 1001, inline=()), "1000"),
    (DELTA, "0 frames for 1"),
    (Pull(VOLUME, 1, {"": 1}, "b.1", 7), "origin"),
    (Pull(b"short", 1, {}, "b.1", 7), "16"),
    (structs.replace(HELLO, version_min=2), "versions"),
    (structs.replace(HELLO, agent="a\r"), "printed"),
    (structs.replace(HELLO, agent=""), ">= 1"),
    (structs.replace(HELLO, volumes=HELLO.volumes * 2), "twice"),
    (structs.replace(HELLO, volumes=(VolumeHello(VOLUME, "data", ""),)), "origin"),
    (structs.replace(HELLO, volumes=(VolumeHello(VOLUME, "data", "a", (), "sideways"),)), "direction"),
    (
        structs.replace(HELLO, volumes=(VolumeHello(VOLUME, "data", "a", (Start(b"start--1", 9, 8),)),)),
        "goes on below",
    ),
    (Refuse("x", "\x1b[2J"), "printed"),
    (Doubt(VOLUME, "", "clone"), "origin"),
    (Doubt(VOLUME, "a", "clone", "\x1b[2J"), "printed"),
    (Doubt(VOLUME, "a", "clone", "", (b"start--1",) * 17), "16"),
    (Members(VOLUME, (Member("a", "a"), Member("a", "b")), {}, Metadata()), "twice"),
    (Members(VOLUME, (Member("a", "a", "up"),), {}, Metadata()), "direction"),
    (ManifestData(VOLUME, 1, DIGEST, 0, 0, (Chunk(b"c" * 16, 1),)), "total"),
    (ManifestData(VOLUME, 1, DIGEST, 0, 1, (Chunk(b"c" * 16, 0),)), ">= 1"),
    (ManifestData(VOLUME, 1, DIGEST, 0, 1, (Chunk(b"c" * 16, limits.CHUNK_BYTES_MAX + 1),)), "<="),
    (ChunkRequest(VOLUME, 1, (Range(DIGEST, 0, 2**20), Range(DIGEST, 0, 1))), "together"),
    (ChunkRequest(VOLUME, 1, (Range(DIGEST, limits.FILE_SIZE_MAX, 1),)), "beyond"),
    (ChunkData(VOLUME, 1, (True,)), "0 frames for 1"),
    (VolumeState(VOLUME, "", 1, {}, {}, b"g" * 16, 0, 0, {}), "origin"),
    (VolumeState(VOLUME, "a", 1, {"a/b": 1}, {}, b"g" * 16, 0, 0, {}), "'/'"),
    (VolumeState(VOLUME, "a", 1, {}, {"a/b": 1}, b"g" * 16, 0, 0, {}), "'/'"),
    (VolumeState(VOLUME, "a", 1, {}, {}, b"g" * 16, 0, 0, {"a/b": 1}), "'/'"),
    (VolumeState(VOLUME, "a", 1, {}, {}, b"g" * 16, 0, 0, {}, relayed={"a/b": _relayed()}), "'/'"),
    (VolumeState(VOLUME, "a", 1, {}, {}, b"g" * 16, 0, 0, {}, relayed={"a": _relayed("a/b")}), "'/'"),
    (Members(VOLUME, (), {"a/b": 1}, Metadata()), "'/'"),
    (Members(VOLUME, (Member("a", "a\r"),), {}, Metadata()), "printed"),
    (Members(VOLUME, (), {}, Metadata(value=ATTRIBUTES)), "no dot"),
    (BarrierReply(VOLUME, b"barrier1", {"a/b": 1}), "'/'"),
    (structs.replace(DELTA, collected={"a/b": 1}, inline=()), "'/'"),
    (Recall(VOLUME, b"recall-1", 1, 0, b"../x"), "'..'"),
    (_recalled(Former(b"../x", None, True, True)), "'..'"),
    (_recalled(Former(b"elsewhere", ENTRY, True, True)), "is told of"),
    (_recalled(Former(ENTRY.path, structs.replace(ENTRY, version=()), True, True)), "own dot"),
]


@pytest.mark.parametrize(("message", "reason"), WRONG, ids=lambda value: value if isinstance(value, str) else "")
def test_rules_are_enforced_on_receipt(message: AnyMessage, reason: str) -> None:
    with pytest.raises(DecodeError) as refusal:
        decode(encode(message))
    assert reason in str(refusal.value)


@pytest.mark.parametrize(
    ("message", "frames", "reason"),
    [
        (PULL, [b"x"], "carries no bulk"),
        (DELTA, [bytes(limits.INLINE_FILE_BYTES_MAX + 1)], "inline content"),
        (structs.replace(DELTA, inline=(DIGEST, DIGEST)), [b"a", b"a"], "twice"),
        (structs.replace(DELTA, inline=tuple(bytes([n]) * 32 for n in range(17))), [bytes(16384)] * 17, "262144"),
        (ChunkData(VOLUME, 1, (True, True)), [bytes(2**20), b"x"], "together"),
        (ChunkData(VOLUME, 1, (True,)), [bytes(limits.FRAME_BYTES_MAX + 1)], "a frame of"),
        (ChunkData(VOLUME, 1, (True,) * 8), [bytes(limits.FRAME_BYTES_MAX)] * 8, "a message of"),
        (ChunkData(VOLUME, 1, ()), [b""] * (limits.FRAMES_MAX + 1), "frames exceed"),
    ],
)
def test_limits_of_frames_are_enforced_on_receipt(message: AnyMessage, frames: list[bytes], reason: str) -> None:
    with pytest.raises(DecodeError) as refusal:
        decode(encode(message), frames)
    assert reason in str(refusal.value)


@pytest.mark.parametrize(
    ("message", "frames"),
    [
        (Pull(VOLUME, 2**70, {}, "b", 0), []),
        (Pull(VOLUME, 1, {"\ud800": 1}, "b", 0), []),
        (structs.replace(DELTA, entries=(_with_xattrs((b"user.a", bytes(65000))).entries[0],) * 100), []),
        (ChunkData(VOLUME, 1, (True,)), [bytes(limits.FRAME_BYTES_MAX + 1)]),
        (ChunkData(VOLUME, 1, (True,) * 8), [bytes(limits.FRAME_BYTES_MAX)] * 8),
    ],
)
def test_what_cannot_be_sent_is_our_own_mistake(message: VolumeMessage, frames: list[bytes]) -> None:
    with pytest.raises(LocalProtocolError):
        pack(message, frames)


def test_only_bulk_takes_credit_and_only_answers_are_kept() -> None:
    assert pack(PULL).size == 0
    answer = pack(DELTA, [b"hello"])
    assert answer.size == len(answer.header) + 5
    assert answer.is_answer
    assert not pack(structs.replace(DELTA, request=0), [b"hello"]).is_answer


@given(st.lists(entries(), max_size=20))
def test_batches_keep_all_entries_in_order(given_entries: list[Entry]) -> None:
    assert [entry for batch in batches(given_entries) for entry in batch] == given_entries


def test_batches_are_cut_by_number_and_by_size() -> None:
    assert [len(batch) for batch in batches([ENTRY] * 2500)] == [1000, 1000, 500]
    large = _with_xattrs((b"user.a", bytes(60_000))).entries[0]
    cut = list(batches([large] * 50))
    assert [len(batch) for batch in cut] == [17, 17, 16]
    assert all(decode(encode(structs.replace(DELTA, entries=batch, inline=()))) for batch in cut)


def test_the_largest_entry_fits_a_message() -> None:
    origins = [f"{n:04}".ljust(limits.ORIGIN_CHARS_MAX, "x") for n in range(limits.VECTOR_ORIGINS_MAX)]
    vector = dict.fromkeys(origins, limits.COUNTER_MAX)
    version = tuple(vector.items())
    target = b"t" * limits.TARGET_BYTES_MAX
    path = b"/".join([b"p" * 255] * 15 + [b"q" * 159])
    register = Metadata(structs.replace(ATTRIBUTES, xattrs=((b"user.a", bytes(65530)),)), 1, *version[0], version[0])
    largest = Entry(path, Kind.SYMLINK, target, *version[0], version, 1, register, version)
    assert len(path) == limits.PATH_BYTES_MAX - 1
    (batch,) = batches([largest])
    message = structs.replace(DELTA, known=vector, collected=vector, entries=batch, inline=())
    assert decode(encode(message)) == message
