"""Dots, version vectors and summary vectors.

A *dot* (origin, counter) names one change for ever; the origin is the incarnation of the replica that made it. A
*version* is the canonical (sorted) tuple of the highest dot per origin that an entry has seen. A *vector* is the same
as a dict, for what a whole replica knows or has applied.
"""

from __future__ import annotations

from collections.abc import Iterable

Dot = tuple[str, int]
Version = tuple[Dot, ...]
Vector = dict[str, int]

NO_DOT: Dot = ("", 0)


def covers(vector: Vector, dot: Dot) -> bool:
    """Whether ``dot`` is at or below the vector."""
    return vector.get(dot[0], 0) >= dot[1]


def covers_all(vector: Vector, dots: Iterable[Dot]) -> bool:
    """Whether every dot is at or below the vector."""
    return all(vector.get(origin, 0) >= counter for origin, counter in dots)


def join(*versions: Iterable[Dot]) -> Version:
    """The least version that is at or above all given ones, in canonical order."""
    if len(versions) == 1 and isinstance(versions[0], tuple) and len(versions[0]) < 2:
        return versions[0]
    joined: Vector = {}
    for version in versions:
        for origin, counter in version:
            if joined.get(origin, 0) < counter:
                joined[origin] = counter
    return tuple(sorted(joined.items()))


def merge(left: Vector, right: Vector) -> Vector:
    """The pointwise maximum of two vectors, as a new dict."""
    merged = dict(left)
    for origin, counter in right.items():
        if merged.get(origin, 0) < counter:
            merged[origin] = counter
    return merged
