"""A replica in memory: the core under test, with the calls that users, accidents and the judge make on it."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from syncagent.core.lineage import UNKNOWN, Lineage, sound_vector
from syncagent.core.local import Content, content_of
from syncagent.core.reconcile import Reconciler
from syncagent.core.state import MemoryState, Overlay
from syncproto.model import Attributes, Entry, Kind, Path
from syncproto.version import Vector, merge

Cut = random.Random | int | None
"""Where a pull breaks off: after so many entries, somewhere, or not at all."""


class CountingState(MemoryState):
    """Counts the conflict copies that are made here."""

    copies = 0

    def put(self, entry: Entry) -> None:
        before = self.entry(entry.path)
        self.copies += entry.is_copy and entry.origin == self.origin and not (before and before.is_copy)
        super().put(entry)


class Replica:
    """One replica; ``skew`` is how far its clock is off. ``reconciler`` is the class under test."""

    def __init__(self, name: str, skew: int = 0, reconciler: type[Reconciler] = Reconciler) -> None:
        self.name = name
        self.skew = skew
        self.incarnation = 0
        self.members: dict[str, Vector] = {}  # what the others said they applied
        self.resolved: list[Entry] = []  # for the judge only
        self._reconciler = reconciler
        self._begin()
        self.save()

    def _begin(self) -> None:
        self.state = CountingState(f"{self.name}{self.incarnation}")
        self.core = self._reconciler(self.state)

    # -- users and accidents -------------------------------------------------------------------

    def change(
        self, path: Path, content: Content, clock: int, attributes: Attributes | None, source: Entry | None
    ) -> Entry:
        return self.core.change(path, content, clock + self.skew, attributes=attributes, source=source)

    def change_metadata(self, path: Path, attributes: Attributes, clock: int) -> Entry:
        return self.core.change_metadata(path, attributes, clock + self.skew)

    def rescan_without_index(self) -> None:
        """The index is lost, the files are not: a new incarnation finds them."""
        disk = sorted(self.live().values(), key=lambda e: (e.path.count(b"/"), e.path))
        self.incarnation += 1
        self.members.clear()
        self._begin()
        for entry in disk:
            self.core.adopt(entry.path, content_of(entry), entry.metadata.value)

    def save(self) -> None:
        """Somebody copies the index."""
        self.saved = copy.deepcopy(self.state), dict(self.members)

    def roll_back(self) -> None:
        """The index is an older copy again, the files are not: what is found is a fact of then, or later."""
        disk = sorted(self.live().values(), key=lambda e: (e.path.count(b"/"), e.path))
        old, members = self.saved
        sound = sound_vector(list(members.values()), {old.origin: old.counter})
        self.incarnation += 1
        self.members.clear()
        self._begin()
        self.save()
        for entry in disk:
            before = old.entry(entry.path)
            latest = before if before is not None and before.is_live else None
            lineage = Lineage(sound, latest, is_older=True)
            self.core.adopt(entry.path, content_of(entry), entry.metadata.value, lineage)

    def forget(self, survivors: list[Replica]) -> None:
        """Some replica is gone for ever: what only it had is given up."""
        lost = [e for e in self.state.pending() if e.kind == Kind.FILE and not _is_held(e.content, survivors)]
        for entry in lost:
            if not self.core.let_go(entry):
                self.core.give_up(entry)

    def collect(self, members: list[str]) -> None:
        self.core.collect([self.members.get(name, {}) for name in members if name != self.name])

    # -- exchange ------------------------------------------------------------------------------

    def pull(self, source: Replica, clock: int, holders: list[Replica], cut: Cut = None) -> list[Entry]:
        """Take what ``source`` has and we lack; ``holders`` are those whose content can be fetched."""
        is_full = self.core.needs_full(source.state.collected)
        batch = source.core.unknown_to({} if is_full else self.state.known)
        known, stop = source.state.known, _break(batch, cut)
        if stop < len(batch):
            return []  # it broke off
        if is_full:
            self._drop_collected(source, batch, known)
        self.core.take(batch, known)
        self.work(clock, holders)
        for name, vector in [*source.members.items(), (source.name, source.state.applied)]:
            self.members[name] = merge(self.members.get(name, {}), vector)
        return batch

    def _drop_collected(self, source: Replica, batch: list[Entry], known: Vector) -> None:
        for entry in self.core.missing_from(batch, known):
            self.core.drop_collected(entry, known)
        self.core.adopt_registers(batch, known)
        self.core.join_collected(source.state.collected, source.state.floor)

    def hear_again(self, batch: list[Entry], clock: int) -> None:
        for entry in batch:
            self.core.receive(entry)
        self.work(clock, [])

    def work(self, clock: int, holders: list[Replica]) -> None:
        self.resolved += self.core.work(clock + self.skew, lambda digest: _is_held(digest, holders))

    # -- queries -------------------------------------------------------------------------------

    def is_live(self, path: Path) -> bool:
        entry = self.state.entry(path)
        return entry is not None and entry.is_live

    def is_leaf(self, path: Path) -> bool:
        entry = self.state.entry(path)
        return entry is not None and entry.is_leaf

    def live(self) -> dict[Path, Entry]:
        return {entry.path: entry for entry in self.state.entries() if entry.is_live}

    def contents(self) -> set[bytes | None]:
        return {entry.content for entry in self.state.entries() if entry.is_leaf}


def _is_held(digest: bytes | None, holders: list[Replica]) -> bool:
    return any(replica.state.has_content(digest) for replica in holders)


def _break(batch: list[Entry], cut: Cut) -> int:
    if isinstance(cut, int):
        return min(cut, len(batch))
    return cut.randrange(len(batch) + 1) if cut and batch else len(batch)


class OverlaidReconciler(Reconciler):
    """Makes every decision in an overlay first, as the engine does, and then commits it."""

    @contextmanager
    def _decision(self) -> Iterator[Reconciler]:
        overlay = Overlay(self.state)
        yield Reconciler(overlay)
        overlay.commit()

    def change(
        self,
        path: Path,
        content: Content,
        clock: int,
        *,
        attributes: Attributes | None = None,
        source: Entry | None = None,
    ) -> Entry:
        with self._decision() as core:
            return core.change(path, content, clock, attributes=attributes, source=source)

    def change_metadata(self, path: Path, attributes: Attributes, clock: int) -> Entry:
        with self._decision() as core:
            return core.change_metadata(path, attributes, clock)

    def adopt(self, path: Path, content: Content, attributes: Attributes | None, lineage: Lineage = UNKNOWN) -> Entry:
        with self._decision() as core:
            return core.adopt(path, content, attributes, lineage)

    def receive(self, remote: Entry) -> None:
        with self._decision() as core:
            core.receive(remote)

    def settle(self, entry: Entry) -> None:
        with self._decision() as core:
            core.settle(entry)

    def integrate(self, entry: Entry, clock: int) -> None:
        with self._decision() as core:
            core.integrate(entry, clock)

    def drop_collected(self, entry: Entry, known: Vector) -> None:
        with self._decision() as core:
            core.drop_collected(entry, known)

    def adopt_registers(self, entries: Iterable[Entry], known: Vector) -> None:
        with self._decision() as core:
            core.adopt_registers(entries, known)

    def give_up(self, entry: Entry) -> None:
        with self._decision() as core:
            core.give_up(entry)
