"""What is wrong with a volume right now, each with its remedy; cleared when it is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from syncagent.status import ProblemStatus
from syncproto.model import Path

PROBLEMS_MAX = 10_000
NOTES = ("not-kept", "unsupported", "new-incarnation", "behind")
"""Codes of what is only worth knowing."""


def split(reason: str, remedy: str) -> tuple[str, str]:
    """A reason of the disk's, as cause and remedy; the given remedy where it has none."""
    cause, _, own = reason.partition(": ")
    return cause, own or remedy


def printable(path: Path) -> str:
    """A path as text that is safe on a terminal: control bytes and bytes that are not UTF-8 are escaped."""
    text = path.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def rfc3339(wall_ns: int) -> str:
    """A time in UTC, to the millisecond."""
    seconds = min(max(wall_ns / 1e9, 0), 253402300799)
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Problems:
    """Problems by code and path."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, Path], ProblemStatus] = {}

    def __iter__(self) -> Iterator[ProblemStatus]:
        return iter(list(self._open.values()))

    def __len__(self) -> int:
        return len(self._open)

    def add(
        self, code: str, text: str, *, remedy: str = "", path: Path = b"", is_blocking: bool = False, wall_ns: int = 0
    ) -> bool:
        """Note a problem; True if it is new."""
        key = (code, path)
        old = self._open.get(key)
        if old is None and len(self._open) >= PROBLEMS_MAX:
            return False
        since = old.since if old else rfc3339(wall_ns)
        self._open[key] = ProblemStatus(
            code=code,
            text=text,
            remedy=remedy,
            path=printable(path) if path else None,
            is_blocking=is_blocking,
            since=since,
        )
        return old is None

    def clear(self, code: str, path: Path = b"") -> None:
        """The problem is over."""
        self._open.pop((code, path), None)

    def clear_path(self, path: Path) -> None:
        """Whatever was wrong with the path when it was last looked at is over."""
        for code in ("unreadable", "busy", "unsupported", "not-kept", "replaced"):
            self._open.pop((code, path), None)

    def clear_ignored(self, ignores: Callable[[Path], bool]) -> None:
        """Nobody looks at what is ignored: whatever was wrong there is over."""
        for _, path in list(self._open):
            if path and ignores(path):
                self.clear_path(path)

    def has(self, code: str, path: Path = b"") -> bool:
        """Whether this problem is open."""
        return (code, path) in self._open

    def paths(self, code: str) -> list[Path]:
        """The paths that have this problem."""
        return [path for each, path in self._open if each == code]

    def codes(self) -> dict[str, int]:
        """How many problems there are of each code."""
        return dict(sorted(Counter(code for code, _ in self._open).items()))

    def is_blocking(self) -> bool:
        """Whether something needs a person before all replicas can be equal.

        Content that nobody has shows as pending: those who lack it must not wait for each other.
        """
        return any(problem.is_blocking and problem.code != "content-lost" for problem in self._open.values())

    def count_serious(self) -> int:
        """How many problems stand in the way of replication, rather than being mere notes."""
        return sum(problem.code not in NOTES for problem in self._open.values())
