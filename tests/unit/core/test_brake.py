"""What the brake lets pass."""

from __future__ import annotations

import pytest

from syncagent.core.brake import WINDOW_SECONDS, Brake, BrakeLimit


@pytest.mark.parametrize(
    ("deletes", "live", "allowed"),
    [
        (0, 0, True),
        (1, 1, True),  # the only file of a volume may be deleted
        (2, 2, False),  # a volume of several entries is not emptied
        (99, 100, True),
        (100, 100, False),
        (100, 110, True),  # up to the count, whatever the share
        (101, 110, False),
        (2_500, 10_000, True),  # up to the share, whatever the count
        (2_501, 10_000, False),
    ],
)
def test_deletes_pass_up_to_the_larger_of_count_and_share(deletes: int, live: int, allowed: bool) -> None:
    assert Brake(BrakeLimit()).allows(deletes, live, 0.0) is allowed


def test_deletes_add_up_across_batches_within_a_minute() -> None:
    brake = Brake(BrakeLimit(count=10, percent=10))
    assert brake.allows(6, 50, 0.0)
    brake.record(6, 0.0)
    assert not brake.allows(5, 44, 1.0)
    assert brake.allows(4, 44, 1.0)
    assert brake.allows(5, 44, WINDOW_SECONDS)
    brake.record(4, 1.0)
    brake.forgive()
    assert brake.passed(1.0) == 0


def test_a_brake_that_is_off_lets_all_pass() -> None:
    assert Brake(BrakeLimit(is_off=True)).allows(1000, 1000, 0.0)
