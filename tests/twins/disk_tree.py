"""The in-memory twin of the tree: the same steps, checks and outcomes."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import assert_never

from syncagent.core import plan
from syncagent.core.plan import StatKey, Step
from syncagent.disk.attributes import is_replicated
from syncagent.disk.errors import RESOURCE_ERRORS
from syncagent.disk.stat import is_as_expected, is_same_but_ctime, kind_of
from syncagent.ports import OPEN_FOR_WRITING, Applied, Failed, Marker, NotEmpty, Outcome, Root, Stale
from syncagent.tree.volume import with_names
from syncproto.model import Attributes, Kind, Path
from syncproto.paths import parent, why_not_canonical
from twins.disk import MemoryVolume, Node
from twins.disk_history import MemoryHistory
from twins.disk_scanner import ROOT_CHANGED, MemoryScanner


def open_volume(volume: MemoryVolume, keep_bytes: int | None = None) -> tuple[MemoryScanner, MemoryTree]:
    """What a process that starts has: a scanner and a tree. Raises ``OSError`` where the root is gone."""
    if volume.is_gone:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return MemoryScanner(volume), MemoryTree(volume, keep_bytes)


class _NotApplied(Exception):
    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class MemoryTree(MemoryHistory):
    """Implements the port ``Tree``."""

    def __init__(self, volume: MemoryVolume, keep_bytes: int | None = None) -> None:
        super().__init__(volume, keep_bytes)
        self._kept = (b"", 0)
        self._opened = volume.device, volume.root
        self._times: dict[Path, int] = {}
        self._renewed: dict[Path, tuple[StatKey, StatKey]] = {}
        self._touched: set[Path] = set()
        self.flushes = 0

    # -- the root --------------------------------------------------------------------------------------

    def root(self) -> Root:
        """Look at the root's path as it is now. Raises ``OSError`` where it is gone."""
        volume = self._present()
        is_empty = not set(volume.root.children) - {b"lost+found"}
        return Root(volume.device, volume.root.inode, is_empty, volume.is_mount_point, volume.is_read_only)

    def is_same_root(self) -> bool:
        """Whether the root's path still leads to the directory that was opened."""
        return not self._volume.is_gone and (self._volume.device, self._volume.root) == self._opened

    def _present(self) -> MemoryVolume:
        if self._volume.is_gone:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return self._volume

    def _require_usable(self) -> None:
        if not self.is_same_root():
            raise OSError(errno.ESTALE, ROOT_CHANGED)

    def read_marker(self) -> Marker | None:
        """The marker of the root as its path leads to it now, None without one."""
        return self._present().markers.get(self._volume.root.inode)

    def write_marker(self, marker: Marker) -> None:
        """Mark the root. Raises ``OSError``."""
        self._require_usable()
        if self._volume.is_read_only:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        self._volume.markers[self._volume.root.inode] = marker

    def dress_root(self, attributes: Attributes) -> Attributes:
        """Give the root this mode and owner, as far as permitted; gives what it has then."""
        self._require_usable()
        root = self._volume.root
        if self._volume.may_chown:
            root.uid, root.gid = attributes.uid, attributes.gid
        root.mode = root.mode & ~0o777 | attributes.mode
        self._volume.durable.sync_style(root)
        return Attributes(root.mode & 0o777, root.uid, root.gid)

    # -- steps -----------------------------------------------------------------------------------------

    def apply(self, steps: Sequence[Step]) -> list[Outcome]:
        """Do the steps in order up to the first that is not ``Applied``; that outcome is the last of the list."""
        outcomes: list[Outcome] = []
        self._renewed.clear()
        for step in steps:
            outcome = self._outcome(step)
            outcomes.append(outcome)
            if not isinstance(outcome, Applied):
                break
        for number, (step, outcome) in enumerate(zip(steps, outcomes, strict=False)):
            if isinstance(step, plan.Keep) and isinstance(outcome, Applied):
                outcomes[number] = self._settled(outcome)
        return outcomes

    def _settled(self, applied: Applied) -> Applied:
        """What a kept file's stat is once its other name was replaced: the removal of a link changes its ctime."""
        node = self._volume.look(applied.path)
        if node is None or applied.stat is None or not is_same_but_ctime(applied.stat, node.stat):
            return applied
        return replace(applied, stat=node.stat)

    def _outcome(self, step: Step) -> Outcome:
        for path in (step.path, step.to) if isinstance(step, plan.Keep | plan.Move) else (step.path,):
            if reason := why_not_canonical(path):
                return Failed(path, reason)
        if (scripted := self._volume.scripted_outcome(step)) is not None:
            return scripted
        try:
            self._require_usable()
            if self._volume.is_read_only:
                return Failed(step.path, os.strerror(errno.EROFS), is_resource=True)
            self._volume.trouble.require("write")
            self._kept = (b"", 0)
            applied = self._do(step)
            return replace(applied, kept=self._kept[0], kept_bytes=self._kept[1])
        except _NotApplied as stop:
            return stop.outcome
        except OSError as error:
            return Failed(step.path, str(error.strerror), is_resource=error.errno in RESOURCE_ERRORS)

    def _do(self, step: Step) -> Applied:
        first, latest = self._renewed.get(step.path, (None, None))
        if latest is not None and step.expect == first:
            step = replace(step, expect=latest)
        self._require_directory(step.path)
        self._touched.add(parent(step.path))
        match step:
            case plan.Place():
                return self._place(step)
            case plan.MakeDirectory():
                node = self._volume.new_node(stat.S_IFDIR | 0o755)
                self._touched.add(step.path)
                return self._arrive(step.path, step.expect, node, step.attributes, step.mtime_ns)
            case plan.MakeSymlink():
                if not step.target:
                    raise OSError(errno.EINVAL, "a symlink needs a target")
                node = self._volume.new_node(stat.S_IFLNK | 0o777, step.target)
                return self._arrive(step.path, step.expect, node, step.attributes, step.mtime_ns)
            case plan.SetAttributes():
                return self._set_attributes(step)
            case plan.Remove():
                return self._remove(step)
            case plan.Keep():
                return self._keep(step)
            case plan.Move():
                self._expected(step.path, step.expect)
                self._require_directory(step.to)
                self._touched |= {parent(step.to), step.to}
                self._expect_nothing(step.to)
                self._volume.rename(step.path, step.to)
                return self._applied(step.to, step.expect)
            case _:
                assert_never(step)

    # -- checks ----------------------------------------------------------------------------------------

    def _require_directory(self, path: Path) -> None:
        above = self._volume.look(parent(path))
        if above is None or not above.is_directory:
            raise _NotApplied(Stale(parent(path), "it is no directory any more"))
        if above.is_mount:
            raise _NotApplied(Failed(path, os.strerror(errno.EXDEV)))

    def _expect_nothing(self, path: Path) -> None:
        if self._volume.look(path) is not None:
            raise _NotApplied(Stale(path, "something is there already"))

    def _expected(self, path: Path, expect: StatKey | None) -> Node:
        node = self._volume.look(path)
        if node is None or expect is None or not is_as_expected(expect, node.stat):
            raise _NotApplied(Stale(path, "it is gone" if node is None else "it has changed"))
        return node

    def _make_room(self, path: Path, expect: StatKey | None) -> None:
        """What is expected at the path goes, if it may."""
        if expect is None:
            self._expect_nothing(path)
            return
        node = self._expected(path, expect)
        if node.children:
            raise _NotApplied(NotEmpty(path))
        if node.writers:
            raise _NotApplied(Stale(path, OPEN_FOR_WRITING))
        if node.is_directory:
            self._volume.delete(path)
        else:
            self._kept = self._displace(path, node)

    # -- single steps ----------------------------------------------------------------------------------

    def _place(self, step: plan.Place) -> Applied:
        if step.expect is None:
            self._expect_nothing(step.path)
        else:
            self._expected(step.path, step.expect)
        if step.digest not in self._verified:
            raise _NotApplied(Stale(step.path, "its content is not staged"))
        node = self._volume.staged[step.digest]
        applied = self._arrive(step.path, step.expect, node, step.attributes, step.mtime_ns)
        self._placed(step.digest)
        return applied

    def _arrive(
        self, path: Path, expect: StatKey | None, node: Node, wanted: Attributes | None, mtime_ns: int | None
    ) -> Applied:
        if expect is not None and (expect.is_directory or node.is_directory):
            self._make_room(path, expect)  # else the one takes the other's place
            expect = None
        with self._volume.durable.together():
            self._make_room(path, expect)
            return self._put(path, expect, node, wanted, mtime_ns)

    def _put(
        self, path: Path, expect: StatKey | None, node: Node, wanted: Attributes | None, mtime_ns: int | None
    ) -> Applied:
        if wanted is not None:
            self._dress(node, wanted)
        elif kind_of(node.mode) == Kind.FILE:
            node.mode = stat.S_IFREG | 0o644
        if mtime_ns is not None and not node.is_directory:
            node.mtime_ns = mtime_ns
        elif mtime_ns is not None:
            self._times[path] = mtime_ns
        self._volume.attach(path, node)
        return self._applied(path, expect)

    def _dress(self, node: Node, wanted: Attributes) -> None:
        if self._volume.may_chown:
            node.uid, node.gid = wanted.uid, wanted.gid
        if kind_of(node.mode) == Kind.SYMLINK:
            return
        local = node.mode & 0o3000 if node.is_directory else 0
        node.mode = stat.S_IFMT(node.mode) | local | wanted.mode
        own = {key: value for key, value in node.xattrs.items() if not is_replicated(key)}
        node.xattrs = own | {key: value for key, value in wanted.xattrs if is_replicated(key)}

    def _set_attributes(self, step: plan.SetAttributes) -> Applied:
        node = self._expected(step.path, step.expect)
        if kind_of(node.mode) != step.kind:
            raise _NotApplied(Stale(step.path, "it has changed"))
        if step.kind == Kind.FILE and node.writers and (step.mtime_ns is not None or node.links > 1):
            raise _NotApplied(Stale(step.path, OPEN_FOR_WRITING))
        if step.kind == Kind.FILE and node.links > 1:
            node.links -= 1
            alone = self._volume.new_node(node.mode & ~0o7000, node.data)
            alone.mtime_ns, alone.sparse, alone.xattrs = node.mtime_ns, node.sparse, dict(node.xattrs)
            alone.uid, alone.gid = node.uid, node.gid
            self._volume.durable.sync_data(alone)
            self._volume.attach(step.path, alone)
            node = alone
        if step.attributes is not None:
            self._dress(node, step.attributes)
        if step.mtime_ns is not None:
            node.mtime_ns = step.mtime_ns
        self._volume.stamp(node, is_content=False)
        self._touched.add(step.path)
        return self._applied(step.path, step.expect)

    def _remove(self, step: plan.Remove) -> Applied:
        if step.expect is None:
            self._expect_nothing(step.path)
        else:
            self._make_room(step.path, step.expect)
        self._touched.discard(step.path)
        return Applied(step.path, None, None)

    def _keep(self, step: plan.Keep) -> Applied:
        node = self._expected(step.path, step.expect)
        if node.writers:
            raise _NotApplied(Stale(step.path, OPEN_FOR_WRITING))
        self._require_directory(step.to)
        there = self._volume.look(step.to)
        if there is not None and there is not node:
            raise _NotApplied(Stale(step.to, "something is there already"))
        self._touched |= {parent(step.to), step.to}
        if there is None:
            self._volume.link(step.path, step.to)
        self._applied(step.path, step.expect)
        return self._applied(step.to, step.expect)

    def _applied(self, path: Path, before: StatKey | None) -> Applied:
        node = self._volume.find(path)
        if before is not None:
            first, latest = self._renewed.get(path, (before, before))
            self._renewed[path] = (first if latest == before else before, node.stat)
        return Applied(path, node.stat, node.attributes)

    def flush(self, seen: Collection[Path] = ()) -> None:
        """Make durable what was applied since the last call, and these paths; directories get their times at last."""
        self._require_usable()
        self.flushes += 1
        for path, mtime_ns in self._times.items():
            node = self._volume.look(path)
            if node is not None and node.is_directory:
                self._volume.stamp(node, is_content=False)
                node.mtime_ns = mtime_ns
        self._times.clear()
        touched, self._touched = self._touched, set()
        for path in sorted(with_names(touched).union(seen), reverse=True):
            self._sync(path)

    def _sync(self, path: Path) -> None:
        """Make durable what stands at a path; if nothing does any more, it has another name by now: everything."""
        self._volume.trouble.require("sync")
        node = self._volume.look(path)
        if node is None:
            self._volume.durable.sync_all(self._volume.root)
        else:
            self._volume.durable.sync(node)

    # -- reading ---------------------------------------------------------------------------------------

    def read(self, path: Path, stat: StatKey, offset: int, length: int) -> bytes | None:
        """Bytes of a file for a peer, None if the file is no longer the one of ``stat``. Raises ``OSError``."""
        node = self._volume.look(path) if self.is_same_root() else None
        if node is None or node.stat != stat:
            return None
        if node.is_unreadable:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        self._volume.trouble.require("read")
        return self._volume.trouble.spoil(node.data[offset : offset + length])
