"""The engine's thread: what it does first, and what comes back from it."""

from __future__ import annotations

import time

import pytest

from syncagent.service.loop import Loop


def test_nothing_turns_before_the_start_is_done() -> None:
    for _ in range(50):
        loop, order = Loop(), list[str]()

        def turn(order: list[str] = order) -> float:
            order.append("turn")
            return time.monotonic() + 1.0

        loop.start(turn, lambda order=order: order.append("first"))  # type: ignore[misc]
        loop.stop()
        assert order[0] == "first"


def test_a_start_that_fails_is_raised_where_it_was_asked_for() -> None:
    loop = Loop()
    with pytest.raises(ZeroDivisionError):
        loop.start(lambda: time.monotonic() + 1.0, lambda: 1 / 0)
    assert loop.ask(lambda: 2) == 2
    loop.stop()
