"""What users did, what each saw just before, and every dot that was ever given out. Never read by the engines."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from simulation.kinds import ABSENT, PRESENT
from syncagent.core.chunking import digest_of
from syncagent.core.ignore import IGNORE_FILE
from syncagent.disk.stat import kind_of
from syncproto.model import Entry, Kind, Path
from syncproto.paths import above, is_below
from syncproto.paths import name as name_of
from syncproto.version import Dot
from twins.disk import MemoryVolume, Node

if TYPE_CHECKING:
    from simulation.machine import Machine

Payload = tuple[Kind, bytes | None]


class Thing(NamedTuple):
    """What stands at a path, as far as replicas must agree on it: times of files only, modes of all but symlinks."""

    kind: Kind
    content: bytes | None
    mode: int
    mtime_ns: int
    owner: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def payload(self) -> Payload:
        return self.kind, self.content

    @property
    def is_leaf(self) -> bool:
        return self.kind != Kind.DIRECTORY


Tree = dict[Path, Thing]


def tree_of(volume: MemoryVolume) -> Tree:
    """Everything in a volume that can be replicated."""
    return dict(_walk(volume.root, b""))


def _walk(directory: Node, prefix: bytes) -> Iterator[tuple[Path, Thing]]:
    for name, node in sorted(directory.children.items()):
        path = prefix + name
        kind = kind_of(node.mode)
        if kind is None:
            continue
        content = None if kind == Kind.DIRECTORY else node.data
        mode = 0 if kind == Kind.SYMLINK else stat.S_IMODE(node.mode)
        mtime_ns = node.mtime_ns if kind == Kind.FILE else 0
        yield path, Thing(kind, content, mode, mtime_ns, (node.uid, node.gid), tuple(sorted(node.xattrs.items())))
        if node.is_directory:
            yield from _walk(node, path + b"/")


class DotUsedTwice(AssertionError):
    """One dot stands for two different things."""


class Ledger:
    """The facts that the judge goes by. ``count`` is told of each conflict: two acts, the later without the earlier."""

    def __init__(self, count: Callable[[str], None] = lambda name: None) -> None:
        self.count = count
        self.machines: list[Machine] = []
        self.written: set[Payload] = set()
        self.destroyed: set[Payload] = set()
        """Overwritten or deleted by a user who saw it, or gone with the only disk that had it."""
        self.recorded: set[bytes | None] = set()
        """Digests and targets that some index has, or had."""
        self.authors: set[Path] = set()
        """Paths at which users have acted; others are made by the engines only."""
        self.contested: set[Path] = set()
        """Paths at which somebody acted who had not seen what was done there last, as far as is known."""
        self._last: dict[Path, tuple[str, Thing | None, str]] = {}
        self.acts: list[tuple[str, Path]] = []
        self.spare_copies = 0
        """How many conflict copies there may be beyond those of concurrent acts."""
        self.were_rules_changed = False
        """Whether somebody wrote into ``.syncignore``: what was ignored for a while may have any of its states."""
        self.is_memory_lost = False
        """Whether some index was lost: then deletes made meanwhile may come back."""
        self._contents: dict[Dot, tuple[object, ...]] = {}
        self._registers: dict[Dot, tuple[object, ...]] = {}

    def note_act(self, machine: Machine, before: Tree, after: Tree, what: str = "") -> None:
        """A user changed one replica from ``before`` to ``after``, in one instant."""
        for path in sorted(before.keys() | after.keys()):
            old, new = before.get(path), after.get(path)
            if old == new:
                continue
            self.authors.add(path)
            self.were_rules_changed |= path == IGNORE_FILE
            self._note_place(machine, path, (old, new), kind_of_act(old, new, what))
            if (old and old.payload) != (new and new.payload):
                self.acts.append((machine.name, path))
                if new is not None and new.is_leaf:
                    self.written.add(new.payload)
        kept = [thing.payload for thing in after.values()]
        for thing in before.values():
            if thing.is_leaf and kept.count(thing.payload) < _count(before, thing.payload):
                self.destroyed.add(thing.payload)

    def note_cut(self, machine: Machine, before: Tree, after: Tree) -> None:
        """The power failed: what users did last may be undone, or half done, as long as no index knows of it.

        A torn file is a new content of that machine: nothing could tell it from what somebody wrote.
        """
        known = machine.contents_known()
        present = {thing.payload for thing in after.values()}
        for path in sorted(before.keys() | after.keys()):
            old, new = before.get(path), after.get(path)
            if new is not None and new.is_leaf:
                self.written.add(new.payload)
            if old is not None and old.is_leaf and old.payload not in present and _as_known(old) not in known:
                self.destroyed.add(old.payload)
            name, last, _ = self._last.get(path, (machine.name, old, ""))
            if old != new and name == machine.name and last == old:
                self.authors.add(path)
                self.acts.append((machine.name, path))
                self._last[path] = machine.name, new, "power cut"

    def _note_place(self, machine: Machine, path: Path, change: tuple[Thing | None, Thing | None], act: str) -> None:
        old, new = change
        name, last, last_act = self._last.get(path, (machine.name, old, ""))
        if name != machine.name and (old is None or old != last or not machine.knows(path, old)):
            self.contested.add(path)
        if name == machine.name and last_act in ABSENT and new is not None and not self._is_elsewhere(machine, path):
            act = last_act  # nobody else has seen what it was before: all in all it was made
        if name != machine.name and old != last:
            self.count(f"conflict: {conflict_of(act, last_act)}")
        for directory in above(path) if new is not None else ():
            name, last, last_act = self._last.get(directory, (machine.name, None, ""))
            if name != machine.name and last_act == "delete":
                self.count("conflict: below a delete")
            elif name != machine.name and last is not None and last.is_leaf:
                self.count("conflict: below a file")
        self._last[path] = machine.name, new, act

    def _is_elsewhere(self, machine: Machine, path: Path) -> bool:
        return any(other is not machine and other.volume.look(path) is not None for other in self.machines)

    def doubt(self, paths: Iterable[Path]) -> None:
        """What becomes of these paths cannot be told from who did what last."""
        self.contested.update(paths, self._last)

    def undisputed(self) -> Iterator[tuple[Path, Thing | None]]:
        """Paths of files and symlinks where each act followed the one before, with what the last one left there."""
        for path, (_, last, _) in sorted(self._last.items()):
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
        """How many conflict copies there may be: one for each pair of acts of different replicas at the same place."""
        pairs = 0
        for number, (name, path) in enumerate(self.acts):
            for other_name, other in self.acts[:number]:
                is_related = path == other or is_below(path, other) or is_below(other, path)
                pairs += name != other_name and is_related
        return pairs + self.spare_copies

    def note_dots(self, entry: Entry) -> None:
        """A replica has committed this entry for good. Raises ``DotUsedTwice``."""
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


def _as_known(thing: Thing) -> Payload:
    """A payload as indexes have it."""
    is_file = thing.kind == Kind.FILE and thing.content is not None
    return thing.kind, digest_of(thing.content or b"") if is_file else thing.content


def conflict_of(one: str, other: str) -> str:
    """Two acts that both follow the same state are a kind each pair; what came of more than that is a mixture."""
    is_plain = any(one in acts and other in acts for acts in (PRESENT, ABSENT))
    return "/".join(sorted((one, other))) if is_plain else "mixed"


def kind_of_act(old: Thing | None, new: Thing | None, what: str) -> str:
    """What somebody did at one path, in a word."""
    is_move = what in ("rename", "swap")
    if new is None:
        return "rename away" if is_move else "delete"
    if old is None:
        if is_move:
            return "rename to"
        return "mkdir" if new.kind == Kind.DIRECTORY else "create"
    if old.kind != new.kind:
        return "change type"
    if old.payload != new.payload:
        return "replace" if is_move else "edit"
    if old.mode != new.mode:
        return "chmod"
    if old.owner != new.owner:
        return "chown"
    return "set xattr" if old.xattrs != new.xattrs else "touch"
