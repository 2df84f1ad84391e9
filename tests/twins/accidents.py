"""What may happen to a disk in memory from outside: its root goes, its power fails, it is full, broken or slow."""

from __future__ import annotations

import stat
from abc import ABC, abstractmethod
from copy import deepcopy
from random import Random
from typing import Any

from watchdog.observers.inotify_c import InotifyConstants as Inotify

from syncagent.core.plan import Step
from syncagent.ports import Finding, Marker, Outcome
from syncproto.model import Path
from twins.durable import Durable, cut_inode, torn
from twins.inode import Node
from twins.notices import Notices
from twins.trouble import Trouble

LOST_CHANCE = 0.3


class Accidents(ABC):
    """The state of a disk beside its tree, and the accidents."""

    root: Node

    def __init__(self) -> None:
        self.granularity_ns = 1
        """Times of this disk are multiples of it."""
        self.reuses_inodes = False
        """Whether the number of a deleted file is given to the next new one."""
        self.device = 1
        self.is_gone = False
        self.is_mount_point = False
        self.is_read_only = False
        self.is_full = False
        self.may_chown = True
        self.cuts = 0
        """How often the power failed."""
        self.durable = Durable()
        self.trouble = Trouble()
        self.notices = Notices()
        self.staged: dict[bytes, Node] = {}
        self.parts: dict[bytes, bytearray] = {}
        self.markers: dict[int, Marker] = {}
        self.kept: dict[bytes, Any] = {}
        """The store of what was replaced or removed, by name: see ``disk_history``."""
        self.kept_drawn = 0
        self._failures: list[tuple[type[Step], Path, Outcome]] = []
        self._findings: list[tuple[Path, Finding]] = []
        self._beneath: tuple[Node, dict[bytes, Node], dict[bytes, bytearray], dict[bytes, Any], int] | None = None

    @abstractmethod
    def new_node(self, mode: int, data: bytes = b"") -> Node:
        """A new inode."""

    # -- roots -----------------------------------------------------------------------------------------

    @property
    def is_covered(self) -> bool:
        """Whether something else is mounted over the root for now: that is what stands at its path."""
        return self._beneath is not None

    @property
    def is_writable(self) -> bool:
        """Whether users can work on it."""
        return not (self.is_gone or self.is_read_only or self.is_covered)

    def cover(self) -> None:
        """An empty file system is mounted over the root: those who watch it are told nothing."""
        self._beneath = self.root, self.staged, self.parts, self.kept, self.device
        self.root, self.staged, self.parts, self.kept = self.new_node(stat.S_IFDIR | 0o755), {}, {}, {}
        self.device += 1000

    def uncover(self) -> None:
        """The mount over the root is gone."""
        if self._beneath is not None:
            self.root, self.staged, self.parts, self.kept, self.device = self._beneath
            self._beneath = None

    def remount(self) -> None:
        """The same file system is mounted anew: all is as before, but the device's number."""
        self.device += 1

    def replace_root(self) -> None:
        """Another, empty directory stands at the root's path; what was staged went with the first."""
        self.notices.tell_itself(self.root, Inotify.IN_MOVE_SELF)
        self.staged, self.parts, self.kept = {}, {}, {}
        self.root = self.new_node(stat.S_IFDIR | 0o755)
        self.is_gone = False

    def remove_root(self) -> None:
        """Nothing stands at the root's path: it was moved away."""
        self.notices.tell_itself(self.root, Inotify.IN_MOVE_SELF)
        self.is_gone = True

    def delete_root(self) -> None:
        """The root, which is empty, is deleted."""
        for mask in (Inotify.IN_DELETE_SELF, Inotify.IN_IGNORED):
            self.notices.tell_itself(self.root, mask)
        self.is_gone = True

    def restore_root(self, root: Node) -> None:
        """The directory of before is back."""
        self.root, self.is_gone = root, False
        self.notices.tell_itself(root, Inotify.IN_MOVE_SELF)

    # -- the power -------------------------------------------------------------------------------------

    def cut_power(self, random: Random) -> None:
        """What was not flushed is lost, or not, or in part; mounts and open files are gone."""
        self.uncover()
        self.cuts += 1
        self.notices.listeners.clear()
        self.durable.cut(self.root, random)
        for digest, node in list(self.staged.items()):
            if random.random() < LOST_CHANCE:
                del self.staged[digest]
            else:
                cut_inode(node, random)
        for digest, part in list(self.parts.items()):
            if random.random() < LOST_CHANCE:
                del self.parts[digest]
            else:
                self.parts[digest] = bytearray(torn(b"", bytes(part), random))

    def snapshot(self) -> Snapshot:
        """The whole disk as it is."""
        return Snapshot(self.root, self.markers)

    def restore(self, snapshot: Snapshot) -> None:
        """Bring the disk back to what it was, inodes, times and marker included. Nobody may use it meanwhile."""
        self.uncover()
        self.cuts += 1
        self.root, self.markers = snapshot.root, dict(snapshot.markers)
        self.staged, self.parts, self.kept = {}, {}, {}
        self.durable = Durable()
        self.durable.adopt(self.root)

    # -- scripted ----------------------------------------------------------------------------------------

    def fail(self, step: type[Step], path: Path, outcome: Outcome) -> None:
        """The next step of this type at this path has this outcome, and does nothing."""
        self._failures.append((step, path, outcome))

    def scripted_outcome(self, step: Step) -> Outcome | None:
        """What was scripted for a step, once."""
        for failure in self._failures:
            if isinstance(step, failure[0]) and step.path == failure[1]:
                self._failures.remove(failure)
                return failure[2]
        return None

    def find_instead(self, path: Path, finding: Finding) -> None:
        """The next look at this path finds this."""
        self._findings.append((path, finding))

    def scripted_finding(self, path: Path) -> Finding | None:
        """What was scripted for a look, once."""
        for scripted in self._findings:
            if scripted[0] == path:
                self._findings.remove(scripted)
                return scripted[1]
        return None


class Snapshot:
    """A copy of a disk."""

    def __init__(self, root: Node, markers: dict[int, Marker]) -> None:
        self._root = deepcopy(root)
        self.markers = dict(markers)

    @property
    def root(self) -> Node:
        """A copy that the caller may change."""
        return deepcopy(self._root)
