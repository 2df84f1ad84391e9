"""How entries, stats and attributes lie in the columns of the database."""

from __future__ import annotations

import struct

import msgspec
import xxhash

from syncagent.core.plan import StatKey
from syncagent.core.starts import Remembered
from syncproto.messages import Start
from syncproto.model import Attributes, Entry, Manifest, Member, Path
from syncproto.version import Vector

encode = msgspec.msgpack.Encoder().encode
decode_entry = msgspec.msgpack.Decoder(Entry).decode
decode_attributes = msgspec.msgpack.Decoder(Attributes).decode
decode_manifest = msgspec.msgpack.Decoder(Manifest).decode
decode_member = msgspec.msgpack.Decoder(Member).decode
decode_vector = msgspec.msgpack.Decoder(Vector).decode
decode_starts = msgspec.msgpack.Decoder(tuple[Start, ...]).decode
decode_remembered = msgspec.msgpack.Decoder(Remembered).decode

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
