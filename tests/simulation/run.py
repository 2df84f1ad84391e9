"""Many seeds: ``python -m simulation.run COUNT [FIRST]``, in the directory ``tests``; ``... show SEED`` for one."""

from __future__ import annotations

import logging
import sys
import time
from multiprocessing import Pool

from simulation.schedule import Run, told

SHOWN_MAX = 20


def outcome(seed: int) -> tuple[int, str | None, str]:
    """One seed: what is wrong, and the digest of the whole run."""
    logging.getLogger("syncagent").setLevel(logging.CRITICAL)
    run = Run(seed)
    return seed, run.run(), run.world.digest


def history(seed: int) -> tuple[str | None, list[str]]:
    """One seed with everything that happened, the engines' logs included."""
    run = Run(seed)
    with told(run):
        return run.run(), run.world.log


def main(count: int, first: int = 0, processes: int = 1) -> int:
    """Print every seed that fails, with its history; 1 if any does."""
    begun, failed = time.monotonic(), []
    with Pool(processes) as pool:
        for done, (seed, wrong, _) in enumerate(pool.imap(outcome, range(first, first + count)), 1):
            if wrong:
                failed.append(seed)
                print(f"seed {seed}: {wrong[:600]}", flush=True)
            if done % 50 == 0:
                print(f"{done} of {count}, {len(failed)} failed, {time.monotonic() - begun:.0f} s", flush=True)
    print(f"{count} runs, {len(failed)} failed: {failed[:SHOWN_MAX]}")
    for seed in failed[:1]:
        wrong, log = history(seed)
        print(*log, f"seed {seed}: {wrong}", sep="\n")
    return 1 if failed else 0


def show(seed: int) -> int:
    """Print the history of one seed."""
    wrong, log = history(seed)
    print(*log, f"seed {seed}: {wrong}", sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    if sys.argv[1] == "show":
        raise SystemExit(show(int(sys.argv[2])))
    raise SystemExit(main(*map(int, sys.argv[1:])))
