"""What the core asks of one replica's index, its in-memory twin, and the overlay in which one decision is tried.

The core changes a replica only through a ``State``. The real one is the SQLite index; ``MemoryState`` is its twin for
simulations. An ``Overlay`` collects the changes of one decision, so that the disk can be asked first: if the disk has
moved on, the overlay is dropped and nothing was decided.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from syncproto.model import Entry, Kind, Path
from syncproto.paths import is_below
from syncproto.version import Dot, Vector, covers


class State(Protocol):
    """Entries, pending entries and vectors of one replica. Vectors are replaced, never changed in place."""

    origin: str
    counter: int
    floor: int
    known: Vector
    applied: Vector
    collected: Vector

    def changed_since(self, sequence: int) -> Iterator[Entry]:
        """Entries and pending entries written after that local sequence number, in the order of their last write."""

    def entry(self, path: Path) -> Entry | None:
        """What the disk holds at ``path``, as far as the index knows; a tombstone counts."""

    def entries(self) -> Iterator[Entry]:
        """All entries, tombstones too, in the order of their paths."""

    def tombstones(self) -> Iterator[Entry]:
        """The entries that are tombstones, in the order of their paths."""

    def put(self, entry: Entry) -> None:
        """Record ``entry`` as what the disk holds at its path."""

    def drop(self, path: Path) -> None:
        """Remove the entry at ``path``: for tombstones that all members have applied."""

    def live_below(self, path: Path) -> list[Path]:
        """The live paths strictly inside ``path``, sorted."""

    def has_live_below(self, path: Path) -> bool:
        """Whether any live path is strictly inside ``path``."""

    def has_content(self, digest: bytes | None) -> bool:
        """Whether a live file here has this content."""

    def pending(self) -> Iterator[Entry]:
        """Entries that are known but not resolved, by dot."""

    def pending_entry(self, dot: Dot) -> Entry | None:
        """The pending entry with this dot."""

    def pending_at(self, path: Path) -> list[Entry]:
        """The pending entries of one path, by dot."""

    def has_pending_wanting(self, contents: tuple[bytes | None, ...], dot: Dot) -> bool:
        """Whether a pending file has one of these contents, or carries (speaks for) ``dot``."""

    def put_pending(self, entry: Entry) -> None:
        """Note ``entry``, replacing the one with its dot."""

    def drop_pending(self, dot: Dot) -> None:
        """Forget the pending entry with this dot."""


class MemoryState:
    """The in-memory twin of the index: plain dicts."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.counter = 0
        self.floor = 0
        self.known: Vector = {}
        self.applied: Vector = {}
        self.collected: Vector = {}
        self.sequence = 0
        self._entries: dict[Path, Entry] = {}
        self._pending: dict[Dot, Entry] = {}
        self._written: dict[tuple[Path, Dot | None], int] = {}

    def changed_since(self, sequence: int) -> Iterator[Entry]:
        recent = sorted((n, key) for key, n in self._written.items() if n > sequence)
        return iter([self._entries[p] if dot is None else self._pending[dot] for _, (p, dot) in recent])

    def _note_write(self, path: Path, dot: Dot | None) -> None:
        self.sequence += 1
        self._written[path, dot] = self.sequence

    def entry(self, path: Path) -> Entry | None:
        return self._entries.get(path)

    def entries(self) -> Iterator[Entry]:
        return iter([self._entries[path] for path in sorted(self._entries)])

    def tombstones(self) -> Iterator[Entry]:
        return iter([entry for entry in self.entries() if not entry.is_live])

    def put(self, entry: Entry) -> None:
        self._entries[entry.path] = entry
        self._note_write(entry.path, None)

    def drop(self, path: Path) -> None:
        self._entries.pop(path, None)
        self._written.pop((path, None), None)

    def live_below(self, path: Path) -> list[Path]:
        return sorted(e.path for e in self._entries.values() if e.is_live and is_below(e.path, path))

    def has_live_below(self, path: Path) -> bool:
        return any(e.is_live and is_below(e.path, path) for e in self._entries.values())

    def has_content(self, digest: bytes | None) -> bool:
        return any(e.kind == Kind.FILE and e.content == digest for e in self._entries.values())

    def pending(self) -> Iterator[Entry]:
        return iter([self._pending[dot] for dot in sorted(self._pending)])

    def pending_entry(self, dot: Dot) -> Entry | None:
        return self._pending.get(dot)

    def pending_at(self, path: Path) -> list[Entry]:
        return [self._pending[dot] for dot in sorted(self._pending) if self._pending[dot].path == path]

    def has_pending_wanting(self, contents: tuple[bytes | None, ...], dot: Dot) -> bool:
        return any(wants(entry, contents, dot) for entry in self._pending.values())

    def put_pending(self, entry: Entry) -> None:
        self.drop_pending(entry.dot)
        self._pending[entry.dot] = entry
        self._note_write(entry.path, entry.dot)

    def drop_pending(self, dot: Dot) -> None:
        if entry := self._pending.pop(dot, None):
            self._written.pop((entry.path, dot), None)


