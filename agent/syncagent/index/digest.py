"""The convergence digest: equal on two replicas that hold the same live entries.

Each live entry adds its *mark*, XXH3-128 of the msgpack array [path, content dot, metadata dot]; the digest is the sum
modulo 2**128. So it follows each change without a look at the others, and does not depend on an order.
"""

from __future__ import annotations

import msgspec
import xxhash

from syncproto.model import Entry

DIGEST_BYTES = 16
MODULUS = 2**128

_encode = msgspec.msgpack.Encoder().encode


def mark(entry: Entry) -> bytes:
    """What one live entry adds to the digest, as a big-endian number of 16 bytes."""
    metadata = entry.metadata
    return xxhash.xxh3_128_digest(
        _encode((entry.path, entry.origin, entry.counter, metadata.origin, metadata.counter)),
    )


def as_number(digest: bytes) -> int:
    """A mark or digest as the number that is summed."""
    return int.from_bytes(digest, "big")


def as_bytes(number: int) -> bytes:
    """A sum of marks as a digest."""
    return (number % MODULUS).to_bytes(DIGEST_BYTES, "big")
