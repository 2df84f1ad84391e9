"""What must be durable on the volume before the index says that it is there, and peers are told."""

from __future__ import annotations

from collections.abc import Iterable

from syncagent.core.state import State
from syncproto.model import Path
from syncproto.paths import above


def to_flush(found: Iterable[Path], state: State) -> set[Path]:
    """The paths to flush for what was found: a file or directory itself, and all directories above it.

    A directory above may be another one than before, or none any more, and nobody has looked at it yet.
    """
    result: set[Path] = set()
    for path in found:
        result.add(b"")
        result.update(each for each in (path, *above(path)) if _is_live(each, state))
    return result


def _is_live(path: Path, state: State) -> bool:
    entry = state.entry(path)
    return entry is not None and entry.is_live
