"""What replicas tell each other about paths: entries with their two registers, and manifests.

Content and metadata of a path are two registers, each with its own dot and stamp, so that a ``chmod`` here and an edit
there both take effect. Everything is immutable; times are nanoseconds since the epoch, sizes are bytes.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

import blake3
import msgspec
from msgspec import Meta, Struct, structs

from syncproto import limits
from syncproto.version import Dot, Version, covers, join

Path = bytes
"""Relative to the volume's root, components joined by '/', any bytes but NUL. The root itself is not an entry."""

Origin = Annotated[str, Meta(max_length=limits.ORIGIN_CHARS_MAX)]
Counter = Annotated[int, Meta(ge=0, le=limits.COUNTER_MAX)]
Stamp = Annotated[int, Meta(ge=0, le=limits.STAMP_MAX)]
WireDot = tuple[Origin, Counter]
WireVersion = Annotated[tuple[WireDot, ...], Meta(max_length=limits.VECTOR_ORIGINS_MAX)]


class Kind(IntEnum):
    """What a path is. A deletion is an entry of kind TOMBSTONE, never a missing entry."""

    TOMBSTONE = 0
    FILE = 1
    DIRECTORY = 2
    SYMLINK = 3


class Attributes(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The metadata of one path. ``mode`` has permission bits only (0o777)."""

    mode: Annotated[int, Meta(ge=0, le=0o777)]
    uid: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0
    gid: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0
    xattrs: Annotated[
        tuple[tuple[Annotated[bytes, Meta(max_length=limits.NAME_BYTES_MAX)], bytes], ...],
        Meta(max_length=limits.XATTRS_MAX),
    ] = ()
    mtime_ns: int | None = None
    """Set by a bare ``touch``; else the modification time belongs to the content."""


class Metadata(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The metadata register of a path: the largest rank wins, whatever becomes of the content.

    Minted again it gets a new dot, so that it travels, and keeps its author's rank among all others.
    ``value`` is None for a directory that is merely implied: a placeholder, which ranks below any real value.
    """

    value: Attributes | None = None
    stamp: Stamp = 0
    origin: Origin = ""
    counter: Counter = 0
    author: WireDot = ("", 0)
    again: Counter = 0

    @property
    def dot(self) -> Dot:
        return self.origin, self.counter

    @property
    def rank(self) -> tuple[bool, int, Dot, int, Dot]:
        return self.value is not None, self.stamp, self.author, self.again, (self.origin, self.counter)


PLACEHOLDER = Metadata()


class Entry(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a replica knows of one path. (origin, counter) is the dot of its content, unique for ever.

    ``content`` is the BLAKE3 digest of a file, the target of a symlink, None for a directory; a tombstone's is what it
    deleted, so that a rename's deletion can wait for its creation. ``carried`` is what the entry speaks for beyond its
    path: the history of the file that was moved or copied here. ``is_copy``: this name has held the conflict copy that
    it is named after. ``mtime_ns`` is the modification time that came with the content.
    """

    path: Annotated[bytes, Meta(min_length=1, max_length=limits.PATH_BYTES_MAX)]
    kind: Kind
    content: Annotated[bytes, Meta(max_length=limits.TARGET_BYTES_MAX)] | None
    origin: Origin
    counter: Counter
    version: WireVersion
    stamp: Stamp
    metadata: Metadata = PLACEHOLDER
    carried: WireVersion = ()
    is_copy: bool = False
    size: Annotated[int, Meta(ge=0, le=limits.FILE_SIZE_MAX)] = 0
    mtime_ns: int = 0
    sparse: bool = False

    @property
    def dot(self) -> Dot:
        return self.origin, self.counter

    @property
    def rank(self) -> tuple[int, str, int]:
        """Total order, and an extension of causality: a successor's stamp is always larger."""
        return self.stamp, self.origin, self.counter

    @property
    def is_live(self) -> bool:
        return self.kind != Kind.TOMBSTONE

    @property
    def is_leaf(self) -> bool:
        """A file or a symlink: what is kept as a conflict copy, and what may not have children."""
        return self.kind == Kind.FILE or self.kind == Kind.SYMLINK

    @property
    def speaks_for(self) -> Version:
        return join(self.version, self.carried, [self.metadata.dot])

    @property
    def effective_mtime_ns(self) -> int:
        """The later of the content's own time and that of a ``touch``, by stamp."""
        value = self.metadata.value
        if value is not None and value.mtime_ns is not None and self.metadata.stamp >= self.stamp:
            return value.mtime_ns
        return self.mtime_ns

    def has_seen(self, other: Entry) -> bool:
        counter = other.counter
        return any(origin == other.origin and seen >= counter for origin, seen in self.version)

    def same_payload(self, other: Entry) -> bool:
        return self.kind == other.kind and (self.content == other.content or not self.is_live)

    def with_metadata(self, metadata: Metadata) -> Entry:
        """The same entry with the better of the two metadata registers."""
        return self if self.metadata.rank >= metadata.rank else structs.replace(self, metadata=metadata)

    def joined_with(self, other: Entry) -> Entry:
        """The same entry, which has also seen what ``other`` has: only where the payloads are equal."""
        return structs.replace(
            self,
            version=join(self.version, other.version),
            carried=join(self.carried, other.carried),
            is_copy=self.is_copy or other.is_copy,
        )


class Chunk(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A content-defined piece of a file: XXH3-128 of its bytes, and its length."""

    id: Annotated[bytes, Meta(min_length=limits.CHUNK_ID_BYTES, max_length=limits.CHUNK_ID_BYTES)]
    length: Annotated[int, Meta(gt=0, le=limits.CHUNK_BYTES_MAX)]


class Manifest(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The chunks of one content, in order. A file of at most one chunk needs none: its digest says it all."""

    digest: Annotated[bytes, Meta(min_length=limits.DIGEST_BYTES, max_length=limits.DIGEST_BYTES)]
    size: Annotated[int, Meta(ge=0, le=limits.FILE_SIZE_MAX)]
    chunks: tuple[Chunk, ...]


class Member(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One line of a volume's replicated member list. The largest (stamp, is_gone) wins."""

    incarnation: Annotated[str, Meta(min_length=1, max_length=limits.ORIGIN_CHARS_MAX)]
    name: Annotated[str, Meta(min_length=1, max_length=limits.REPLICA_NAME_CHARS_MAX)]
    direction: str = "two-way"
    since_ns: int = 0
    stamp: Stamp = 0
    is_gone: bool = False

    @property
    def rank(self) -> tuple[int, bool]:
        return self.stamp, self.is_gone


def volume_id(cluster: str, volume: str) -> bytes:
    """16 bytes that two fresh agents agree on without talking."""
    digest = blake3.blake3(derive_key_context="syncagent 2026 volume id")
    digest.update(msgspec.msgpack.encode((cluster, volume)))
    return digest.digest(length=16)


def is_news(entry: Entry, known: dict[str, int]) -> bool:
    """Not the dot alone: what was joined to an entry must reach those who know it without."""
    return not all(covers(known, dot) for dot in entry.version)
