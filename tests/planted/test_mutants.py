"""The patches in ``mutants/`` fit the sources as they are. ``python -m planted.mutants`` shows what catches them."""

from __future__ import annotations

from pathlib import Path

import pytest

from planted.mutants import ROOT, Mutant, mutants, plant

MUTANTS_MIN = 20


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_a_patch_fits(mutant: Mutant, tmp_path: Path) -> None:
    plant(mutant, tmp_path)
    assert mutant.meaning
    assert mutant.tests
    for test in mutant.tests:
        assert (ROOT / test.partition("::")[0]).exists(), f"{mutant.name} names {test}"


def test_there_are_enough() -> None:
    assert len(mutants()) >= MUTANTS_MIN
