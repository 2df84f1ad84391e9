"""Seeded runs of whole engines. ``python -m simulation.run`` runs many more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulation.run import outcome

SEEDS = range(150)
BATCH = 15
REPEATED = [10, 59, 147]


@pytest.mark.parametrize("first", SEEDS[::BATCH])
def test_whole_engines_end_well(first: int) -> None:
    outcomes = [outcome(seed) for seed in range(first, min(first + BATCH, SEEDS.stop))]
    assert {seed: wrong for seed, wrong, _ in outcomes if wrong} == {}


@pytest.mark.parametrize("seed", REPEATED)
def test_a_seed_is_the_same_run_each_time(seed: int) -> None:
    first = outcome(seed)
    assert outcome(seed) == first
    assert _in_another_process(seed) == first[2]


def _in_another_process(seed: int) -> str:
    """The digest of a seed in a process where sets have another order."""
    program = f"from simulation.run import outcome; print(outcome({seed})[2])"
    environment = os.environ | {"PYTHONHASHSEED": "4711", "PYTHONPATH": str(Path(__file__).parent.parent)}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, check=True, text=True
    )
    return result.stdout.strip()
