"""Every message of protocol version 1. Normative text: SPEC.md.

A message is one msgpack header (an array that starts with the message's tag) and, for ``Delta`` and ``ChunkData``, raw
frames with bulk bytes. The id of the session travels in a frame of its own before the header. Requests carry ids and
are idempotent: any message may vanish without an error.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from syncproto import limits
from syncproto.model import Chunk, Counter, Entry, Member, Metadata, Origin, Stamp

VolumeId = Annotated[bytes, Meta(min_length=16, max_length=16)]
Digest = Annotated[bytes, Meta(min_length=limits.DIGEST_BYTES, max_length=limits.DIGEST_BYTES)]
SessionId = Annotated[bytes, Meta(min_length=limits.SESSION_ID_BYTES, max_length=limits.SESSION_ID_BYTES)]
WireVector = Annotated[dict[Origin, Counter], Meta(max_length=limits.VECTOR_ORIGINS_MAX)]
Text = Annotated[str, Meta(max_length=1000)]
Name = Annotated[str, Meta(min_length=1, max_length=limits.REPLICA_NAME_CHARS_MAX)]
RequestId = Annotated[int, Meta(ge=0, le=2**62)]
Sequence = Annotated[int, Meta(ge=0, le=2**62)]
Count = Annotated[int, Meta(ge=0, le=2**62)]


class Message(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Base of all messages. Bulk messages wait for the receiver's credit; the others pass them by."""

    is_bulk: ClassVar[bool] = False


