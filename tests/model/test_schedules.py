"""Random and directed schedules on the core. ``python -m model.check`` runs many more."""

from __future__ import annotations

import pytest

from model.check import Schedule, history, outcome
from model.replica import OverlaidReconciler, Replica
from model.scripts import SCRIPTS

BATCH = 100
ONCE_FAILED: list[Schedule] = [15219]
"""Found by long runs, and put right."""


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_ends_as_expected(script: str) -> None:
    assert outcome(script) is None


@pytest.mark.parametrize("first", range(0, 1500, BATCH))
def test_random_schedules_end_well(first: int) -> None:
    assert _failures([*range(first, first + BATCH)]) == {}


@pytest.mark.parametrize("first", range(0, 500, BATCH))
def test_random_schedules_with_symlinks_and_touches_end_well(first: int) -> None:
    assert _failures([f"{seed} links" for seed in range(first, first + BATCH)]) == {}


def test_schedules_that_failed_once_end_well() -> None:
    assert _failures(ONCE_FAILED) == {}


@pytest.mark.parametrize("first", range(0, 500, BATCH))
def test_an_overlay_makes_no_difference(first: int) -> None:
    for schedule in [*SCRIPTS, *range(first, first + BATCH), *(f"{seed} links" for seed in range(first, first + 20))]:
        direct, overlaid = history(schedule), history(schedule, OverlaidReconciler)
        assert (direct.run(), overlaid.run()) == (None, None)
        assert direct.log == overlaid.log
        assert [_everything(r) for r in direct.replicas] == [_everything(r) for r in overlaid.replicas], schedule


def test_a_schedule_is_the_same_each_time() -> None:
    first, second = history(7), history(7)
    assert (first.run(), second.run()) == (None, None)
    assert first.log and first.log == second.log


def _failures(schedules: list[Schedule]) -> dict[Schedule, str]:
    return {schedule: wrong for schedule in schedules if (wrong := outcome(schedule))}


def _everything(replica: Replica) -> tuple[object, ...]:
    state = replica.state
    vectors = (state.known, state.applied, state.collected, replica.members)
    return [*state.entries()], [*state.pending()], vectors, state.floor, state.counter, state.origin
