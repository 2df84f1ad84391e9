"""How entries, stats and attributes lie in the columns of the database."""

from __future__ import annotations

import struct

import msgspec

from syncagent.core.plan import StatKey
from syncproto.model import Attributes, Entry, Manifest, Member
from syncproto.version import Vector

encode = msgspec.msgpack.Encoder().encode
decode_entry = msgspec.msgpack.Decoder(Entry).decode
decode_attributes = msgspec.msgpack.Decoder(Attributes).decode
decode_manifest = msgspec.msgpack.Decoder(Manifest).decode
decode_member = msgspec.msgpack.Decoder(Member).decode
decode_vector = msgspec.msgpack.Decoder(Vector).decode
decode_starts = msgspec.msgpack.Decoder(tuple[bytes, ...]).decode

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


def signed_inode(inode: int) -> int:
    """An inode number as SQLite can hold it: numbers have 64 bits without a sign on disk, with one there."""
    return inode - 2**64 if inode >= 2**63 else inode


def packed_inode(packed: bytes) -> int:
    """The signed inode number of a packed stat."""
    return int.from_bytes(packed[:8], "little", signed=True)
