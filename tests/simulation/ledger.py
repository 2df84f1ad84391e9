"""What users did, what each saw just before, and every dot that was ever given out. Never read by the engines."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from syncagent.disk.stat import kind_of
from syncproto.model import Entry, Kind, Path
from syncproto.paths import is_below
from syncproto.paths import name as name_of
from syncproto.version import Dot
from twins.disk import MemoryVolume, Node

if TYPE_CHECKING:
    from simulation.machine import Machine

Payload = tuple[Kind, bytes | None]


class Thing(NamedTuple):
    """What stands at a path, as far as replicas must agree on it. Times count for files only."""

    kind: Kind
    content: bytes | None
    mode: int
    mtime_ns: int

    @property
    def payload(self) -> Payload:
        return self.kind, self.content

    @property
    def is_leaf(self) -> bool:
        return self.kind != Kind.DIRECTORY


Tree = dict[Path, Thing]


def tree_of(volume: MemoryVolume) -> Tree:
    """Everything in a volume."""
    return dict(_walk(volume.root, b""))


def _walk(directory: Node, prefix: bytes) -> Iterator[tuple[Path, Thing]]:
    for name, node in sorted(directory.children.items()):
        path = prefix + name
        kind = kind_of(node.mode)
        assert kind is not None, f"{path!r} is nothing that can be replicated"
        content = None if kind == Kind.DIRECTORY else node.data
        is_file = kind == Kind.FILE
        yield path, Thing(kind, content, stat.S_IMODE(node.mode), node.mtime_ns if is_file else 0)
        if node.is_directory:
            yield from _walk(node, path + b"/")


class DotUsedTwice(AssertionError):
    """One dot stands for two different things."""


class Ledger:
    """The facts that the judge goes by."""

    def __init__(self) -> None:
        self.written: set[Payload] = set()
        self.destroyed: set[Payload] = set()
        """Overwritten or deleted by a user who saw it."""
        self.authors: set[Path] = set()
        """Paths at which users have acted; others are made by the engines only."""
        self.contested: set[Path] = set()
        """Paths at which somebody acted who had not seen what was done there last, as far as is known."""
        self._last: dict[Path, tuple[str, Thing | None]] = {}
        self.acts: list[tuple[str, Path]] = []
        self.is_memory_lost = False
        """Whether some index was lost: then deletes made meanwhile may come back."""
        self._contents: dict[Dot, tuple[object, ...]] = {}
        self._registers: dict[Dot, tuple[object, ...]] = {}

    def note_act(self, machine: Machine, before: Tree, after: Tree) -> None:
        """A user changed one replica from ``before`` to ``after``, in one instant."""
        for path in sorted(before.keys() | after.keys()):
            old, new = before.get(path), after.get(path)
            if old == new:
                continue
            self.authors.add(path)
            self._note_place(machine, path, old, new)
            if (old and old.payload) != (new and new.payload):
                self.acts.append((machine.name, path))
                if new is not None and new.is_leaf:
                    self.written.add(new.payload)
        kept = [thing.payload for thing in after.values()]
        for thing in before.values():
            if thing.is_leaf and kept.count(thing.payload) < _count(before, thing.payload):
                self.destroyed.add(thing.payload)

    def _note_place(self, machine: Machine, path: Path, old: Thing | None, new: Thing | None) -> None:
        name, last = self._last.get(path, (machine.name, old))
        if name != machine.name and (old is None or old != last or not machine.knows(path, old)):
            self.contested.add(path)
        self._last[path] = machine.name, new

    def undisputed(self) -> Iterator[tuple[Path, Thing | None]]:
        """Paths of files and symlinks where each act followed the one before, with what the last one left there."""
        for path, (_, last) in sorted(self._last.items()):
            is_leaf = last is None or last.is_leaf
            is_copy = b"~" in name_of(path)
            if (
                is_leaf
                and not is_copy
                and path not in self.contested
                and not any(is_below(other, path) for other in self._last)
            ):
                yield path, last

    def concurrent_pairs(self) -> int:
        """How many pairs of acts of different replicas touched the same place: each may leave one conflict copy."""
        pairs = 0
        for number, (name, path) in enumerate(self.acts):
            for other_name, other in self.acts[:number]:
                is_related = path == other or is_below(path, other) or is_below(other, path)
                pairs += name != other_name and is_related
        return pairs

    def note_dots(self, entry: Entry) -> None:
        """A replica has put this entry into its index. Raises ``DotUsedTwice``."""
        content = (entry.path, entry.kind, entry.content, entry.stamp, entry.size, entry.mtime_ns)
        self._note_dot(self._contents, entry.dot, content)
        register = entry.metadata
        if register.counter:
            self._note_dot(self._registers, register.dot, (entry.path, register.value, register.stamp, register.author))

    def _note_dot(self, known: dict[Dot, tuple[object, ...]], dot: Dot, what: tuple[object, ...]) -> None:
        first = known.setdefault(dot, what)
        if first != what:
            raise DotUsedTwice(f"dot {dot} stands for {first!r} and for {what!r}")


def _count(tree: Tree, payload: Payload) -> int:
    return sum(thing.payload == payload for thing in tree.values())
