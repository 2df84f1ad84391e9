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
    "what could not be read and is ignored by now is no problem": History(
        acts=(
            Act(0.5, "a", "write", (b"d/e/z", 3, 0)),
            Act(0.5, "a", "write", (b"d/x", 2, 0)),
            Act(2.0029, "b", "append", (b"d/x", 5)),
            Act(2.0205, "a", "rename", (b"d/x", b"d/e/z")),
            Act(2.05, "b", "write", (b"d/x", 8, 20000)),
            Act(2.0552, "a", "ignore", (b"d/*", b"!d/x")),
            Act(2.0894, "a", "unmount", (2.12,)),
        ),
        dials=("ab",),
        seed=2,
        pace=0.05,
    ),
    "a delete that is reverted and of which nobody has the content is made after all": History(
        acts=(
            Act(2.1036, "b", "half open", ("a",)),
            Act(7.3887, "b", "ignore", (b"d/",)),
            Act(10.1064, "b", "write the same", (b"d", 1)),
            Act(17.0956, "b", "delete all", (100,)),
            Act(21.7158, "b", "revert", ()),
        ),
        seed=72,
        brake=(2, 10),
    ),
    "a line of the rules that is no pattern ends no agent": History(
        acts=(Act(0.5, "a", "ignore", (b"[z-a]", b"x[")),),
    ),
    "a conflict copy is made although its own name is ignored": History(
        acts=(
            Act(0.6109, "b", "ignore", (b"d/*", b"!d/x")),
            Act(0.7588, "b", "write", (b"d/x", 5, 0)),
            Act(0.7588, "c", "symlink", (b"d/x", 4)),
        ),
        names="bc",
        dials=("bc",),
        seed=5436,
    ),
    "a directory that is ignored as a directory is only relayed, to where there is one too": History(
        acts=(
            Act(9.4951, "b", "go away", (28.46,)),
            Act(14.8082, "b", "ignore", (b"d/",)),
            Act(23.5534, "a", "mkdir", (b"d/e",)),
            Act(23.5534, "b", "write the same", (b"d/e", 1)),
        ),
        dials=("ab", "ba"),
        seed=5054,
    ),
    "an ignored directory and a file in it, on both": History(
        acts=(
            Act(2.3894, "a", "ignore", (b"d/",)),
            Act(2.5214, "a", "mkdir", (b"d/e",)),
            Act(2.5214, "b", "write", (b"d/e", 12, 0)),
            Act(2.6003, "b", "symlink", (b"d/e", 13)),
            Act(2.6012, "b", "write", (b"~0", 14, 400000)),
        ),
        seed=1,
        latency=0.0005,
        hint_loss=0.2,
    ),
    "rules that a peer has deleted are in force no longer": History(
        acts=(
            Act(2.3894, "a", "ignore", (b"d/",)),
            Act(2.5075, "b", "delete all", (60,)),
            Act(2.6003, "b", "symlink", (b"d/e", 13)),
        ),
        seed=5575,
    ),
    "a revert answers peers although the same was deleted here": History(
        acts=(
            Act(0.5, "b", "write", (b"w", 1, 9)),
            Act(0.5, "b", "write", (b"x", 2, 9)),
            Act(0.5, "b", "write", (b"y", 3, 9)),
            Act(0.5, "b", "write", (b"z", 4, 9)),
            Act(2.0, "c", "delete", (b"z",)),
            Act(3.0, "b", "delete", (b"x",)),
            Act(3.0, "b", "delete", (b"y",)),
            Act(4.0, "a", "delete all", (100,)),
            Act(5.0, "a", "revert"),
        ),
        names="abc",
        dials=("ba", "ca", "cb"),
        brake=(2, 10),
    ),
    "what was deleted before anybody had it gives way to what is there by now": History(
        acts=(
            Act(0.5, "d", "write", (b"d/y", 4, 400000)),
            Act(2.0038, "d", "delete all", (100,)),
            Act(2.024, "c", "replace", ()),
            Act(2.0593, "c", "symlink", (b"d/y", 19)),
            Act(3.5138, "d", "revert", ()),
        ),
        names="cd",
        dials=("cd",),
        seed=5099,
        brake=(2, 10),
    ),
    "two that forgot that they knew a version do not tell it each other for ever": History(
        acts=(
            Act(30.3259, "b", "write", (b"y.txt", 15, 20000)),
            Act(31.6641, "b", "old volume", ("volume", 6.64)),
            Act(38.3229, "a", "lose index", ()),
        ),
        seed=773,
    ),
    "what is ignored and in the way of a file stays until somebody moves it": History(
        acts=(
            Act(0.5, "b", "write", (b"d/e/z", 2, 30)),
            Act(0.8182, "b", "change type", (b"d", 15, 0)),
            Act(0.8939, "b", "ignore", (b"d/*", b"!d/x")),
        ),
        seed=2,
        pace=0.05,
    ),
}
