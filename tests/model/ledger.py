"""What users did and what replicas claimed: the facts that the judge goes by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from model.replica import Replica
from syncproto.model import Entry, Path
from syncproto.version import Vector, covers, merge

Applied = dict[str, dict[Path, Vector]]
"""Per replica and path, the versions that it came to apply."""


class Ledger:
    """Kept beside the replicas; never read by them."""

    def __init__(self) -> None:
        self.writes: dict[bytes, tuple[Replica, Entry]] = {}
        self.overwrites: dict[bytes, list[tuple[Replica, Entry]]] = defaultdict(list)  # content: the user's later acts
        self.acts: list[tuple[Replica, Entry]] = []  # on content
        self.chmods: list[Entry] = []
        self.held: dict[str, set[bytes | None]] = defaultdict(set)
        self.applied: Applied = defaultdict(dict)
        self.ever_applied: Applied = defaultdict(dict)  # the same, not forgotten with a lost index
        self.acknowledged: dict[str, Vector] = {}
        self.is_early = False
        """Something was acknowledged before it was there."""

    def note_act(self, replica: Replica, act: Entry, before: Entry | None, moved: bool) -> None:
        self.acts.append((replica, act))
        if before and before.is_leaf and not moved:
            self.overwrites[before.content or b""].append((replica, act))

    def observe(self, replicas: Sequence[Replica]) -> None:
        """After each step: what every replica holds, came to apply, and acknowledges."""
        for replica in replicas:
            self.held[replica.name] |= replica.contents()
            for entry in [*replica.state.entries(), *replica.resolved]:
                for past in (self.applied[replica.name], self.ever_applied[replica.name]):
                    past[entry.path] = merge(past.get(entry.path, {}), dict(entry.version))
            replica.resolved.clear()
            self.is_early = self.is_early or not all(self._is_there(replica, write) for write in self.writes)
            acknowledged = self.acknowledged.get(replica.name, {})
            self.acknowledged[replica.name] = merge(acknowledged, replica.state.applied)

    def _is_there(self, replica: Replica, write: bytes) -> bool:
        """What a replica acknowledges came to its disk, or what a user put in its place is acknowledged too."""
        if write in self.held[replica.name] or not covers(replica.state.applied, self.writes[write][1].dot):
            return True
        return self._is_replaced(replica, write)

    def _is_replaced(self, replica: Replica, write: bytes) -> bool:
        for _, act in self.overwrites[write]:
            if self._has_applied(replica, act) or covers(replica.state.applied, act.dot):
                return True
            if not act.is_live and covers(replica.state.known, act.dot):
                return True  # a delete needs no content to be here, and its origin may be held for another path
            content = act.content or b""
            if act.is_leaf and (content in self.held[replica.name] or self._is_replaced(replica, content)):
                return True  # it came as a conflict copy, or was replaced in turn
        return False

    def _has_applied(self, replica: Replica, act: Entry) -> bool:
        return covers(self.ever_applied[replica.name].get(act.path, {}), act.dot)

    def counts(self, replica: Replica, act: Entry, survivors: Sequence[Replica]) -> bool:
        """A user's act counts when its replica lives with its index, or another survivor came to apply it."""
        if replica in survivors and act.origin == replica.state.origin:
            return True
        return any(covers(self.applied[r.name].get(act.path, {}), act.dot) for r in survivors)

    def is_owed(self, write: bytes, survivors: Sequence[Replica]) -> bool:
        """A survivor wrote, held or acknowledged it, and no survivor applied what a user put in its place.

        Acknowledged counts as applied: where two users delete at once, equal tombstones are joined and one dot is never
        sent again. What was put in its place is a write (owed itself) or a delete.
        """
        if any(by in survivors or self._is_done(act, survivors) for by, act in self.overwrites[write]):
            return False
        replica, entry = self.writes[write]
        if replica in survivors or any(write in self.held[r.name] for r in survivors):
            return True
        return any(covers(self.acknowledged[r.name], entry.dot) for r in survivors)

    def _is_done(self, act: Entry, survivors: Sequence[Replica]) -> bool:
        return any(self._has_applied(r, act) or covers(self.acknowledged[r.name], act.dot) for r in survivors)
