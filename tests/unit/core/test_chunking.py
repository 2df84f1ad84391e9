"""Chunk boundaries are part of the protocol: fixed bytes must be cut at fixed places, in whatever blocks they come."""

from __future__ import annotations

import blake3
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st
from pyfastcdc.py import FastCDC as PlainFastCDC

from syncagent.core.chunking import (
    CHUNK_MAX,
    Chunker,
    Digester,
    chunk_id,
    chunk_offsets,
    describe,
    digest_of,
    zero_chunk_id,
)
from syncproto import limits
from syncproto.model import Manifest

# fmt: off
GOLDEN_LENGTHS = (
    71791, 81519, 67675, 96818, 166418, 48838, 90918, 73387, 75318, 43059, 74766, 68935, 51041, 38093,
)
# fmt: on
KIB = 1024


def generated(size: int, seed: bytes = b"golden") -> bytes:
    """Bytes that are the same everywhere and for ever."""
    return blake3.blake3(seed).digest(length=size)


def lengths(manifest: Manifest | None) -> tuple[int, ...]:
    assert manifest is not None
    return tuple(chunk.length for chunk in manifest.chunks)


def fed(data: bytes, block_size: int) -> tuple[bytes, Manifest | None]:
    chunker = Chunker()
    for start in range(0, len(data), block_size):
        chunker.update(memoryview(data)[start : start + block_size])
    return chunker.finish()


def test_golden_boundaries() -> None:
    assert limits.CHUNKER_ID == "fastcdc-16-64-256-nc2"
    _, manifest = describe(generated(1024 * KIB))
    assert lengths(manifest) == GOLDEN_LENGTHS


def test_golden_digest_and_ids() -> None:
    data = generated(1024 * KIB)
    digest, manifest = describe(data)
    assert digest == blake3.blake3(data).digest()
    assert manifest is not None and manifest.digest == digest and manifest.size == len(data)
    offsets = chunk_offsets(manifest)
    assert offsets[0] == 0 and offsets[-1] == len(data)
    for chunk, start in zip(manifest.chunks, offsets, strict=False):
        assert chunk.id == xxhash.xxh3_128(data[start : start + chunk.length]).digest()


def test_boundaries_are_those_of_the_plain_implementation() -> None:
    data = generated(600 * KIB, b"plain") + bytes(300 * KIB)
    plain = PlainFastCDC(65536, min_size=16384, max_size=262144, normalized_chunking=2)
    assert lengths(describe(data)[1]) == tuple(piece.length for piece in plain.cut_buf(data))


@pytest.mark.parametrize("size", [0, 1, 16 * KIB, CHUNK_MAX - 1, CHUNK_MAX])
def test_a_content_of_at_most_one_chunk_has_no_manifest(size: int) -> None:
    data = generated(size) if size else b""
    assert describe(data) == (digest_of(data), None)
    assert fed(data, 100 * KIB) == (digest_of(data), None)


def test_one_byte_more_than_a_chunk_has_a_manifest() -> None:
    manifest = describe(generated(CHUNK_MAX + 1))[1]
    assert manifest is not None and sum(lengths(manifest)) == CHUNK_MAX + 1


@pytest.mark.parametrize("block_size", [7 * KIB + 3, 64 * KIB, CHUNK_MAX, CHUNK_MAX + 1, 1024 * KIB])
def test_blocks_of_any_size_give_the_same(block_size: int) -> None:
    data = generated(1500 * KIB) + bytes(700 * KIB) + generated(300 * KIB, b"tail")
    assert fed(data, block_size) == describe(data)


def test_an_insertion_moves_few_chunks() -> None:
    data = generated(2048 * KIB)
    before, after = describe(data)[1], describe(data[:1000] + b"inserted" + data[1000:])[1]
    assert before is not None and after is not None
    known = {chunk.id for chunk in before.chunks}
    assert sum(chunk.id not in known for chunk in after.chunks) <= 2


def test_zeros_are_cut_into_chunks_of_the_largest_size() -> None:
    manifest = describe(bytes(3 * CHUNK_MAX + 5))[1]
    assert lengths(manifest) == (CHUNK_MAX, CHUNK_MAX, CHUNK_MAX, 5)
    assert manifest is not None and manifest.chunks[0].id == zero_chunk_id(CHUNK_MAX) == chunk_id(bytes(CHUNK_MAX))


piece = st.tuples(st.booleans(), st.integers(0, 700 * KIB))


@settings(max_examples=60, deadline=None)
@given(st.lists(piece, max_size=5), st.integers(0, 3))
def test_runs_of_zeros_give_the_same_as_zeros_that_were_read(pieces: list[tuple[bool, int]], seed: int) -> None:
    holes, chunker, digester = bytearray(), Chunker(), Digester()
    for is_hole, size in pieces:
        if is_hole:
            chunker.update_zeros(size)
            digester.update_zeros(size)
            holes += bytes(size)
        elif size:
            data = generated(size, b"%d" % seed)
            chunker.update(data)
            digester.update(data)
            holes += data
    expected = describe(bytes(holes))
    assert chunker.finish() == expected
    assert (digester.digest(), digester.size) == (expected[0], len(holes))
