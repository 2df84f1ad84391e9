"""How ``syncctl`` ends: the exit codes, the same for every command, and the exception that carries one."""

from __future__ import annotations

from collections.abc import Iterable

YES = 0
FAILED = 1
USAGE = 2
TIME_OUT = 3
UNREACHABLE = 4
BLOCKED = 5
INTERRUPTED = 130

MEANINGS = {
    YES: "yes, done",
    FAILED: "failed, or the agent is not reachable",
    USAGE: "wrong usage or configuration",
    TIME_OUT: "time-out",
    UNREACHABLE: "a member is unreachable",
    BLOCKED: "blocked, held or halted",
    INTERRUPTED: "interrupted",
}


class CommandError(Exception):
    """The command ends here; the text says why and what to do, one sentence a line. No text: all has been said."""

    def __init__(self, text: str, exit_code: int = FAILED) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'X'?`` for the nearest of ``known``, or nothing."""
    from difflib import get_close_matches  # only when something is wrong

    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
