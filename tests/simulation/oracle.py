"""Looks on at every step: what an engine does to a disk and writes into its index, at once, not only in the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from simulation.ledger import Ledger, Payload, Tree, tree_of
from simulation.machine import Machine
from syncagent.core.chunking import digest_of
from syncproto.model import Kind, Path
from syncproto.paths import name
from twins.disk import Node


class Violation(AssertionError):
    """Something that must never be, not even for a moment."""


class Oracle:
    """``look`` is called after every event, and around every act of a user."""

    def __init__(self, ledger: Ledger, machines: Sequence[Machine]) -> None:
        self._ledger, self._machines = ledger, machines
        self._trees: dict[str, Tree] = {}
        self._roots: dict[str, tuple[Node, int]] = {}
        self._had: dict[tuple[str, int], set[bytes]] = defaultdict(set)
        """The digests of all that an inode of a machine ever held."""
        self._rows: dict[str, tuple[object, dict[Path, object]]] = {}
        self._digests: dict[bytes, bytes] = {}
        self._copies_allowed = 0

    def look(self) -> None:
        """After an event. Raises ``Violation``."""
        for machine in self._machines:
            self.look_at(machine)
            self._look_at_index(machine)

    def look_at(self, machine: Machine) -> None:
        """Whatever changed on this disk since the last look was done by the engine. Raises ``Violation``."""
        state = machine.volume.root, machine.volume.changes
        if self._roots.get(machine.name) != state:
            before, after = self._trees.get(machine.name, {}), tree_of(machine.volume)
            if self._roots.get(machine.name, state)[0] is state[0]:
                self._judge_engine(machine, before, after)
            self.accept(machine, after)

    def accept(self, machine: Machine, tree: Tree | None = None) -> None:
        """What is on this disk now was put there by a user, or is fine."""
        tree = tree_of(machine.volume) if tree is None else tree
        self._trees[machine.name] = tree
        self._roots[machine.name] = machine.volume.root, machine.volume.changes
        for path, thing in tree.items():
            if thing.kind == Kind.FILE and thing.content is not None:
                self._had[machine.name, machine.volume.find(path).inode].add(self._digest(thing.content))

    def _digest(self, content: bytes) -> bytes:
        if content not in self._digests:
            self._digests[content] = digest_of(content)
        return self._digests[content]

    # -- the disk ------------------------------------------------------------------------------

    def _judge_engine(self, machine: Machine, before: Tree, after: Tree) -> None:
        present = {thing.payload for thing in after.values() if thing.is_leaf}
        gone = {thing.payload for thing in before.values() if thing.is_leaf} - present
        if invented := present - self._ledger.written:
            raise Violation(f"{machine.name} shows what nobody wrote: {_brief(invented)}")
        if unseen := {payload for payload in gone if self._key(payload) not in self._ledger.recorded}:
            raise Violation(f"{machine.name} removed what no index has ever known: {_brief(unseen)}")
        copies = [path for path in after if b"~" in name(path) and path not in self._ledger.authors]
        if len(copies) > self._copies_allowed and not self._ledger.is_memory_lost:
            self._copies_allowed = self._ledger.concurrent_pairs()
            if len(copies) > self._copies_allowed:
                raise Violation(f"{machine.name} has {len(copies)} conflict copies, more than conflicts: {copies}")

    def _key(self, payload: Payload) -> bytes | None:
        kind, content = payload
        return self._digest(content) if kind == Kind.FILE and content is not None else content

    # -- the index -----------------------------------------------------------------------------

    def _look_at_index(self, machine: Machine) -> None:
        """What a committed row says of an inode was true of it at some time: the index is never ahead of the disk."""
        saved = machine.index_disk.saved
        last, known = self._rows.get(machine.name, (None, {}))
        if saved is last or not saved:
            return
        entries, seen = saved["_entries"], saved["seen"]
        for path, entry in entries.items():
            stat, _ = seen.get(path, (None, None))
            if stat is None or not entry.is_live or entry.kind != Kind.FILE or known.get(path) == (entry.dot, stat):
                continue
            if entry.content not in self._had[machine.name, stat.inode]:
                raise Violation(f"the index of {machine.name} says {path!r} holds {entry.content!r}, it never did")
        rows: dict[Path, object] = {
            path: (entry.dot, seen.get(path, (None, None))[0]) for path, entry in entries.items()
        }
        self._rows[machine.name] = saved, rows


def _brief(payloads: set[Payload]) -> list[str]:
    return sorted(f"{kind.name} {(content or b'')[:40]!r}" for kind, content in payloads)
