"""Replicas for tests of single decisions."""

from __future__ import annotations

from syncagent.core.local import Content
from syncagent.core.reconcile import Reconciler
from syncagent.core.state import MemoryState
from syncproto.model import Attributes, Entry, Kind, Path

MODE, PRIVATE = Attributes(0o644), Attributes(0o600)
DELETED, DIRECTORY = Content(Kind.TOMBSTONE), Content(Kind.DIRECTORY)


def replica(name: str) -> Reconciler:
    """One that knows nothing."""
    return Reconciler(MemoryState(f"{name}.1"))


def file(content: bytes, mtime_ns: int = 7) -> Content:
    return Content(Kind.FILE, content, size=len(content), mtime_ns=mtime_ns, sparse=content == b"holes")


def pull(to: Reconciler, source: Reconciler, is_at_hand: bool = True) -> list[Entry]:
    """An ordinary pull and the work that follows; gives what was integrated."""
    known = source.state.known
    to.take(source.unknown_to(to.state.known), known)
    return to.work(50, lambda digest: is_at_hand)


def entry(core: Reconciler, path: Path) -> Entry:
    found = core.state.entry(path)
    assert found is not None, path
    return found


def tree(core: Reconciler) -> dict[Path, bytes | None]:
    return {e.path: e.content for e in core.state.entries() if e.is_live}


def sequence(core: Reconciler) -> int:
    assert isinstance(core.state, MemoryState)
    return core.state.sequence
