"""How entries, stats and attributes lie in the columns of the database."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeVar

import msgspec
import xxhash

from syncagent.core.plan import StatKey
from syncagent.core.starts import Remembered
from syncproto.messages import Start
from syncproto.model import Attributes, Entry, Manifest, Member, Path
from syncproto.version import Vector

T = TypeVar("T")

_SEAL_BYTES = 8
_encode = msgspec.msgpack.Encoder().encode


def seal(blob: bytes) -> bytes:
    """The blob with its XXH3-64 behind it: SQLite notices damage of its structure only, not of what is in it."""
    return blob + xxhash.xxh3_64_digest(blob)


def encode(value: object) -> bytes:
    """A value as it lies in a column."""
    return seal(_encode(value))


def _decoder(kind: type[T]) -> Callable[[bytes], T]:
    decode = msgspec.msgpack.Decoder(kind).decode

    def checked(sealed: bytes) -> T:
        blob = sealed[:-_SEAL_BYTES]
        if xxhash.xxh3_64_digest(blob) != sealed[-_SEAL_BYTES:]:
            raise msgspec.DecodeError("a checksum does not fit")
        return decode(blob)

    return checked


decode_entry = _decoder(Entry)
decode_attributes = _decoder(Attributes)
decode_manifest = _decoder(Manifest)
decode_member = _decoder(Member)
decode_vector: Callable[[bytes], Vector] = _decoder(dict[str, int])
decode_starts: Callable[[bytes], tuple[Start, ...]] = _decoder(tuple[Start, ...])
decode_remembered = _decoder(Remembered)

_NS = 10**9
_STAT = struct.Struct("<QqqIqIIII")
"""Times are split, because nanoseconds in 64 bits end in 2262 and file systems go on."""


def pack_stat(stat: StatKey) -> bytes:
    """A stat as 52 bytes, the inode first."""
    mtime, ctime = divmod(stat.mtime_ns, _NS), divmod(stat.ctime_ns, _NS)
    return _STAT.pack(stat.inode, stat.size, *mtime, *ctime, stat.mode, stat.uid, stat.gid)


def unpack_stat(packed: bytes) -> StatKey:
    """The stat that ``pack_stat`` packed."""
    inode, size, mtime, mtime_rest, ctime, ctime_rest, mode, uid, gid = _STAT.unpack(packed)
    return StatKey(inode, size, mtime * _NS + mtime_rest, ctime * _NS + ctime_rest, mode, uid, gid)


def signed(number: int) -> int:
    """A number of 64 bits as SQLite can hold it: inodes and hashes have no sign, numbers there have one."""
    return number - 2**64 if number >= 2**63 else number


def packed_inode(packed: bytes) -> int:
    """The signed inode number of a packed stat."""
    return int.from_bytes(packed[:8], "little", signed=True)


def hashed(path: Path) -> int:
    """A short stand-in for a path: XXH3-64 as a signed number. Different paths may share it."""
    number: int = xxhash.xxh3_64_intdigest(path)
    return signed(number)
