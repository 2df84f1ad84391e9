"""The long poll behind ``/v1/wait``."""

from __future__ import annotations

import time
from collections.abc import Callable

from syncagent.ports import Control
from syncagent.status import CommandRefused, UndoResult, WaitResult

FIRST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 0.1
PAUSE_GROWTH = 1.1
UNDO_SECONDS = 60.0


class Interrupted(Exception):
    """Nobody waits for the answer any more, or nobody will be there to give it."""


def wait(
    control: Control, volume: str | None, timeout: float, members: int | None, interrupted: Callable[[float], bool]
) -> WaitResult:
    """Ask until it is reached or ``timeout`` seconds have passed; 0 looks once. Raises Interrupted.

    ``interrupted`` pauses for the seconds it is given, and tells whether to give up. A volume that has no member but
    this replica is answered at once, unless a number of members is asked for: waiting would change nothing.
    """
    token = control.wait_token(volume)
    deadline = time.monotonic() + timeout
    pause = FIRST_PAUSE_SECONDS
    while True:
        result = control.wait_check(token, members)
        left = deadline - time.monotonic()
        if result.reached or left <= 0 or (result.cause == "alone" and members is None):
            return result
        if interrupted(min(pause, left)):
            raise Interrupted
        pause = min(pause * PAUSE_GROWTH, LONGEST_PAUSE_SECONDS)


def finished(control: Control, token: object) -> UndoResult:
    """Wait until all members that can be reached were asked. Raises CommandRefused."""
    deadline = time.monotonic() + UNDO_SECONDS
    while (result := control.undone(token)) is None:
        if time.monotonic() > deadline:
            raise CommandRefused("the members have not answered in time; what they keep may still be brought back", 3)
        time.sleep(LONGEST_PAUSE_SECONDS / 2)
    return result
