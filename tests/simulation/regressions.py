"""Histories that once failed, each shrunk to the few acts that it takes. ``test_regressions`` plays them all."""

from __future__ import annotations

from simulation.history import Act, History

REGRESSIONS: dict[str, History] = {
    "what is ignored by now is not awaited": History(
        acts=(
            Act(5.9282, "c", "leave", (36.44,)),
            Act(9.3026, "b", "ignore", (b"d/",)),
            Act(14.2782, "c", "write", (b"d/e", 5, 0)),
        ),
        names="abc",
        dials=("ab", "ba", "bc"),
        seed=8,
    ),
    "what is no longer ignored and was never here is no delete": History(
        acts=(
            Act(0.0, "b", "late", (5.0,)),
            Act(0.5, "a", "write", (b"x", 1, 30)),
            Act(2.0, "a", "ignore", (b"x",)),
            Act(3.0, "b", "ignore", (b"x",)),
            Act(10.0, "a", "ignore", ()),
        ),
    ),
    "what was written while it was ignored has not seen what was only relayed": History(
        acts=(
            Act(0.0, "b", "late", (5.0,)),
            Act(0.5, "a", "write", (b"x", 1, 30)),
            Act(2.0, "a", "ignore", (b"x",)),
            Act(3.0, "b", "ignore", (b"x",)),
            Act(7.0, "b", "write", (b"x", 2, 30)),
            Act(10.0, "a", "ignore", ()),
        ),
    ),
}
