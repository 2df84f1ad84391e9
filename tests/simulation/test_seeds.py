"""Seeded runs of whole engines. ``python -m simulation.run`` runs many more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulation.run import outcome
from simulation.schedule import history_of

SEEDS = range(150)
BATCH = 15
REPEATED = [10, 59, 101, 147]


@pytest.mark.parametrize("first", SEEDS[::BATCH])
def test_whole_engines_end_well(first: int) -> None:
    outcomes = [outcome(seed) for seed in range(first, min(first + BATCH, SEEDS.stop))]
    assert {each.seed: each.wrong for each in outcomes if each.wrong} == {}


@pytest.mark.parametrize("seed", REPEATED)
def test_a_seed_is_the_same_run_each_time(seed: int) -> None:
    first = outcome(seed)
    assert outcome(seed) == first
    assert _in_another_process(seed) == first.digest


def test_what_is_printed_is_the_history_itself() -> None:
    history = history_of(101)
    names: dict[str, object] = {}
    program = f"from simulation.history import Act, History\nhistory = {history.as_python()}"
    exec(program, names)
    assert names["history"] == history


def _in_another_process(seed: int) -> str:
    """The digest of a seed in a process where sets have another order."""
    program = f"from simulation.run import outcome; print(outcome({seed}).digest)"
    environment = os.environ | {"PYTHONHASHSEED": "4711", "PYTHONPATH": os.pathsep.join([_TESTS, *sys.path])}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, check=True, text=True
    )
    return result.stdout.strip()


_TESTS = str(Path(__file__).parent.parent)
