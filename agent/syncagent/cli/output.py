"""How things are written for people: names that cannot harm a terminal, sizes, times, and lines of text."""

from __future__ import annotations

import sys
from datetime import datetime

UNKNOWN = "?"
NOTHING = "-"


def printable(text: str) -> str:
    """``text`` with everything that could move a cursor or reorder letters written as an escape."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _escape(letter) for letter in text)


def say(*lines: str) -> None:
    """Print lines to standard output."""
    for line in lines:
        print(printable(line))


def complain(text: str) -> None:
    """Print each line of ``text`` to standard error, with the program's name."""
    if sys.stderr is not None:
        sys.stderr.write("".join(f"syncctl: {printable(line)}\n" for line in text.splitlines()))


def is_terminal() -> bool:
    """Whether a person looks at standard output."""
    return sys.stdout is not None and sys.stdout.isatty()


def count(number: int, thing: str) -> str:
    """``1 entry``, ``2,345 entries``."""
    plural = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{number:,} {thing if number == 1 else plural}"


def size(number: float) -> str:
    """Bytes in the unit that leaves two or three digits."""
    if number < 1000:
        return f"{number:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        number /= 1000
        if number < 999.5:
            return f"{number:.{1 if number < 99.95 else 0}f} {unit}"
    return f"{number / 1000:,.1f} PB"


def seconds(number: float | None) -> str:
    """A lag: ``0.4 s``."""
    return UNKNOWN if number is None else f"{number:,.1f} s" if number < 100 else f"{number:,.0f} s"


def ago(then: str | None, now: str) -> str:
    """How long before the time ``now`` the time ``then`` was; both RFC 3339."""
    if then is None:
        return "never"
    passed = (datetime.fromisoformat(now) - datetime.fromisoformat(then)).total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if passed >= 2 * length:
            return f"{passed / length:.0f} {unit} ago"
    return f"{max(0.0, passed):.0f} s ago"


def table(headings: list[str], rows: list[list[str]]) -> list[str]:
    """Columns of plain text, wide enough for their content."""
    cells = [headings, *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def _escape(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"  # a byte that is not UTF-8
    return letter.encode("unicode_escape").decode()
