"""Digests, content-defined chunks and manifests: from bytes, or from blocks that come one after another.

BLAKE3 is a content's identity; chunks only find what two contents have in common. The boundaries are part of the
protocol (``limits.CHUNKER_ID``): all replicas must cut alike.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate

import blake3
import xxhash
from pyfastcdc import FastCDC

from syncproto import limits
from syncproto.model import Chunk, Manifest

Block = bytes | memoryview
CHUNK_MAX = limits.CHUNK_BYTES_MAX
_ZEROS = bytes(1024 * 1024)


def digest_of(data: Block) -> bytes:
    """The BLAKE3 digest of a whole content."""
    return blake3.blake3(data).digest()


def chunk_id(data: Block) -> bytes:
    """The XXH3-128 of a chunk: finds it again, proves nothing."""
    return xxhash.xxh3_128_digest(data)


@lru_cache(maxsize=1024)
def zero_chunk_id(length: int) -> bytes:
    """The id of a chunk of so many zeros: what a hole reads as."""
    return chunk_id(bytes(length))


def chunk_offsets(manifest: Manifest) -> list[int]:
    """Where each chunk starts, and as the last number where the content ends."""
    return list(accumulate((chunk.length for chunk in manifest.chunks), initial=0))


class Digester:
    """The digest of a content that comes in blocks."""

    def __init__(self) -> None:
        self._digest = blake3.blake3()
        self.size = 0

    def update(self, block: Block) -> None:
        """Add the next bytes."""
        self._digest.update(block)
        self.size += len(block)

    def update_zeros(self, length: int) -> None:
        """Add a run of zeros: a hole, which need not be read."""
        self.size += length
        while length > 0:
            self._digest.update(_ZEROS if length >= len(_ZEROS) else _ZEROS[:length])
            length -= len(_ZEROS)

    def digest(self) -> bytes:
        """The digest of all that came."""
        return self._digest.digest()


class Chunker:
    """The digest and the chunks of a content that comes in blocks. One per content, one thread at a time."""

    def __init__(self) -> None:
        self._digester = Digester()
        self._cutter = FastCDC(
            limits.CHUNK_BYTES_AVERAGE,
            min_size=limits.CHUNK_BYTES_MIN,
            max_size=CHUNK_MAX,
            normalized_chunking=2,
        )
        self._chunks: list[Chunk] = []
        self._rest = b""
        self._is_rest_zero = True

    def update(self, block: Block) -> None:
        """Add the next bytes."""
        self._digester.update(block)
        self._cut(self._rest + block)
        self._is_rest_zero = not self._rest

    def update_zeros(self, length: int) -> None:
        """Add a run of zeros: beyond its first chunk it is neither read nor cut."""
        self._digester.update_zeros(length)
        if not self._is_rest_zero:
            # A chunk is never longer than CHUNK_MAX, so after as many zeros all that is left over is zero.
            aligning = min(length, CHUNK_MAX)
            self._cut(self._rest + _ZEROS[:aligning])
            self._is_rest_zero = aligning == CHUNK_MAX or not self._rest
            length -= aligning
        if length:
            count, rest = divmod(len(self._rest) + length, CHUNK_MAX)
            self._chunks.extend([Chunk(zero_chunk_id(CHUNK_MAX), CHUNK_MAX)] * count)
            self._rest = _ZEROS[:rest]

    def finish(self) -> tuple[bytes, Manifest | None]:
        """The digest, and the manifest of a content that is longer than one chunk."""
        digest, size = self._digester.digest(), self._digester.size
        if size <= CHUNK_MAX:
            return digest, None
        for piece in self._cutter.cut_buf(self._rest):
            self._chunks.append(Chunk(chunk_id(piece.data), piece.length))
        self._rest = b""
        return digest, Manifest(digest, size, tuple(self._chunks))

    def _cut(self, data: bytes) -> None:
        """Cut what is certain: a chunk is, once so many bytes are in sight that its end cannot lie beyond them."""
        start = 0
        if len(data) >= CHUNK_MAX:
            for piece in self._cutter.cut_buf(data):
                if len(data) - piece.offset < CHUNK_MAX:
                    break
                self._chunks.append(Chunk(chunk_id(piece.data), piece.length))
                start = piece.offset + piece.length
        self._rest = data[start:]


def describe(data: bytes) -> tuple[bytes, Manifest | None]:
    """The digest of a whole content, and its manifest if it is longer than one chunk."""
    if len(data) <= CHUNK_MAX:
        return digest_of(data), None
    chunker = Chunker()
    chunker.update(data)
    return chunker.finish()
