"""When a dirty path is due."""

from __future__ import annotations

from syncagent.core import dirty
from syncagent.core.dirty import PATIENCE_SECONDS, QUIET_SECONDS, DirtySet


def test_a_closed_path_is_due_at_once_and_once() -> None:
    paths = DirtySet()
    paths.mark_closed(b"a", 10.0)
    assert paths.next_due() == 10.0
    assert paths.take_due(10.0, 5) == [b"a"]
    assert paths.take_due(10.0, 5) == []
    assert paths.next_due() is None


def test_a_growing_path_waits_for_quiet_but_not_for_ever() -> None:
    paths = DirtySet()
    now = 10.0
    while now < 10.0 + PATIENCE_SECONDS - QUIET_SECONDS:
        paths.mark_growing(b"a", now)
        assert paths.take_due(now, 5) == []
        now += QUIET_SECONDS / 2
    paths.mark_growing(b"a", 10.0 + PATIENCE_SECONDS)
    assert paths.take_due(10.0 + PATIENCE_SECONDS, 5) == [b"a"]


def test_a_later_mark_never_delays_what_is_due_sooner() -> None:
    paths = DirtySet()
    paths.mark_later(b"a", 12.0, 10.0)
    paths.mark_later(b"a", 15.0, 10.0)
    assert paths.next_due() == 12.0
    paths.mark_closed(b"a", 11.0)
    assert paths.next_due() == 11.0


def test_a_bounded_number_is_taken_the_longest_waiting_first() -> None:
    paths = DirtySet()
    for number in range(5):
        paths.mark_closed(b"%d" % number, 10.0)
    assert paths.take_due(10.0, 2) == [b"0", b"1"]
    assert len(paths) == 3 and b"2" in paths and b"0" not in paths


def test_a_flood_becomes_everything() -> None:
    paths = DirtySet()
    for number in range(dirty.PATHS_MAX + 1):
        paths.mark_closed(b"%d" % number, 10.0)
    assert len(paths) == 0
    assert paths.take_everything()
    assert not paths.take_everything()