class Overlay:
    """A state on top of another: reads fall through, writes stay here until ``commit``."""

    def __init__(self, base: State) -> None:
        self._base = base
        self.origin = base.origin
        self.counter = base.counter
        self.floor = base.floor
        self.known = base.known
        self.applied = base.applied
        self.collected = base.collected
        self._entries: dict[Path, Entry | None] = {}
        self._pending: dict[Dot, Entry | None] = {}

    def changed_since(self, sequence: int) -> Iterator[Entry]:
        raise TypeError("an overlay is asked for single paths, never for a history")

    def changes(self) -> dict[Path, tuple[Entry | None, Entry | None]]:
        """Per changed path what the base holds and what it would hold, in the order of the first write."""
        return {path: (self._base.entry(path), after) for path, after in self._entries.items()}

    def commit(self) -> None:
        """Write everything to the base."""
        for path, entry in self._entries.items():
            if entry is None:
                self._base.drop(path)
            else:
                self._base.put(entry)
        for dot, entry in self._pending.items():
            if entry is None:
                self._base.drop_pending(dot)
            else:
                self._base.put_pending(entry)
        self._base.counter, self._base.floor = self.counter, self.floor
        self._base.known, self._base.applied, self._base.collected = self.known, self.applied, self.collected

    def entry(self, path: Path) -> Entry | None:
        return self._entries[path] if path in self._entries else self._base.entry(path)

    def entries(self) -> Iterator[Entry]:
        merged = {entry.path: entry for entry in self._base.entries()} | self._entries
        return iter([entry for path in sorted(merged) if (entry := merged[path]) is not None])

    def tombstones(self) -> Iterator[Entry]:
        return iter([entry for entry in self.entries() if not entry.is_live])

    def put(self, entry: Entry) -> None:
        self._entries[entry.path] = entry

    def drop(self, path: Path) -> None:
        self._entries[path] = None

    def live_below(self, path: Path) -> list[Path]:
        here = {p for p, e in self._entries.items() if e is not None and e.is_live and is_below(p, path)}
        return sorted(here | {p for p in self._base.live_below(path) if p not in self._entries})

    def has_live_below(self, path: Path) -> bool:
        if any(e is not None and e.is_live and is_below(p, path) for p, e in self._entries.items()):
            return True
        if not any(is_below(p, path) for p in self._entries):
            return self._base.has_live_below(path)
        return any(p not in self._entries for p in self._base.live_below(path))

    def has_content(self, digest: bytes | None) -> bool:
        if any(e is not None and e.kind == Kind.FILE and e.content == digest for e in self._entries.values()):
            return True
        if not self._entries:
            return self._base.has_content(digest)
        return any(e.kind == Kind.FILE and e.content == digest for e in self.entries())

    def pending(self) -> Iterator[Entry]:
        merged = {entry.dot: entry for entry in self._base.pending()} | self._pending
        return iter([entry for dot in sorted(merged) if (entry := merged[dot]) is not None])

    def pending_entry(self, dot: Dot) -> Entry | None:
        return self._pending[dot] if dot in self._pending else self._base.pending_entry(dot)

    def pending_at(self, path: Path) -> list[Entry]:
        merged = {entry.dot: entry for entry in self._base.pending_at(path)}
        merged.update({d: e for d, e in self._pending.items() if e is not None and e.path == path})
        return [merged[dot] for dot in sorted(merged) if self._pending.get(dot, merged[dot]) is not None]

    def has_pending_wanting(self, contents: tuple[bytes | None, ...], dot: Dot) -> bool:
        if not self._pending:
            return self._base.has_pending_wanting(contents, dot)
        return any(wants(entry, contents, dot) for entry in self.pending())

    def put_pending(self, entry: Entry) -> None:
        self._pending[entry.dot] = entry

    def drop_pending(self, dot: Dot) -> None:
        self._pending[dot] = None


def wants(entry: Entry, contents: tuple[bytes | None, ...], dot: Dot) -> bool:
    """Whether a pending entry is a file that has one of ``contents``, or carries (speaks for) ``dot``."""
    return entry.kind == Kind.FILE and (entry.content in contents or covers(dict(entry.carried), dot))
