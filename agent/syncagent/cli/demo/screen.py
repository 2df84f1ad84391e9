"""What the demo shows while it runs: one line a step, and what is still missing where a person looks on."""

from __future__ import annotations

import sys
import time
from typing import Any

from syncagent.cli.output import count, is_terminal, say, size
from syncagent.cli.status import show_status

PROGRESS_SECONDS = 0.2


class Screen:
    """Prints to standard output; a line of progress is overwritten by the next."""

    def __init__(self) -> None:
        self._is_terminal = is_terminal()
        self._last = 0.0

    def line(self, text: str = "") -> None:
        """A line that stays."""
        self._wipe()
        say(text)
        sys.stdout.flush()

    def progress(self, text: str) -> None:
        """A line for the moment, on terminals only."""
        if self._is_terminal:
            sys.stdout.write(f"\r\x1b[K  {text}"[:79])
            sys.stdout.flush()

    def is_due(self) -> bool:
        """Whether progress is to be told again, which costs a question to an agent."""
        now = time.monotonic()
        if not self._is_terminal or now - self._last < PROGRESS_SECONDS:
            return False
        self._last = now
        return True

    def table(self, status: dict[str, Any]) -> None:
        """The table of ``syncctl status``."""
        self._wipe()
        show_status(status)
        sys.stdout.flush()

    def _wipe(self) -> None:
        if self._is_terminal:
            sys.stdout.write("\r\x1b[K")


def behind(status: dict[str, Any]) -> str:
    """Who lacks what, in a line."""
    late = [
        f"{replica['name']} lacks {count(replica['entries_behind'], 'entry')}, {size(replica['bytes_behind'] or 0)}"
        for volume in status["volumes"]
        for replica in volume["replicas"]
        if replica["entries_behind"]
    ]
    return "; ".join(late) or "nearly there"
