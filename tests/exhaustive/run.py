"""All states of a scope, on two processes: ``python -m exhaustive.run [OPS] [FAULTS] [coarse]``, in ``tests``.

``coarse``: contents arrive with the pull unless an accident prevents it, and users only write, delete and rename.
"""

from __future__ import annotations

import sys
import time
from multiprocessing import Pool

from exhaustive.search import Result, first_acts, search
from exhaustive.world import Scope, Step

PATHS = ("x", "y"), ("d", "d/x")


def scopes(ops: int, faults: int, is_coarse: bool = False) -> list[Scope]:
    """Siblings and one below the other, with equal clocks and with one far behind."""
    return [Scope(paths, ops, faults, is_slow, is_coarse) for paths in PATHS for is_slow in (False, True)]


def part(work: tuple[Scope, Step]) -> Result:
    """What begins with one act."""
    return search(*work)


def total(parts: list[tuple[Scope, Step]], processes: int = 2) -> Result:
    """All parts together."""
    whole = Result()
    with Pool(processes) as pool:
        for found in pool.imap_unordered(part, parts, chunksize=1):
            whole.states += found.states
            whole.steps += found.steps
            whole.judged += found.judged
            whole.failures += found.failures
    return whole


def describe(scope: Scope) -> str:
    """The scope in words."""
    how = ("coarse, " if scope.is_coarse else "") + ("one clock slow, " if scope.is_slow else "")
    return f"{how}paths {' '.join(scope.paths)}, {scope.ops} acts, {scope.faults} accidents"


def main(ops: int = 3, faults: int = 1, is_coarse: bool = False) -> int:
    """Print what was seen, and the shortest histories that fail; 1 if there is one."""
    failures = []
    for scope in scopes(ops, faults, is_coarse):
        begun = time.monotonic()
        found = total([(scope, first) for first in first_acts(scope)])
        took = time.monotonic() - begun
        print(f"{describe(scope)}: {found.states} states, {found.steps} steps, ", end="")
        print(f"{found.judged} ends judged, {len(found.failures)} failed ({took:.0f} s)", flush=True)
        failures += found.failures
    for wrong, trace in sorted(failures, key=lambda failure: len(failure[1]))[:5]:
        print(f"{wrong}: " + "; ".join(" ".join(step) for step in trace))
    return 1 if failures else 0


if __name__ == "__main__":
    words = sys.argv[1:]
    ops, faults, *_ = [int(word) for word in words if word.isdigit()] + [3, 1][len(words) - ("coarse" in words) :]
    raise SystemExit(main(ops, faults, "coarse" in words))
