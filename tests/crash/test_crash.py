"""A few crash points on real agents; ``.ci/run`` tries more of them by ``crash.run``, ``.ci/long`` all."""

from __future__ import annotations

from pathlib import Path

import pytest

from crash.round import Point, Variant, play
from crash.run import KINDS, census

pytestmark = [pytest.mark.strace, pytest.mark.timeout(400)]

POINTS = [
    Point("main", "pwrite64", 40),  # while the index is made
    Point("main", "rename", 1),
    Point("work", "fdatasync", 2),  # a content is staged
    Point("engine", "renameat2", 5),  # and placed
    Point("engine", "fdatasync", 6),  # what was placed is committed
    Point("engine", "unlinkat", 3),
]


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_a_killed_agent_goes_on(point: Point, tmp_path: Path) -> None:
    outcome = play(tmp_path / "round", point, Variant())
    assert outcome.wrong == [] and outcome.kills == 1


@pytest.mark.parametrize(
    "variant", [Variant(is_double=True), Variant(loses_index=True), Variant(is_blind=True)], ids=str
)
def test_a_killed_agent_goes_on_under_hardship(variant: Variant, tmp_path: Path) -> None:
    outcome = play(tmp_path / "round", Point("engine", "pwrite64", 100), variant)
    assert outcome.wrong == [] and outcome.kills >= 1 + variant.is_double


def test_every_thread_is_counted() -> None:
    calls = census(list(KINDS), Variant())
    assert {who for who, _ in calls} == {"main", "engine", "work", "net"}
    assert calls.total() > 400 and calls["engine", "renameat2"] > 10 and calls["work", "fdatasync"] > 1
