from __future__ import annotations

import pytest

from syncagent.cli import output


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (99_949, "99.9 kB"),
        (99_950, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (34_500_000, "34.5 MB"),
        (2**46, "70.4 TB"),
        (10**18, "1,000.0 PB"),
    ],
)
def test_size(number: int, text: str) -> None:
    assert output.size(number) == text


def test_count() -> None:
    assert [output.count(number, "entry") for number in (0, 1, 2345)] == ["0 entries", "1 entry", "2,345 entries"]
    assert output.count(2, "delete") == "2 deletes"


@pytest.mark.parametrize(
    ("then", "text"),
    [
        (None, "never"),
        ("2026-01-02T00:00:00.5Z", "0 s ago"),
        ("2026-01-01T23:58:01Z", "119 s ago"),
        ("2026-01-01T23:30:00Z", "30 min ago"),
        ("2026-01-01T21:00:00Z", "3 h ago"),
        ("2025-12-26T00:00:00Z", "7 d ago"),
    ],
)
def test_ago(then: str | None, text: str) -> None:
    assert output.ago(then, "2026-01-02T00:00:00Z") == text


def test_what_could_harm_a_terminal_is_escaped() -> None:
    assert output.printable("a\x1b[2J\n\u202ex\udce9\u00e9") == "a\\x1b[2J\\n\\u202ex\\xe9\u00e9"


def test_lag() -> None:
    assert [output.seconds(value) for value in (None, 0.04, 12.34, 1234.5)] == ["?", "0.0 s", "12.3 s", "1,234 s"]
