"""Moments as people write them."""

from __future__ import annotations

import pytest

from syncagent.engine.times import moment_ns
from syncagent.status import CommandRefused

NOW = 1_700_000_000_000_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10m", NOW - 600 * 10**9),
        ("2h", NOW - 7200 * 10**9),
        ("1.5s", NOW - 1_500_000_000),
        ("3650000d", 0),
        ("2023-11-14T22:13:20Z", NOW),
        ("2023-11-14T22:13:20.000001+00:00", NOW + 1000),
        ("2023-11-15T00:13:20+02:00", NOW),
        ("2023-11-14 22:13:20", NOW),
        ("1900-01-01", 0),
    ],
)
def test_a_moment_is_so_long_ago_or_a_date(text: str, expected: int) -> None:
    assert moment_ns(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "10", "10 m", "-5m", "2023-13-01"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(CommandRefused, match="is no time; write 10m") as refused:
        moment_ns(text, NOW)
    assert refused.value.exit_code == 2
