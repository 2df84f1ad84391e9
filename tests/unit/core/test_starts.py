"""Starts: what they say of a replica that comes back, of an index and its volume, and of dots."""

from __future__ import annotations

import pytest

from syncagent.core.starts import (
    STARTS_KEPT,
    Marked,
    Remembered,
    common_counter,
    has_minted,
    is_older,
    judge_marker,
    judge_number,
    next_start,
    ordinal,
)
from syncproto.messages import Start


def start_of(number: int, history: bytes = b"true") -> bytes:
    return number.to_bytes(4, "big") + history


def starts(*counters: int, first: int = 1) -> tuple[Start, ...]:
    """Starts that ended cleanly, with these counters."""
    return tuple(Start(start_of(first + n), counter, counter) for n, counter in enumerate(counters))


def test_ordinals_count_the_starts_of_an_incarnation() -> None:
    first = next_start((), b"abcd")
    second = next_start((Start(first),), b"efgh")
    assert (ordinal(first), ordinal(second)) == (1, 2)
    assert (first[4:], second[4:]) == (b"abcd", b"efgh")


OWN = starts(0, 10, 25)
"""Three starts: with the counters 1 to 10, 11 to 25, and from 26 on."""


@pytest.mark.parametrize(
    ("remembered", "verdict"),
    [
        (Remembered(), False),
        (Remembered((start_of(1),), 10), False),
        (Remembered((start_of(1),), 11), True),
        (Remembered((start_of(1), start_of(2)), 25), False),
        (Remembered((start_of(1), start_of(2)), 26), True),
        (Remembered((start_of(2), start_of(3)), 999), False),
        (Remembered((start_of(1), start_of(2, b"lost")), 12), True),
        (Remembered((start_of(2), start_of(3), start_of(4)), 26), True),
        (Remembered((start_of(3, b"lost"),), 0), True),
    ],
)
def test_who_shows_less_than_was_seen_is_older(remembered: Remembered, verdict: bool) -> None:
    assert is_older(OWN, remembered) is verdict


def test_a_start_that_is_too_old_to_be_shown_is_judged_by_the_counter() -> None:
    shown = starts(100, 120, first=7)
    assert not is_older(shown, Remembered((start_of(3),), 100))
    assert is_older(shown, Remembered((start_of(3),), 101))
    assert not is_older((), Remembered((start_of(3),), 101))


@pytest.mark.parametrize(
    ("remembered", "counter"),
    [
        ((start_of(1), start_of(2, b"lost")), 10),
        ((start_of(1), start_of(2), start_of(3, b"lost"), start_of(4, b"lost")), 25),
        ((start_of(2, b"lost"),), 0),
        ((start_of(1), start_of(2), start_of(3), start_of(4, b"lost")), 25),
    ],
)
def test_the_history_is_common_up_to_the_first_start_that_the_peer_does_not_know(
    remembered: tuple[bytes, ...], counter: int
) -> None:
    assert common_counter(OWN, Remembered(remembered)) == counter


def test_what_was_passed_over_after_an_unclean_end_was_never_minted() -> None:
    own = (Start(start_of(1), 0, 0), Start(start_of(2), 17, 10_000))
    assert [has_minted(own, 10_004, n) for n in (0, 1, 17, 18, 9_999, 10_000, 10_001, 10_004, 10_005)] == [
        True,
        True,
        True,
        False,
        False,
        False,
        True,
        True,
        False,
    ]


IDS = tuple(start_of(number) for number in (5, 6, 7))


@pytest.mark.parametrize(
    ("written", "found", "verdict"),
    [
        (start_of(7), start_of(7), Marked.SOUND),
        (start_of(6), start_of(7), Marked.SOUND),
        (start_of(6), start_of(6), Marked.SOUND),
        (start_of(2), start_of(2), Marked.SOUND),
        (None, start_of(5), Marked.SOUND),
        (start_of(7), b"", Marked.SOUND),
        (start_of(7), start_of(6), Marked.VOLUME_IS_OLDER),
        (start_of(7), start_of(3), Marked.VOLUME_IS_OLDER),
        (start_of(7), start_of(8), Marked.INDEX_IS_OLDER),
        (start_of(7), start_of(19), Marked.INDEX_IS_OLDER),
        (start_of(7), start_of(7, b"lost"), Marked.PARTED),
        (start_of(7), start_of(6, b"lost"), Marked.PARTED),
    ],
)
def test_the_start_on_the_volume_tells_which_of_the_two_is_older(
    written: bytes | None, found: bytes, verdict: Marked
) -> None:
    assert judge_marker(IDS, written, found) is verdict


@pytest.mark.parametrize(
    ("done", "meant", "found", "verdict"),
    [
        (3, 3, 3, Marked.SOUND),
        (3, 4, 3, Marked.SOUND),
        (3, 4, 4, Marked.SOUND),
        (3, 4, 2, Marked.VOLUME_IS_OLDER),
        (3, 4, 5, Marked.INDEX_IS_OLDER),
    ],
)
def test_the_number_on_the_volume_tells_the_same_within_one_start(
    done: int, meant: int, found: int, verdict: Marked
) -> None:
    assert judge_number(done, meant, found) is verdict


def test_an_index_without_starts_goes_with_no_marked_volume() -> None:
    assert judge_marker((), None, start_of(1)) is Marked.PARTED
    assert judge_marker((), None, b"") is Marked.SOUND


def test_a_restore_is_noticed_however_many_starts_were_made_since() -> None:
    truth = starts(*range(0, 10 * STARTS_KEPT, 10))
    restored = (*truth[:3], Start(start_of(4, b"lost"), 30, 30))
    assert is_older(restored, Remembered(tuple(start.id for start in truth), 999))
    assert common_counter(restored, Remembered(tuple(start.id for start in truth), 999)) == 30
