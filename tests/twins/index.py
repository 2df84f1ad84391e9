"""The in-memory twin of the index: plain dicts, and a disk that is a copy of them at the last commit."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random
from typing import Any

from syncagent.core.plan import StatKey
from syncagent.core.starts import STARTS_KEPT, Remembered
from syncagent.core.state import MemoryState
from syncagent.index import IndexLocked
from syncagent.index.digest import as_bytes, as_number, mark
from syncagent.ports import HistorySums, Past, Row
from syncproto.messages import Start
from syncproto.model import Attributes, Entry, Kind, Manifest, Member, Path
from syncproto.paths import is_below, parent
from syncproto.version import Vector

RESERVED_BLOCK = 10_000
_SESSION = ("disk", "is_new", "was_clean", "is_counted", "counter_found", "must_flush")


class MemoryDisk:
    """What outlives the process: ``saved`` is the last commit. A power cut takes those after a durable one."""

    def __init__(self) -> None:
        self.saved: dict[str, Any] = {}
        self._left: list[dict[str, Any]] = [self.saved]
        """What a power cut may leave: the last durable commit, and each one after it."""
        self.is_clean = True
        self.is_locked = False

    def crash(self) -> None:
        """The process is gone, and what it had not committed."""
        self.is_locked = False

    def save(self, state: dict[str, Any], *, is_durable: bool) -> None:
        """A commit."""
        self.saved = state
        self._left = [state] if is_durable else [*self._left, state]

    @property
    def is_durable(self) -> bool:
        """Whether a power cut would take nothing."""
        return len(self._left) == 1

    @property
    def lasting(self) -> dict[str, Any]:
        """What is there after a power cut in any case."""
        return self._left[0]

    def cut_power(self, random: Random) -> None:
        """The last commits may be lost, each as a whole, the youngest first."""
        self.crash()
        self.save(random.choice(self._left), is_durable=True)

    def copy(self) -> MemoryDisk:
        """A copy of the files of an index that nobody has open."""
        twin = MemoryDisk()
        twin.save(copy.deepcopy(self.saved), is_durable=True)
        twin.is_clean = self.is_clean
        return twin


class MemoryIndex(MemoryState):
    """Implements the port ``Index``."""

    replaced = ""

    def __init__(self, disk: MemoryDisk, origin: str) -> None:
        super().__init__(origin)
        self.disk = disk
        self.is_new, self.was_clean = not disk.saved, disk.is_clean
        self.is_counted: Callable[[Path], bool] | None = None
        self.counter_reserved = self.sequence_reserved = RESERVED_BLOCK
        self.seen: dict[Path, tuple[StatKey | None, Attributes | None]] = {}
        self.manifests: dict[bytes, Manifest] = {}
        self.cursors: dict[str, tuple[str, int]] = {}
        self.applied_by: dict[str, Vector] = {}
        self.remembered: dict[str, Remembered] = {}
        self.starts: tuple[Start, ...] = ()
        self.counter_found = 0
        self.must_flush = False
        self.former: dict[Path, Entry] = {}
        self.member_list: dict[str, Member] = {}
        self.held_paths: set[Path] = set()
        self.residue: set[Path] = set()
        self.settings: dict[str, bytes] = {}
        self.pasts: dict[int, Past] = {}
        self.pasts_drawn = 0

    @classmethod
    def open(cls, disk: MemoryDisk, *, new_origin: Callable[[], str]) -> MemoryIndex:
        """Open what is on ``disk``, or begin there with an origin from ``new_origin``. Raises ``IndexLocked``."""
        if disk.is_locked:
            raise IndexLocked("the index in memory is in use: close it first")
        index = cls(disk, disk.saved["origin"] if disk.saved else new_origin())
        disk.is_locked = True
        if disk.saved:
            index._load()
        index.counter_found = index.counter
        if not index.was_clean:
            index.counter, index.sequence = index.counter_reserved, index.sequence_reserved
        disk.is_clean = False
        disk.save(index._state(), is_durable=True)
        return index

    def close(self) -> None:
        if self.disk.is_locked:
            self.rollback()
            self.commit(durable=True)
            self.disk.is_clean, self.disk.is_locked = True, False

    def commit(self, durable: bool = False) -> None:
        is_beyond = self.counter >= self.counter_reserved or self.sequence >= self.sequence_reserved
        if self.counter >= self.counter_reserved:
            self.counter_reserved = self.counter + RESERVED_BLOCK
        if self.sequence >= self.sequence_reserved:
            self.sequence_reserved = self.sequence + RESERVED_BLOCK
        self.disk.save(self._state(), is_durable=durable or is_beyond or self.must_flush)
        self.must_flush = False

    def _state(self) -> dict[str, Any]:
        return {name: copy.copy(value) for name, value in vars(self).items() if name not in _SESSION}

    def rollback(self) -> None:
        counter, sequence = self.counter, self.sequence
        self._load()
        self.counter, self.sequence = max(self.counter, counter), max(self.sequence, sequence)

    def verify(self) -> None:
        """Memory is not damaged."""

    def _load(self) -> None:
        for name, value in self.disk.saved.items():
            setattr(self, name, copy.copy(value))

    def reincarnate(self, origin: str, start: bytes) -> None:
        self.former |= {path: entry for path, entry in self._entries.items() if entry.is_live}
        for table in (self._entries, self._pending, self._written, self.seen, self.cursors):
            table.clear()
        self.held_paths.clear()
        self.residue.clear()
        self.origin, self.counter, self.floor, self.counter_reserved = origin, 0, 0, RESERVED_BLOCK
        self.known, self.applied, self.collected, self.applied_by = {}, {}, {}, {}
        self.starts = (Start(start),)
        self.must_flush = True

    def lineage(self, path: Path) -> Entry | None:
        return self.former.get(path)

    def end_lineage(self) -> None:
        self.former.clear()

    # -- rows ----------------------------------------------------------------------------------

    def changed_since(self, sequence: int) -> Iterator[Entry]:
        while recent := sorted((n, key) for key, n in self._written.items() if n > sequence):
            for number, (path, dot) in recent:
                sequence = number
                if self._written.get((path, dot)) == number:
                    yield self._entries[path] if dot is None else self._pending[dot]

    def row(self, path: Path) -> Row | None:
        entry = self._entries.get(path)
        return Row(entry, *self.seen.get(path, (None, None))) if entry else None

    def put_row(self, entry: Entry, stat: StatKey | None, attributes: Attributes | None) -> None:
        self.put(entry)
        self.seen[entry.path] = stat, attributes

    def set_stat(self, path: Path, stat: StatKey | None, attributes: Attributes | None) -> None:
        if path not in self._entries:
            raise KeyError(path)
        self.seen[path] = stat, attributes

    def drop(self, path: Path) -> None:
        super().drop(path)
        self.seen.pop(path, None)

    def _rows(self) -> list[Row]:
        return [Row(self._entries[path], *self.seen.get(path, (None, None))) for path in sorted(self._entries)]

    def children(self, directory: Path) -> list[Row]:
        return [row for row in self._rows() if parent(row.entry.path) == directory]

    def rows_below(self, directory: Path) -> Iterator[Row]:
        return iter([r for r in self._rows() if r.entry.is_live and is_below(r.entry.path, directory)])

    def by_inode(self, inode: int) -> list[Row]:
        return [r for r in self._rows() if r.entry.is_live and r.stat is not None and r.stat.inode == inode]

    def by_content(self, digest: bytes, limit: int | None = None) -> list[Row]:
        found = [r for r in self._rows() if r.entry.kind == Kind.FILE and r.entry.content == digest]
        return sorted(found, key=lambda row: row.stat is None)[:limit]

    def copies(self) -> Iterator[Entry]:
        return iter([r.entry for r in self._rows() if r.entry.is_copy and r.entry.is_live])

    def pending_with_content(self, digest: bytes, limit: int | None = None) -> list[Entry]:
        return [e for e in self.pending() if e.kind == Kind.FILE and e.content == digest][:limit]

    # -- sums ----------------------------------------------------------------------------------

    def _counted(self) -> list[Entry]:
        counts = self.is_counted
        return [e for e in self._entries.values() if e.is_live and (counts is None or counts(e.path))]

    @property
    def live_count(self) -> int:
        return len(self._counted())

    @property
    def live_bytes(self) -> int:
        return sum(entry.size for entry in self._counted())

    @property
    def digest(self) -> bytes:
        return as_bytes(sum(as_number(mark(entry)) for entry in self._counted()))

    def recount(self) -> None:
        """Nothing is kept that could be wrong."""

    @property
    def pending_count(self) -> int:
        return len(self._pending)

    @property
    def pending_bytes(self) -> int:
        return sum(entry.size for entry in self._pending.values() if entry.kind == Kind.FILE)

    def pending_contents(self) -> Iterator[tuple[bytes, int, bool]]:
        found: dict[bytes, tuple[bytes, int, bool]] = {}
        for entry in sorted(self._pending.values(), key=lambda e: self._written[e.path, e.dot]):
            if entry.kind == Kind.FILE and entry.content is not None:
                found.setdefault(entry.content, (entry.content, entry.size, entry.sparse))
        return iter(list(found.values()))

    # -- contents ------------------------------------------------------------------------------

    def manifest(self, digest: bytes) -> Manifest | None:
        return self.manifests.get(digest)

    def put_manifest(self, manifest: Manifest) -> None:
        self.manifests[manifest.digest] = manifest

    def prune_manifests(self) -> None:
        wanted = {e.content for e in (*self._entries.values(), *self._pending.values()) if e.kind == Kind.FILE}
        wanted |= {past.before.content for past in self.oldest_kept() if past.before is not None}
        self.manifests = {digest: manifest for digest, manifest in self.manifests.items() if digest in wanted}

    # -- history -------------------------------------------------------------------------------

    def add_past(self, past: Past) -> None:
        self.pasts_drawn += 1
        self.pasts[self.pasts_drawn] = replace(past, number=self.pasts_drawn)

    def drop_past(self, number: int) -> None:
        self.pasts.pop(number, None)

    def unkeep(self, number: int) -> None:
        if number in self.pasts:
            self.pasts[number] = replace(self.pasts[number], kept=b"", kept_bytes=0)

    def history_of(self, path: Path) -> list[Past]:
        return [past for past in self.latest_history(-1) if past.path == path]

    def history_below(self, directory: Path) -> Iterator[Past]:
        below = [past for past in self.latest_history(-1) if is_below(past.path, directory)]
        return iter(sorted(below, key=lambda past: past.path))

    def history_since(self, stamp: int) -> Iterator[Past]:
        since = [past for past in self.pasts.values() if past.stamp >= stamp]
        return iter(sorted(since, key=lambda past: (past.stamp, past.number)))

    def latest_history(self, limit: int) -> list[Past]:
        newest = sorted(self.pasts.values(), key=lambda past: -past.number)
        return newest if limit < 0 else newest[:limit]

    def oldest_history(self) -> Iterator[Past]:
        return iter(self.latest_history(-1)[::-1])

    def oldest_kept(self) -> Iterator[Past]:
        return iter([past for past in self.oldest_history() if past.kept])

    def kept_with_content(self, digest: bytes, limit: int | None = None) -> list[Past]:
        kept = [past for past in self.latest_history(-1) if past.kept and past.before is not None]
        found = [p for p in kept if p.before is not None and p.before.kind == Kind.FILE and p.before.content == digest]
        return found[:limit]

    @property
    def history_sums(self) -> HistorySums:
        kept = list(self.oldest_kept())
        return HistorySums(len(self.pasts), len(kept), sum(past.kept_bytes for past in kept))

    # -- other replicas ------------------------------------------------------------------------

    def add_start(self, start: bytes) -> None:
        self.starts = (*self.starts, Start(start, self.counter_found, self.counter))[-STARTS_KEPT:]
        self.commit(durable=True)

    def cursor(self, incarnation: str) -> tuple[str, int]:
        return self.cursors.get(incarnation, ("", 0))

    def set_cursor(self, incarnation: str, epoch: str, sequence: int) -> None:
        self.cursors[incarnation] = epoch, sequence

    def set_applied_by(self, incarnation: str, applied: Vector) -> None:
        self.applied_by = {**self.applied_by, incarnation: applied}

    def remember(self, incarnation: str, seen: Remembered) -> None:
        self.remembered = {**self.remembered, incarnation: seen}

    def members(self) -> list[Member]:
        return [self.member_list[name] for name in sorted(self.member_list)]

    def put_member(self, member: Member) -> None:
        self.member_list[member.incarnation] = member

    def drop_member(self, incarnation: str) -> None:
        for table in (self.member_list, self.cursors):
            table.pop(incarnation, None)
        self.applied_by = {name: vector for name, vector in self.applied_by.items() if name != incarnation}
        self.remembered = {name: seen for name, seen in self.remembered.items() if name != incarnation}

    # -- local facts ---------------------------------------------------------------------------

    def held(self) -> list[Path]:
        return sorted(self.held_paths)

    def hold(self, path: Path) -> None:
        self.held_paths.add(path)

    def unhold(self, path: Path) -> None:
        self.held_paths.discard(path)

    def residues(self) -> list[Path]:
        return sorted(self.residue)

    def is_residue(self, path: Path) -> bool:
        return path in self.residue

    def add_residue(self, path: Path) -> None:
        self.residue.add(path)

    def drop_residue(self, path: Path) -> None:
        self.residue.discard(path)

    def get(self, key: str) -> bytes | None:
        return self.settings.get(key)

    def set(self, key: str, value: bytes | None) -> None:
        if value is None:
            self.settings.pop(key, None)
        else:
            self.settings[key] = value