class Start(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One start of a replica. ``id``: 4 bytes ordinal, big-endian, then 4 bytes of chance.

    ``ended`` is the counter that the index had reached when it was opened, ``began`` the one above which it went on.
    """

    id: SessionId
    ended: Count = 0
    began: Count = 0


class VolumeHello(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One volume of the sender: its incarnation, and its last starts, the newest last."""

    volume: VolumeId
    name: Name
    incarnation: Origin
    starts: Annotated[tuple[Start, ...], Meta(max_length=limits.STARTS_MAX)] = ()
    direction: str = "two-way"


class Hello(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag="hello"):
    """Opens a session; the listener answers with its own. Hello and Refuse have the same fields in all versions."""

    version_min: Annotated[int, Meta(ge=1, le=2**31)]
    version_max: Annotated[int, Meta(ge=1, le=2**31)]
    cluster: Annotated[str, Meta(max_length=200)]
    agent: Name
    instance: SessionId
    """Drawn at each start of the process."""
    chunker: Annotated[str, Meta(max_length=64)]
    credit: Annotated[int, Meta(ge=0, le=2**40)]
    volumes: Annotated[tuple[VolumeHello, ...], Meta(max_length=limits.VOLUMES_MAX)]
    is_reply: bool = False


class Refuse(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag="refuse"):
    """Ends a session for a stated cause; the codes are in SPEC.md."""

    code: Annotated[str, Meta(max_length=64)]
    text: Text


class NoSession(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag="no-session"):
    """Answers a message of a session that the sender does not know; the dialler says Hello again."""


class Heartbeat(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag="heartbeat"):
    """A sign of life, where nothing else was sent for a while."""


class Credit(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag="credit"):
    """The receiver may be sent bulk bytes up to this absolute offset of the session."""

    limit: Annotated[int, Meta(ge=0, le=2**62)]


class Relayed(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the sender last heard of another member, and how long ago: directly, or relayed in turn."""

    applied: WireVector
    digest: Annotated[bytes, Meta(min_length=16, max_length=16)]
    is_held: bool
    age_ms: Count


class VolumeState(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag="state"):
    """What the sender knows and has applied: the acknowledgement, the convergence digest, the news of a sequence.

    ``relayed`` tells of other members, by incarnation, so that every member is seen through any connected topology.
    """

    volume: VolumeId
    incarnation: Origin
    sequence: Sequence
    known: WireVector
    applied: WireVector
    digest: Annotated[bytes, Meta(min_length=16, max_length=16)]
    entries: Count
    pending: Count
    collected: WireVector
    is_held: bool = False
    relayed: Annotated[dict[Origin, Relayed], Meta(max_length=limits.MEMBERS_MAX)] = {}
    clock_ms: Count = 0
    """What the sender's clock shows, since 1970; 0: not told."""


class Doubt(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag="doubt"):
    """The receiver is not, or not surely, who it says it is; the codes are in SPEC.md. An empty code: that is over.

    ``starts`` and ``counter`` are what the sender remembers of this incarnation.
    """

    volume: VolumeId
    incarnation: Origin
    code: Annotated[str, Meta(max_length=64)]
    text: Text = ""
    starts: Annotated[tuple[SessionId, ...], Meta(max_length=limits.STARTS_MAX)] = ()
    counter: Count = 0


class Barrier(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag="barrier"):
    """Look at what is dirty, ask your other peers the same while ``hops`` is above 0, and then tell what you know."""

    volume: VolumeId
    id: SessionId
    hops: Annotated[int, Meta(ge=0, le=16)]


class BarrierReply(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag="barrier-reply"):
    """All that was on the disks of the sender, and of those it asked, when the barrier came is covered by ``known``."""

    volume: VolumeId
    id: SessionId
    known: WireVector


class Former(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What stood at a path before the first change that the sender, or one that it asked, has seen since a time.

    ``entry`` None: nothing was known of the path; ``is_sure``: it was seen to be made, not merely learnt of.
    ``is_kept``: the content is at hand.
    """

    path: Annotated[bytes, Meta(min_length=1, max_length=limits.PATH_BYTES_MAX)]
    entry: Entry | None
    is_sure: bool
    is_kept: bool


class Recall(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag="recall"):
    """Ask your other peers the same while ``hops`` is above 0, and tell what stood at paths before they were changed.

    Of interest are changes with a stamp of at least ``since``, at ``path`` and below; empty: everywhere.
    """

    volume: VolumeId
    id: SessionId
    hops: Annotated[int, Meta(ge=0, le=16)]
    since: Stamp
    path: Annotated[bytes, Meta(max_length=limits.PATH_BYTES_MAX)] = b""


class Recalled(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag="recalled"):
    """A part of the answer to ``Recall``: one line for each path, the best of what the sender has and was told."""

    is_bulk: ClassVar[bool] = True

    volume: VolumeId
    id: SessionId
    formers: Annotated[tuple[Former, ...], Meta(max_length=limits.DELTA_ENTRIES_MAX)]
    is_last: bool


class Members(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag="members"):
    """The sender's whole member list of a volume, up to where a person released deletes, and the root's register."""

    volume: VolumeId
    members: Annotated[tuple[Member, ...], Meta(max_length=limits.MEMBERS_MAX)]
    released: WireVector
    root: Metadata


class Pull(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag="pull"):
    """Send me what is above ``known``; ``sequence`` of ``epoch`` is the last of yours that I took whole."""

    volume: VolumeId
    request: RequestId
    known: WireVector
    epoch: Origin
    sequence: Sequence
    is_full: bool = False


class Delta(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag="delta"):
    """A part of one unit of entries: an answer to ``Pull``, or pushed (``request`` 0) to who has all before ``first``.

    The unit covers the sender's sequence numbers above ``first`` up to ``last``; it is taken whole when the part with
    ``is_last`` came, or not at all. ``known``, ``collected`` and ``floor`` are the sender's at the start of the unit.
    The frames hold the contents named by ``inline``.
    """

    is_bulk: ClassVar[bool] = True

    volume: VolumeId
    request: RequestId
    epoch: Origin
    first: Sequence
    last: Sequence
    part: Count
    is_last: bool
    is_full: bool
    known: WireVector
    collected: WireVector
    floor: Stamp
    entries: Annotated[tuple[Entry, ...], Meta(max_length=limits.DELTA_ENTRIES_MAX)]
    inline: Annotated[tuple[Digest, ...], Meta(max_length=limits.FRAMES_MAX)] = ()


class ManifestRequest(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag="manifest-request"):
    """Send me the chunks of this content from number ``first`` on."""

    volume: VolumeId
    request: RequestId
    digest: Digest
    first: Annotated[int, Meta(ge=0, le=limits.CHUNKS_MAX)] = 0


class ManifestData(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag="manifest"):
    """Chunks ``first`` and following of a content that has ``total`` of them; ``total`` 0: not at hand here."""

    is_bulk: ClassVar[bool] = True

    volume: VolumeId
    request: RequestId
    digest: Digest
    first: Annotated[int, Meta(ge=0, le=limits.CHUNKS_MAX)]
    total: Annotated[int, Meta(ge=0, le=limits.CHUNKS_MAX)]
    chunks: Annotated[tuple[Chunk, ...], Meta(max_length=limits.CHUNKS_PER_MESSAGE_MAX)]


class Range(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Bytes of a content: at most RANGE_BYTES_MAX of them."""

    digest: Digest
    offset: Annotated[int, Meta(ge=0, le=limits.FILE_SIZE_MAX)]
    length: Annotated[int, Meta(ge=0, le=limits.RANGE_BYTES_MAX)]


class ChunkRequest(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag="chunk-request"):
    """Send me these ranges: at most REQUEST_BYTES_MAX together."""

    volume: VolumeId
    request: RequestId
    ranges: Annotated[tuple[Range, ...], Meta(max_length=limits.RANGES_MAX)]


class ChunkData(Message, frozen=True, array_like=True, forbid_unknown_fields=True, tag="chunk-data"):
    """Answers a ``ChunkRequest``: one frame per range found, in order; ``found`` tells which."""

    is_bulk: ClassVar[bool] = True

    volume: VolumeId
    request: RequestId
    found: Annotated[tuple[bool, ...], Meta(max_length=limits.RANGES_MAX)]


SessionMessage = Hello | Refuse | NoSession | Heartbeat | Credit
VolumeMessage = (
    VolumeState
    | Members
    | Doubt
    | Barrier
    | BarrierReply
    | Recall
    | Recalled
    | Pull
    | Delta
    | ManifestRequest
    | ManifestData
    | ChunkRequest
    | ChunkData
)
AnyMessage = SessionMessage | VolumeMessage
