"""What once went wrong stays right."""

from __future__ import annotations

import pytest

from simulation.regressions import REGRESSIONS
from simulation.shrink import play


@pytest.mark.parametrize("name", REGRESSIONS)
def test_a_history_that_once_failed_ends_well(name: str) -> None:
    assert play(REGRESSIONS[name]) is None
