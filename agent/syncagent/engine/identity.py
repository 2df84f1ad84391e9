"""Is this root the one that the index describes, and is this index the latest? On any doubt: halt, or begin anew.

A root that is gone, empty where it was not, of another volume, or another directory is never a mass delete.
"""

from __future__ import annotations

import errno
import logging
import os
from typing import TYPE_CHECKING

import xxhash

from syncagent.core.members import gone
from syncagent.ports import Marker, PeerUp, Root
from syncproto.messages import VolumeHello

if TYPE_CHECKING:
    from syncagent.engine.volume import Volume

log = logging.getLogger("syncagent.engine")

ROOT_KEY = "root"
JOINING_KEY = "joining"
MARKED_KEY = "marked"


def new_origin(agent: str, seed: bytes) -> str:
    """An incarnation id: the agent's name, so that people can read it, and 8 random letters."""
    return f"{agent}.{xxhash.xxh32(seed).hexdigest()}"


class Identity:
    """Guards one volume's root and its incarnation."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._context = volume.context

    # -- at the start -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Compare root, marker and index."""
        context, index = self._context, self._context.index
        index.add_start(context.clock.entropy(8))
        cause = self._why_not_sound(is_starting=True)
        if cause is None:
            self._settle_marker()
            return
        root = self._root()
        if context.options.on_empty == "refill" and root is not None and root.is_empty and root.is_mount_point:
            log.warning("volume %s: the root is empty and is filled again: %s", context.options.name, cause)
            self.reincarnate("the volume was found empty at the start")
            return
        self.halt(cause)

    def _root(self) -> Root | None:
        try:
            return self._context.tree.root()
        except OSError:
            return None

    def _why_not_sound(self, *, is_starting: bool = False) -> str | None:
        """The reason why the root is not the one that the index describes, or None."""
        context, index = self._context, self._context.index
        path = os.fsdecode(context.options.path)
        try:
            root = context.tree.root()
            marker = context.tree.read_marker()
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return f"{path} is gone"
            return f"{path} cannot be read: {error.strerror}"
        if not is_starting and not context.tree.is_same_root():
            return f"{path} is another directory than the one this agent opened: replaced, moved away or unmounted"
        if marker is not None and marker.volume != context.id:
            return f"{path} holds the marker of another volume"
        if marker is None and index.get(MARKED_KEY):
            what = "an empty directory" if root.is_empty else "a directory"
            return f"{path} is {what} without this volume's marker: replaced, or not mounted"
        return None

    def _settle_marker(self) -> None:
        """The root is this volume's. Whether the index is the one that goes with it is another question."""
        context, index = self._context, self._context.index
        root, marker = context.tree.root(), context.tree.read_marker()
        place = index.get(ROOT_KEY)
        if place is None or index.get(JOINING_KEY):
            self._begin_joining()
        elif marker is not None and marker.incarnation != index.origin:
            self.reincarnate("marker and index disagree")
            return
        elif place is not None and int(place) != root.inode:
            self.reincarnate("the volume is a copy of the one that the index describes")
            return
        self._write_marker(root)

    def _write_marker(self, root: Root) -> None:
        context, index = self._context, self._context.index
        index.set(ROOT_KEY, str(root.inode).encode())
        if not root.is_read_only:
            try:
                context.tree.write_marker(Marker(context.id, index.origin))
            except OSError as error:
                context.problems.add(
                    "marker",
                    f"the root cannot be marked: {error.strerror}; a replaced root will be noticed by its inode only",
                    remedy="let the agent write to the volume's root",
                )
            else:
                index.set(MARKED_KEY, b"1")
                context.problems.clear("marker")
        context.is_changed = True

    def _begin_joining(self) -> None:
        self._context.index.set(JOINING_KEY, b"1")
        self._volume.lookout.is_joining = True

    def scanned(self) -> None:
        """A full scan has seen everything: from now on what is new is a user's change."""
        index = self._context.index
        self._volume.lookout.is_joining = False
        if index.get(JOINING_KEY):
            index.set(JOINING_KEY, None)
            self._context.is_changed = True
        if self._context.halt is None and not index.get(MARKED_KEY):
            root = self._root()
            if root is not None:
                self._write_marker(root)

    # -- while it runs ---------------------------------------------------------------------------------------

    def check(self) -> bool:
        """Whether the root is sound; if not, the volume is halted."""
        if self._context.halt:
            return False
        cause = self._why_not_sound()
        if cause is not None:
            self.halt(cause)
        return cause is None

    def check_now_and_then(self) -> None:
        """Halt when the root has gone; go on when it is back."""
        context = self._context
        if context.halt is None:
            self.check()
            return
        if context.index.get(MARKED_KEY) is None:
            return
        try:
            scanner, tree = self._volume.reopen()
        except OSError:
            return
        context.scanner, context.tree = scanner, tree
        marker, root = tree.read_marker(), self._root()
        is_ours = marker == Marker(context.id, context.index.origin)
        if is_ours and root is not None and str(root.inode).encode() == context.index.get(ROOT_KEY):
            log.info("volume %s: the root is back", context.options.name)
            self._resume()

    def halt(self, cause: str) -> None:
        """Publish and apply nothing until the cause goes or a person acts."""
        context = self._context
        context.halt = cause
        name = context.options.name
        log.error("volume %s is halted: %s. 'syncctl adopt %s' takes what is there now", name, cause, name)
        context.problems.add(
            "halted",
            f"halted: {cause}",
            remedy=f"bring the volume back, or run 'syncctl adopt {name}': what is there now becomes a new replica",
            is_blocking=True,
            wall_ns=context.clock.wall_ns(),
        )
        self._volume.halted()

    def _resume(self) -> None:
        self._context.halt = None
        self._context.problems.clear("halted")
        self._volume.resume()

    def adopt(self) -> None:
        """What is at the root now is a new replica: union, no delete is inferred. Raises ``OSError``."""
        context = self._context
        context.scanner, context.tree = self._volume.reopen()
        context.tree.root()
        context.halt = None
        context.problems.clear("halted")
        self.reincarnate("adopted")
        self._volume.resume()
        context.index.commit(durable=True)

    def reincarnate(self, why: str) -> None:
        """Begin anew under a new incarnation; what is on the disk is found again, and ranks lowest."""
        context, index, volume = self._context, self._context.index, self._volume
        old = index.origin
        name = context.agent
        index.reincarnate(new_origin(name, context.clock.entropy(16)))
        context.reconciler = type(context.reconciler)(index)
        log.warning("volume %s: new incarnation %s: %s", context.options.name, index.origin, why)
        for member in index.members():
            if member.incarnation == old and not member.is_gone:
                index.put_member(gone(member, context.clock.wall_ns()))
        context.residues.clear()
        volume.membership.root.reset()
        volume.lookout.reset()
        volume.walker.reset()
        self._begin_joining()
        root = self._root()
        if root is not None:
            self._write_marker(root)
        volume.membership.enlist()
        index.commit(durable=True)
        volume.restarted()

    def rolled_back(self, counter: int) -> None:
        """A peer knows a change of ours that we do not: this index is older than what it has told."""
        log.error(
            "volume %s: peers know change %d of this replica, the index only %d: it was rolled back",
            self._context.options.name,
            counter,
            self._context.index.counter,
        )
        self.reincarnate("the index was rolled back")
        self._volume.resume()

    # -- peers ----------------------------------------------------------------------------------------------------

    def accepts(self, event: PeerUp, hello: VolumeHello) -> bool:
        """Whether the peer's incarnation is what it says: not a clone of ours, nor of another that is connected."""
        context, index = self._context, self._context.index
        rival = next((v for v in context.views.values() if v.incarnation == hello.incarnation), None)
        is_clone = hello.incarnation == index.origin or rival is not None and rival.name != event.hello.agent
        if is_clone:
            context.problems.add(
                "clone",
                f"{event.hello.agent} has the same incarnation as {rival.name if rival else 'this replica'}: "
                "its state directory is a copy",
                remedy="stop that agent, empty its state directory, and start it again",
                is_blocking=True,
                wall_ns=context.clock.wall_ns(),
            )
            return False
        if hello.starts:
            index.set_start_of(hello.incarnation, hello.starts[-1])
            context.is_changed = True
        return True
