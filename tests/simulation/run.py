"""Many seeds: ``python -m simulation.run [COUNT] [--first N] [--processes N] [--hours H]``, in the directory ``tests``.

COUNT 0 goes on until it is stopped. ``--show SEED`` tells all that happens in one. A seed that fails is shrunk to a
few acts, printed as Python for ``simulation/regressions.py``.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from multiprocessing import Pool
from typing import NamedTuple

from simulation.census import table, too_rare
from simulation.history import History
from simulation.play import Run, told
from simulation.schedule import history_of
from simulation.shrink import shrunk

SHOWN_MAX = 20
SHRUNK_MAX = 3
PROGRESS_SECONDS = 30.0
CENSUS_SEEDS = 2000


class Outcome(NamedTuple):
    """What is wrong with a seed, the digest of the whole run, and what occurred in it."""

    seed: int
    wrong: str | None
    digest: str
    counts: Counter[str]


def outcome(seed: int) -> Outcome:
    """Run one seed."""
    logging.getLogger("syncagent").setLevel(logging.CRITICAL)
    run = Run(history_of(seed))
    return Outcome(seed, run.run(), run.world.digest, run.world.counts)


def telling(history: History) -> tuple[str | None, list[str]]:
    """What is wrong with one run, and everything that happened, the engines' logs included."""
    run = Run(history)
    with told(run):
        return run.run(), run.world.log


class _Report:
    """Adds up, and prints what a person wants to see meanwhile."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.failed: list[int] = []
        self.done = 0
        self._begun = self._told = time.monotonic()

    def take(self, outcome: Outcome) -> None:
        self.done += 1
        self.counts.update(outcome.counts)
        if outcome.wrong:
            self.failed.append(outcome.seed)
            print(f"seed {outcome.seed}: {outcome.wrong[:600]}", flush=True)
        if time.monotonic() - self._told > PROGRESS_SECONDS:
            self._told = time.monotonic()
            print(self.line(), flush=True)

    def line(self) -> str:
        return f"{self.done} runs, {len(self.failed)} failed, {time.monotonic() - self._begun:.0f} s"


def main(seeds: Sequence[int] | Iterator[int], processes: int, hours: float | None) -> int:
    """Run them all, or until the time is over; 1 if any fails, or if something that is to occur hardly did."""
    report, end = _Report(), time.monotonic() + hours * 3600 if hours else None
    with Pool(processes) as pool:
        try:
            for done in pool.imap_unordered(outcome, seeds, chunksize=4):
                report.take(done)
                if end is not None and time.monotonic() > end:
                    break
        except KeyboardInterrupt:
            print("stopped")
    print(*table(report.counts), report.line(), sep="\n")
    rare = too_rare(report.counts) if report.done >= CENSUS_SEEDS else []
    for name, times in rare:
        print(f"too rare: {name} occurred {times} times")
    for seed in report.failed[:SHRUNK_MAX]:
        small, wrong = shrunk(history_of(seed))
        print(f"\nseed {seed}, shrunk: {wrong[:600]}\n{small.as_python()}", flush=True)
    if report.failed:
        print(f"failed: {report.failed[:SHOWN_MAX]}; see one whole by --show {report.failed[0]}")
    return 1 if report.failed or rare else 0


def show(seed: int) -> int:
    """Print all that happens in one seed."""
    wrong, log = telling(history_of(seed))
    print(*log, history_of(seed).as_python(), f"seed {seed}: {wrong}", sep="\n")
    return 1 if wrong else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulation.run", description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=CENSUS_SEEDS, help="how many seeds; 0: without end")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--hours", type=float, default=None, help="stop after so long")
    parser.add_argument("--show", type=int, default=None, metavar="SEED", help="tell all that happens in one seed")
    return parser.parse_args()


if __name__ == "__main__":
    given = _arguments()
    if given.show is not None:
        raise SystemExit(show(given.show))
    is_endless = given.count == 0
    wanted = count(given.first) if is_endless else range(given.first, given.first + given.count)
    sys.exit(main(wanted, given.processes, given.hours))
