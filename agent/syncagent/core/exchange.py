"""What replicas tell each other, what they acknowledge, and what may be forgotten.

The numbers are those of the rules in ``reconcile``.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import structs

from syncagent.core.local import DIRECTORY, Local, content_of
from syncagent.core.state import wants
from syncproto.model import Entry, Metadata, Path, is_news
from syncproto.version import Vector, covers, covers_all, merge


class Exchange(Local):
    """Takes in what other replicas know, and tells what they lack."""

    # -- telling -------------------------------------------------------------------------------

    def unknown_to(self, known: Vector, sequence: int = 0) -> list[Entry]:
        """Anti-entropy: what is above the peer's ``known`` vector, applied here or not, by dot.

        ``sequence``: only what was written here after that local sequence number.
        """
        every = self.state.changed_since(sequence)
        news = [e for e in every if is_news(e, known) or not covers(known, e.metadata.dot)]
        return sorted(news, key=lambda entry: entry.dot)

    def acknowledge(self) -> None:
        """Rules 4 and 5: a pending entry holds back every origin it speaks for: what it replaced may be missing too."""
        known, applied = self.state.known, self.state.applied
        free = {origin for origin, counter in known.items() if not covers(applied, (origin, counter))}
        for entry in self.state.pending():
            if not free:
                return
            free -= {origin for origin, counter in entry.speaks_for if not covers(applied, (origin, counter))}
        if free:
            self.state.applied = merge(applied, {origin: known[origin] for origin in free})

    # -- taking --------------------------------------------------------------------------------

    def take(self, batch: Iterable[Entry], known: Vector) -> None:
        """Rule 6: one pull, whole, with the vector that its sender stated at the start.

        After a full exchange this comes last: raising ``known`` is what ends the need for it (rule 10).
        """
        for entry in batch:
            self.receive(entry)
        self.state.known = merge(self.state.known, known)

    def receive(self, remote: Entry) -> None:
        """Take note of an entry: it is pending until its content is at hand. Rule 9: unless it is known.

        What is here just so is no news, whatever ``known`` says: two replicas would tell it each other for ever whose
        ``known`` lacks its dot, as after an index was lost.
        """
        here = self.state.entry(remote.path)
        if (
            here is not None
            and here.dot == remote.dot
            and here == here.joined_with(remote).with_metadata(remote.metadata)
        ):
            return
        if is_news(remote, self.state.known):
            twin = self.state.pending_entry(remote.dot)
            self.state.put_pending(remote.joined_with(twin).with_metadata(twin.metadata) if twin else remote)
        elif not covers(self.state.known, remote.metadata.dot):
            self._merge_metadata(remote.path, remote.metadata)

    def _merge_metadata(self, path: Path, metadata: Metadata) -> None:
        rivals, here = self.state.pending_at(path), self.state.entry(path)
        for entry in rivals:
            if (better := entry.with_metadata(metadata)) is not entry:
                self.state.put_pending(better)
        if here is not None:
            if (better := here.with_metadata(metadata)) is not here:
                self._put(better)
        elif not rivals:
            self.state.floor = max(self.state.floor, metadata.stamp)

    # -- rule 10: tombstones that all have applied ---------------------------------------------

    def collect(self, members_applied: Iterable[Vector]) -> list[Path]:
        """Drop the tombstones that this replica and all members have applied, with all that they cover."""
        vectors = [self.state.applied, *members_applied]
        dead = [e for e in self.state.tombstones() if self._is_collectable(e, vectors)]
        for entry in dead:
            self.state.drop(entry.path)
            self.join_collected(dict(entry.version), max(entry.stamp, entry.metadata.stamp))
        return [entry.path for entry in dead]

    def _is_collectable(self, tombstone: Entry, vectors: list[Vector]) -> bool:
        needed = (*tombstone.version, tombstone.metadata.dot)
        return all(covers_all(vector, needed) for vector in vectors) and not self.state.pending_at(tombstone.path)

    def needs_full(self, collected: Vector) -> bool:
        """The fence: whether a source that dropped tombstones up to ``collected`` must send everything it has."""
        return not covers_all(self.state.known, collected.items())

    def missing_from(self, entries: Iterable[Entry], known: Vector) -> list[Entry]:
        """After a full exchange: what is here, and the source once knew and has no longer, the deepest first.

        It was deleted, and the tombstones are gone, or it lost there and was kept. ``entries`` are all that the source
        has, pending ones too; ``known`` is the vector that it stated.
        """
        theirs: dict[Path, list[Entry]] = {}
        for entry in entries:
            theirs.setdefault(entry.path, []).append(entry)
        every = self.state.changed_since(0)
        gone = [e for e in every if not is_news(e, known) and not _has(theirs.get(e.path, []), e, known)]
        return sorted(gone, key=lambda entry: (-entry.path.count(b"/"), entry.path, entry.dot))

    def drop_collected(self, entry: Entry, known: Vector) -> None:
        """Drop an entry of ``missing_from``, unless it has changed since: that is news to the source.

        Another one at its path stays: the source has that, or never knew it.
        """
        twin, here = self.state.pending_entry(entry.dot), self.state.entry(entry.path)
        if twin is not None and not is_news(twin, known):
            self.state.drop_pending(twin.dot)
        if here is None or here.dot != entry.dot or is_news(here, known):
            return
        self.state.drop(here.path)
        if here.is_live and self.state.has_live_below(here.path):
            self._mint(here.path, DIRECTORY, 0)

    def adopt_registers(self, entries: Iterable[Entry], known: Vector) -> None:
        """After a full exchange: where the source has an entry of ours with a lesser register although it knew ours,

        that register was dropped with a tombstone, and goes here too. The entry stays. ``entries`` are all it has.
        """
        best: dict[Path, Metadata] = {}
        every = list(entries)
        for entry in every:
            rival = best.setdefault(entry.path, entry.metadata)
            best[entry.path] = max(rival, entry.metadata, key=lambda register: register.rank)
        for entry in every:
            register, here = best[entry.path], self.state.entry(entry.path)
            twin = self.state.pending_entry(entry.dot)
            if here is not None and here.dot == entry.dot and _was_dropped(here.metadata, register, known):
                self._put(structs.replace(here, metadata=register))
            if twin is not None and _was_dropped(twin.metadata, register, known):
                self.state.put_pending(structs.replace(twin, metadata=register))

    def join_collected(self, collected: Vector, floor: int) -> None:
        """What is dropped there is dropped here: a path begun anew ranks above all of it."""
        self.state.collected = merge(self.state.collected, collected)
        self.state.floor = max(self.state.floor, floor)

    # -- rule 12: a replica is gone for ever ---------------------------------------------------

    def give_up(self, entry: Entry) -> None:
        """The content of this pending entry died with its holder: what is here stands again, under an old name too."""
        self._let_it_stand(entry)
        for delete in self._deletes_waiting_for(entry):
            if self._is_live(delete.path):
                self._let_it_stand(delete)

    def let_go(self, entry: Entry) -> bool:
        """Drop a pending entry whose content nobody reached has, if it loses to what is here; False if it does not.

        Nothing is lost by it: where it still stands it will meet what is here, lose, and be kept there. Mostly it
        stands nowhere: its writer replaced it, and what replaced it lost in turn, or users replaced its copy.
        """
        here = self.state.entry(entry.path)
        if here is None or entry.has_seen(here) or entry.rank > here.rank:
            return False
        self.state.drop_pending(entry.dot)
        self._merge_metadata(entry.path, entry.metadata)
        return True

    def _deletes_waiting_for(self, pending: Entry) -> list[Entry]:
        waiting = []
        for delete in self.state.pending():
            here = None if delete.is_live else self.state.entry(delete.path)
            if here and wants(pending, (delete.content, here.content), here.dot):
                waiting.append(delete)
        return waiting

    def _let_it_stand(self, over: Entry) -> None:
        self.state.drop_pending(over.dot)
        self._merge_metadata(over.path, over.metadata)
        if here := self.state.entry(over.path):
            self._mint(here.path, content_of(here), over.stamp + 1, here, over)


def _has(theirs: list[Entry], ours: Entry, known: Vector) -> bool:
    """Whether a source still has an entry that it knows, or what replaced it, with its register or a better one."""
    if any(each.dot == ours.dot for each in theirs):
        return True  # its register is another matter: see ``adopt_registers``
    if not any(each.has_seen(ours) for each in theirs):
        return False
    best = max(each.metadata.rank for each in theirs)
    return best >= ours.metadata.rank or not covers(known, ours.metadata.dot)


def _was_dropped(ours: Metadata, theirs: Metadata, known: Vector) -> bool:
    """Whether a source that knew our register has only a lesser one."""
    return ours.rank > theirs.rank and covers(known, ours.dot)
