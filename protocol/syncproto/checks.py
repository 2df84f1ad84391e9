"""What the types cannot say of a message: checked on receipt, after the types and before anybody else sees it.

Each check raises ``DecodeError`` with a reason that names the field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from syncproto import limits
from syncproto.errors import DecodeError
from syncproto.messages import (
    AnyMessage,
    BarrierReply,
    ChunkData,
    ChunkRequest,
    Delta,
    Doubt,
    Hello,
    ManifestData,
    Members,
    Pull,
    Recall,
    Recalled,
    Refuse,
    VolumeState,
)
from syncproto.model import Attributes, Entry, Kind, Metadata
from syncproto.paths import why_not_canonical
from syncproto.version import Dot

DIRECTIONS = ("two-way", "send-only", "receive-only")
TIME_NS_MIN, TIME_NS_MAX = -(2**63), 2**63 - 1


def check_frames(header_bytes: int, frames: Sequence[bytes]) -> None:
    """Number and sizes of what travels as one message, beside the session id."""
    if header_bytes > limits.HEADER_BYTES_MAX:
        raise DecodeError(f"a header of {header_bytes} bytes exceeds {limits.HEADER_BYTES_MAX}")
    if len(frames) > limits.FRAMES_MAX:
        raise DecodeError(f"{len(frames)} frames exceed {limits.FRAMES_MAX}")
    sizes = [len(frame) for frame in frames]
    if max(sizes, default=0) > limits.FRAME_BYTES_MAX:
        raise DecodeError(f"a frame of {max(sizes)} bytes exceeds {limits.FRAME_BYTES_MAX}")
    if header_bytes + sum(sizes) > limits.MESSAGE_BYTES_MAX:
        raise DecodeError(f"a message of {header_bytes + sum(sizes)} bytes exceeds {limits.MESSAGE_BYTES_MAX}")


def check_message(message: AnyMessage, frames: Sequence[bytes]) -> None:
    """Everything that version 1 demands of a message beyond the types of its fields."""
    if frames and not isinstance(message, Delta | ChunkData):
        raise DecodeError(f"{type(message).__name__} has {len(frames)} frames, but carries no bulk bytes")
    check = _CHECKS.get(type(message))
    if check is not None:
        check(message, frames)


def check_entry(entry: Entry) -> None:
    """One entry: its path, what its kind allows as content, its dots, its metadata."""
    wrong = why_not_canonical(entry.path) or _why_not_content(entry.kind, entry.content)
    if wrong is not None:
        raise DecodeError(f"path {entry.path[:80]!r}: {wrong}")
    _check_dots(entry.version, "version")
    _check_dots(entry.carried, "carried")
    if entry.counter == 0 or not entry.has_seen(entry):
        raise DecodeError(f"path {entry.path[:80]!r}: its version lacks its own dot {entry.dot!r}")
    _check_time(entry.mtime_ns)
    _check_metadata(entry.metadata)


def _why_not_content(kind: Kind, content: bytes | None) -> str | None:
    if kind == Kind.FILE:
        return None if content and len(content) == limits.DIGEST_BYTES else "a file's content is a digest of 32 bytes"
    if kind == Kind.DIRECTORY:
        return None if content is None else "a directory has no content"
    if kind == Kind.SYMLINK:
        return None if content and b"\0" not in content else "a symlink's target is empty or has a NUL byte"
    return None if content != b"" else "a tombstone's content is empty: without content it is nil"


def _check_dots(dots: Iterable[Dot], field: str) -> None:
    previous = ""
    for origin, counter in dots:
        if origin <= previous:
            raise DecodeError(f"{field} is not sorted by origin, each once")
        if counter == 0:
            raise DecodeError(f"{field} has the counter 0 for {origin!r}")
        check_origin(origin)
        previous = origin


@lru_cache(maxsize=4096)
def check_origin(origin: str) -> None:
    """Origins become parts of file names and of terminal output."""
    if not origin or "/" in origin or not origin.isprintable():
        raise DecodeError(f"origin {origin!r} is empty, or has '/' or a character that cannot be printed")


def _check_vector(vector: Iterable[str]) -> None:
    for origin in vector:
        check_origin(origin)


def _check_time(time_ns: int) -> None:
    if not TIME_NS_MIN <= time_ns <= TIME_NS_MAX:
        raise DecodeError(f"the time {time_ns} ns does not fit into 64 bits")


def _check_metadata(metadata: Metadata) -> None:
    for origin, counter in (metadata.dot, metadata.author):
        if (origin == "") != (counter == 0):
            raise DecodeError(f"a metadata register has the dot {(origin, counter)!r}")
        if origin:
            check_origin(origin)
    if metadata.value is not None:
        if metadata.counter == 0:
            raise DecodeError("a metadata register with a value has no dot")
        _check_attributes(metadata.value)


def _check_attributes(attributes: Attributes) -> None:
    if attributes.mtime_ns is not None:
        _check_time(attributes.mtime_ns)
    xattrs = attributes.xattrs
    if not xattrs:
        return
    if sum(len(name) + len(value) for name, value in xattrs) > limits.XATTR_BYTES_MAX:
        raise DecodeError(f"the extended attributes of a path exceed {limits.XATTR_BYTES_MAX} bytes")
    names = {name for name, _ in xattrs}
    if len(names) != len(xattrs) or any(not name or b"\0" in name for name in names):
        raise DecodeError("the extended attributes of a path have an empty, repeated or impossible name")


def _check_printable(field: str, text: str) -> None:
    if not text.isprintable():
        raise DecodeError(f"{field} {text!r} has a character that cannot be printed")


def _check_direction(direction: str) -> None:
    if direction not in DIRECTIONS:
        raise DecodeError(f"direction {direction[:40]!r} is none of {', '.join(DIRECTIONS)}")


def _check_hello(hello: Hello, _: Sequence[bytes]) -> None:
    if hello.version_min > hello.version_max:
        raise DecodeError(f"protocol versions {hello.version_min} to {hello.version_max} are none")
    _check_printable("agent", hello.agent)
    _check_printable("cluster", hello.cluster)
    _check_printable("chunker", hello.chunker)
    if len({volume.volume for volume in hello.volumes}) != len(hello.volumes):
        raise DecodeError("a volume is named twice")
    for volume in hello.volumes:
        _check_printable("volume", volume.name)
        check_origin(volume.incarnation)
        _check_direction(volume.direction)
        if any(start.began < start.ended for start in volume.starts):
            raise DecodeError("a start goes on below the counter that it found")


def _check_doubt(doubt: Doubt, _: Sequence[bytes]) -> None:
    check_origin(doubt.incarnation)
    _check_printable("code", doubt.code)
    _check_printable("text", doubt.text)


def _check_refuse(refuse: Refuse, _: Sequence[bytes]) -> None:
    _check_printable("code", refuse.code)
    _check_printable("text", refuse.text)


def _check_state(state: VolumeState, _: Sequence[bytes]) -> None:
    check_origin(state.incarnation)
    for vector in (state.known, state.applied, state.collected, state.relayed):
        _check_vector(vector)
    for relayed in state.relayed.values():
        _check_vector(relayed.applied)


def _check_members(members: Members, _: Sequence[bytes]) -> None:
    if len({member.incarnation for member in members.members}) != len(members.members):
        raise DecodeError("a member is listed twice")
    _check_vector(members.released)
    _check_metadata(members.root)
    for member in members.members:
        check_origin(member.incarnation)
        _check_printable("member", member.name)
        _check_direction(member.direction)
        _check_time(member.since_ns)


def _check_pull(pull: Pull, _: Sequence[bytes]) -> None:
    _check_vector(pull.known)
    if pull.epoch:
        check_origin(pull.epoch)


def _check_barrier_reply(reply: BarrierReply, _: Sequence[bytes]) -> None:
    _check_vector(reply.known)


def _check_delta(delta: Delta, frames: Sequence[bytes]) -> None:
    if delta.first > delta.last:
        raise DecodeError(f"a unit from {delta.first} to {delta.last} is none")
    check_origin(delta.epoch)
    _check_vector(delta.known)
    _check_vector(delta.collected)
    if len(delta.inline) != len(frames) or len(set(delta.inline)) != len(frames):
        raise DecodeError(f"{len(frames)} frames for {len(delta.inline)} inline contents, or a content twice")
    if max(map(len, frames), default=0) > limits.INLINE_FILE_BYTES_MAX:
        raise DecodeError(f"an inline content exceeds {limits.INLINE_FILE_BYTES_MAX} bytes")
    if sum(map(len, frames)) > limits.INLINE_BYTES_MAX:
        raise DecodeError(f"the inline contents exceed {limits.INLINE_BYTES_MAX} bytes")
    for entry in delta.entries:
        check_entry(entry)


def _check_recall(recall: Recall, _: Sequence[bytes]) -> None:
    if recall.path and (wrong := why_not_canonical(recall.path)):
        raise DecodeError(f"path {recall.path[:80]!r}: {wrong}")


def _check_recalled(recalled: Recalled, _: Sequence[bytes]) -> None:
    for former in recalled.formers:
        if wrong := why_not_canonical(former.path):
            raise DecodeError(f"path {former.path[:80]!r}: {wrong}")
        if former.entry is not None:
            check_entry(former.entry)
            if former.entry.path != former.path:
                raise DecodeError(f"path {former.path[:80]!r} is told of {former.entry.path[:80]!r}")


def _check_manifest(manifest: ManifestData, _: Sequence[bytes]) -> None:
    if manifest.first + len(manifest.chunks) > manifest.total:
        raise DecodeError(f"{len(manifest.chunks)} chunks from {manifest.first} on exceed the total {manifest.total}")


def _check_request(request: ChunkRequest, _: Sequence[bytes]) -> None:
    if sum(r.length for r in request.ranges) > limits.REQUEST_BYTES_MAX:
        raise DecodeError(f"the ranges of a request exceed {limits.REQUEST_BYTES_MAX} bytes together")
    if any(r.offset + r.length > limits.FILE_SIZE_MAX for r in request.ranges):
        raise DecodeError(f"a range ends beyond {limits.FILE_SIZE_MAX} bytes")


def _check_chunks(data: ChunkData, frames: Sequence[bytes]) -> None:
    if sum(data.found) != len(frames):
        raise DecodeError(f"{len(frames)} frames for {sum(data.found)} ranges found")
    if sum(map(len, frames)) > limits.REQUEST_BYTES_MAX:
        raise DecodeError(f"the ranges of an answer exceed {limits.REQUEST_BYTES_MAX} bytes together")


_CHECKS: dict[type, Callable[..., None]] = {
    Hello: _check_hello,
    Refuse: _check_refuse,
    Doubt: _check_doubt,
    VolumeState: _check_state,
    Members: _check_members,
    Pull: _check_pull,
    BarrierReply: _check_barrier_reply,
    Recall: _check_recall,
    Recalled: _check_recalled,
    Delta: _check_delta,
    ManifestData: _check_manifest,
    ChunkRequest: _check_request,
    ChunkData: _check_chunks,
}
