"""How often each fault, conflict and crash point occurred, and what is to occur at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from simulation.faults import FAULTS

TIMES_MIN = 50
"""In two thousand seeds or more."""
CONFLICTS = [
    "below a delete",
    "below a file",
    "edit/edit",
    "create/create",
    "delete/edit",
    "create/mkdir",
    "chmod/edit",
    "chown/edit",
    "chmod/delete",
    "edit/touch",
    "edit/rename away",
    "delete/rename away",
    "change type/edit",
    "change type/delete",
    "delete/delete",
    "mkdir/mkdir",
]


def required() -> list[str]:
    """All that must occur often enough."""
    return [*(f"fault: {name}" for name in sorted(FAULTS)), *(f"conflict: {name}" for name in CONFLICTS)]


def too_rare(counts: Counter[str]) -> list[tuple[str, int]]:
    """What of it did not, and how often it did."""
    return [(name, counts[name]) for name in required() if counts[name] < TIMES_MIN]


def table(counts: Counter[str]) -> Iterator[str]:
    """Lines for people: by kind, then by name."""
    names = sorted({*counts, *required()})
    width = max(len(name) for name in names)
    for name in names:
        yield f"{name:{width}} {counts[name]:8}"
