"""Run in a copy of the sources: ``python -m exhaustive.hunt OPS`` prints the first history that fails, as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

from exhaustive.run import scopes
from exhaustive.search import first_acts, search
from exhaustive.world import Scope


def ladder(ops: int) -> Iterator[Scope]:
    """Scopes from small to large."""
    yield from scopes(1, 1)
    yield from scopes(3, 0, is_coarse=True)
    yield from scopes(2, 0)
    yield from scopes(2, 1, is_coarse=True)
    if ops > 2:
        yield from scopes(2, 1)
        yield from scopes(3, 1, is_coarse=True)


def first_failure(ops: int) -> str | None:
    """The first history that fails, with what is wrong and in which scope."""
    for scope in ladder(ops):
        for first in first_acts(scope):
            for wrong, trace in search(scope, first).failures:
                return f"{wrong}: {'; '.join(' '.join(step) for step in trace)}"
    return None


if __name__ == "__main__":
    print(json.dumps(first_failure(int(sys.argv[1]))))
