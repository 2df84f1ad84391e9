"""The byte ranges that are asked for."""

from __future__ import annotations

import pytest

from syncagent.engine.wants import ranges_of
from syncproto import limits
from syncproto.model import Chunk, Manifest

DIGEST = b"d" * 32


def manifest(*lengths: int) -> Manifest:
    return Manifest(DIGEST, sum(lengths), tuple(Chunk(b"%016d" % n, length) for n, length in enumerate(lengths)))


@pytest.mark.parametrize(
    ("numbers", "ranges"),
    [
        ([], []),
        ([0], [(0, 10)]),
        ([1], [(10, 20)]),
        ([3], [(60, 40)]),
        ([0, 1], [(0, 30)]),
        ([0, 2], [(0, 10), (30, 30)]),
        ([3, 1, 2], [(10, 90)]),
    ],
)
def test_each_chunk_is_asked_for_at_its_place(numbers: list[int], ranges: list[tuple[int, int]]) -> None:
    assert [(r.offset, r.length) for r in ranges_of(manifest(10, 20, 30, 40), numbers)] == ranges


def test_no_range_is_longer_than_may_be_asked_for() -> None:
    big = limits.RANGE_BYTES_MAX // 2
    ranges = ranges_of(manifest(big, big, big), [0, 1, 2])
    assert [(r.offset, r.length) for r in ranges] == [(0, 2 * big), (2 * big, big)]
