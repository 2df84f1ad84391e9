"""How often each fault, conflict and crash point occurred, and what is to occur at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from simulation.clashes import PAIRS
from simulation.faults import FAULTS
from simulation.kinds import EFFECTS

TIMES_MIN = 50
"""In two thousand seeds or more."""
CONFLICTS = sorted({*("/".join(sorted(pair)) for pair in PAIRS), "below a delete", "below a file", "mixed"})
CRASHES = ("crash", "power cut")


def required() -> list[str]:
    """All that must occur often enough."""
    return [
        *(f"fault: {name}" for name in sorted(FAULTS)),
        *(f"conflict: {name}" for name in CONFLICTS),
        *(f"{crash}: {name}" for crash in CRASHES for name in EFFECTS),
    ]


def too_rare(counts: Counter[str]) -> list[tuple[str, int]]:
    """What of it did not, and how often it did."""
    return [(name, counts[name]) for name in required() if counts[name] < TIMES_MIN]


def table(counts: Counter[str]) -> Iterator[str]:
    """Lines for people: by kind, then by name."""
    names = sorted({*counts, *required()})
    width = max(len(name) for name in names)
    for name in names:
        yield f"{name:{width}} {counts[name]:8}"
