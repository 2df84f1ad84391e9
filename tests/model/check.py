"""Long runs of the random schedules: ``python -m model.check COUNT [FIRST]``, in the directory ``tests``.

Runs that many seeds, each plainly and with symlinks and touches, and all scripts, on two processes; prints what fails.
"""

from __future__ import annotations

import sys
from multiprocessing import Pool

from model.schedules import RandomSchedule
from model.scripts import SCRIPTS, Script
from syncagent.core.reconcile import Reconciler

Schedule = str | int
"""A script by its name, a seed as "17 links", or a plain seed."""


def outcome(schedule: Schedule, reconciler: type[Reconciler] = Reconciler) -> str | None:
    """What is wrong with one schedule, or None."""
    return history(schedule, reconciler).run()


def history(schedule: Schedule, reconciler: type[Reconciler] = Reconciler) -> RandomSchedule | Script:
    """The schedule, not yet run."""
    if isinstance(schedule, int):
        return RandomSchedule(schedule, reconciler=reconciler)
    if schedule in SCRIPTS:
        return Script(SCRIPTS[schedule], reconciler)
    return RandomSchedule(int(schedule.removesuffix(" links")), has_links=True, reconciler=reconciler)


def main(count: int, first: int = 0) -> int:
    """Print every schedule that fails; 1 if any does."""
    seeds = range(first, first + count)
    schedules: list[Schedule] = [*SCRIPTS, *seeds, *(f"{seed} links" for seed in seeds)]
    with Pool(2) as pool:
        verdicts = zip(schedules, pool.imap(outcome, schedules, chunksize=100), strict=True)
        failures = [f"{schedule}: {wrong}" for schedule, wrong in verdicts if wrong]
    print(f"{len(schedules)} schedules, {len(failures)} failed", *failures[:20], sep="\n")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])))
