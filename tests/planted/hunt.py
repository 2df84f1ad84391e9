"""Run in a copy of the sources: prints the first schedule that fails there, with its verdict, as JSON.

``python -m planted.hunt SCHEDULE…`` tries these, then all scripts, then the first seeds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

from model.check import Schedule, outcome
from model.scripts import SCRIPTS

SEEDS = 400


def first_failure(schedules: Iterable[Schedule]) -> tuple[Schedule, str] | None:
    """The first schedule with something wrong, and what it is."""
    for schedule in schedules:
        if wrong := outcome(schedule):
            return schedule, wrong
    return None


if __name__ == "__main__":
    print(json.dumps(first_failure([*sys.argv[1:], *SCRIPTS, *range(SEEDS)])))
