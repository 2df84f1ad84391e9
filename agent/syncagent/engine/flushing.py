"""What must be durable on the volume before the index says that it is there, and peers are told."""

from __future__ import annotations

from collections.abc import Iterable

from syncagent.core.state import State
from syncproto.model import Path
from syncproto.paths import parent


def to_flush(found: Iterable[Path], state: State) -> set[Path]:
    """The paths to flush for what was found: a file or directory itself, and the directory that has its name.

    What is gone with its directory is not durable before that directory's own name is.
    """
    result: set[Path] = set()
    for path in found:
        if _is_live(path, state):
            result.add(path)
        if not parent(path) or _is_live(parent(path), state):
            result.add(parent(path))
    return result


def _is_live(path: Path, state: State) -> bool:
    entry = state.entry(path)
    return entry is not None and entry.is_live
