"""Is this root the one that the index describes, and is this index the latest? On any doubt: halt, or begin anew.

A root that is gone, empty where it was not, of another volume, or another directory is never a mass delete.
"""

from __future__ import annotations

import errno
import logging
import os
from typing import TYPE_CHECKING

import msgspec
import xxhash

from syncagent.core.lineage import UNKNOWN, Lineage, sound_vector
from syncagent.core.members import gone
from syncagent.core.starts import CHANCE_BYTES, Marked, judge_marker, judge_number, next_start
from syncagent.disk.errors import MACHINE_ERRORS, describe
from syncagent.engine.problems import rfc3339, split
from syncagent.ports import Marker, Root
from syncproto.model import Path
from syncproto.version import Vector

if TYPE_CHECKING:
    from syncagent.engine.volume import Volume

log = logging.getLogger("syncagent.engine")

UNLOOKED_CODE = "root"
ROOT_KEY = "root"
JOINING_KEY = "joining"
MARKED_KEY = "marked"
WRITTEN_KEY = "marked-start"
"""The newest start of this incarnation that is known to be written on the root."""
MEANT_KEY, DONE_KEY = "mark-meant", "mark-done"
"""The number of the last marking of the root: noted before it is written there, and after."""
MARK_SECONDS = 2.0
"""So often the root is marked anew while the index changes: what is older than that is noticed."""
CEILINGS_KEY = "ceilings"
"""Up to which counter the changes of former incarnations are beyond doubt."""
LINEAGE_KEY = "lineage"
NOTE_KEY = "new-incarnation"
NOTE_SECONDS = 86400.0
"""For so long it is shown that a new incarnation began, and why."""

_LINEAGE = msgspec.msgpack.Decoder(tuple[Vector, bool])
_CEILINGS = msgspec.msgpack.Decoder(Vector)
_NOTE = msgspec.msgpack.Decoder(tuple[str, int])


def new_origin(agent: str, seed: bytes) -> str:
    """An incarnation id: the agent's name, so that people can read it, and 8 random letters."""
    return f"{agent}.{xxhash.xxh32(seed).hexdigest()}"


class Identity:
    """Guards one volume's root and its incarnation."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._context = volume.context
        self._facts: tuple[Vector, bool] | None = None
        """Of the former incarnation: which dots are sound, and whether its index is older than the disk."""
        self._marked: tuple[int, float] = (-1, 0.0)
        """The sequence of the index at the last marking, and when that was."""

    # -- at the start -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Compare root, marker and index."""
        context, index = self._context, self._context.index
        before = tuple(start.id for start in index.starts)
        index.add_start(next_start(index.starts, context.clock.entropy(CHANCE_BYTES)))
        self._show_the_last_doubt()
        cause = self._why_not_sound(is_starting=True)
        if cause is None:
            self._settle_marker(before)
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
            if error.errno in MACHINE_ERRORS and not is_starting:
                raise
            return f"{path} cannot be read: {error.strerror}"
        if not is_starting and not context.tree.is_same_root():
            return f"{path} is another directory than the one this agent opened: replaced, moved away or unmounted"
        if marker is not None and marker.volume != context.id:
            return f"{path} holds the marker of another volume"
        if marker is None and index.get(MARKED_KEY):
            what = "an empty directory" if root.is_empty else "a directory"
            return f"{path} is {what} without this volume's marker: replaced, or not mounted"
        return None

    def _settle_marker(self, starts: tuple[bytes, ...]) -> None:
        """The root is this volume's. Whether the index is the one that goes with it is another question."""
        context, index = self._context, self._context.index
        root, marker = context.tree.root(), context.tree.read_marker()
        if index.get(ROOT_KEY) is None:
            if marker is not None:
                self._note("the index of this volume, which was replicated before, is missing")
            self._begin_joining()
        elif (doubt := self._why_parted(root, marker, starts)) is not None:
            self.reincarnate(doubt.value, is_older=doubt is Marked.INDEX_IS_OLDER)
            return
        elif index.get(JOINING_KEY):
            self._begin_joining()
        self._write_marker(root)
        self._show_the_last_doubt()

    def _why_parted(self, root: Root, marker: Marker | None, starts: tuple[bytes, ...]) -> Marked | None:
        """Why root and index do not belong together, although both are of this volume; None if they do."""
        index, written = self._context.index, self._context.index.get(WRITTEN_KEY)
        verdict = Marked.SOUND
        if marker is not None and marker.incarnation != index.origin:
            # An end came before the root was marked for this incarnation, or it cannot be marked.
            verdict = Marked.SOUND if written is None else Marked.PARTED
        elif marker is not None:
            verdict = judge_marker(starts, written, marker.start)
            if verdict is Marked.SOUND and marker.start:
                verdict = judge_number(self._number(DONE_KEY), self._number(MEANT_KEY), marker.number)
        place = index.get(ROOT_KEY)
        if verdict is Marked.SOUND and place is not None and int(place) != root.inode:
            verdict = Marked.COPIED
        return None if verdict is Marked.SOUND else verdict

    def _number(self, key: str) -> int:
        return int(self._context.index.get(key) or 0)

    def mark_again(self, *, at_once: bool = False) -> None:
        """The index has changed since the root was marked: let both tell so. Not while anything waits for a commit."""
        context, index = self._context, self._context.index
        sequence, since = self._marked
        is_due = at_once or context.now - since >= MARK_SECONDS
        if index.sequence == sequence or not is_due or context.halt or context.is_changed or context.is_applied:
            return
        root = self._root()
        if root is not None and self._why_not_sound() is None:
            self._write_marker(root)

    def _write_marker(self, root: Root) -> None:
        context, index = self._context, self._context.index
        index.set(ROOT_KEY, str(root.inode).encode())
        self._marked = index.sequence, context.now
        if not root.is_read_only:
            start, number = index.starts[-1].id, self._number(MEANT_KEY) + 1
            index.set(MEANT_KEY, str(number).encode())
            index.commit(durable=True)
            try:
                context.tree.write_marker(Marker(context.id, index.origin, start, number))
            except OSError as error:
                context.problems.add(
                    "marker",
                    f"the root cannot be marked: {error.strerror}; a replaced root will be noticed by its inode only",
                    remedy="let the agent write to the volume's root",
                )
            else:
                index.set(MARKED_KEY, b"1")
                index.set(WRITTEN_KEY, start)
                index.set(DONE_KEY, str(number).encode())
                context.problems.clear("marker")
        context.is_changed = True

    def _begin_joining(self) -> None:
        index = self._context.index
        index.set(JOINING_KEY, b"1")
        facts = index.get(LINEAGE_KEY)
        self._facts = _LINEAGE.decode(facts) if facts else None
        self._volume.lookout.is_joining = True

    def lineage_of(self, path: Path) -> Lineage:
        """What the former incarnation knew of a path, while this one looks at everything for the first time."""
        index = self._context.index
        if self._facts is None:
            return UNKNOWN
        before = (past.before for past in index.history_of(path))
        once = [entry for entry in before if entry is not None and entry.is_live and entry.counter]
        sound, is_older = self._facts
        return Lineage(sound, index.lineage(path), once, is_older)

    def scanned(self) -> None:
        """A full scan has seen everything: from now on what is new is a user's change."""
        index = self._context.index
        self._volume.lookout.is_joining = False
        if index.get(JOINING_KEY):
            for key in (JOINING_KEY, LINEAGE_KEY):
                index.set(key, None)
            index.end_lineage()
            self._facts = None
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
        try:
            cause = self._why_not_sound()
        except OSError as error:
            self._show_unlooked(error)
            return False
        self._context.problems.clear(UNLOOKED_CODE)
        if cause is not None:
            self.halt(cause)
        return cause is None

    def _show_unlooked(self, error: OSError) -> None:
        """The machine does not let us look: that says nothing of the root, and no delete is believed meanwhile."""
        context = self._context
        cause, remedy = split(describe(error), "see to this cause")
        context.problems.add(
            UNLOOKED_CODE,
            f"the volume's root cannot be looked at: {cause}",
            remedy=remedy,
            is_blocking=True,
            wall_ns=context.clock.wall_ns(),
        )

    def check_now_and_then(self) -> None:
        """Halt when the root has gone; go on when it is back."""
        context = self._context
        self._show_the_last_doubt()
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
        try:
            marker, root = tree.read_marker(), tree.root()
        except OSError:
            return
        if marker is None or (marker.volume, marker.incarnation) != (context.id, context.index.origin):
            return
        doubt = self._why_parted(root, marker, tuple(start.id for start in context.index.starts))
        if doubt is Marked.COPIED:
            return  # another directory: a person must say what it is
        if doubt is not None:
            self.reincarnate(doubt.value, is_older=doubt is Marked.INDEX_IS_OLDER)
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

    # -- a new incarnation -----------------------------------------------------------------------------------

    def reincarnate(self, why: str, *, is_older: bool = False, ceiling: int | None = None) -> None:
        """Begin anew under a new incarnation. What is found is a fact of old where that is sound, else it ranks lowest.

        ``is_older``: the index is older than what is on the disk. ``ceiling``: the own counter above which dots were
        perhaps used by a history that is lost; None: the index is the latest there was.
        """
        context, index, volume = self._context, self._context.index, self._volume
        old = index.origin
        self._keep_facts(is_older, ceiling)
        for key in (WRITTEN_KEY, MEANT_KEY, DONE_KEY):
            index.set(key, None)
        self._note(why)
        entropy = context.clock.entropy
        index.reincarnate(new_origin(context.agent, entropy(16)), next_start((), entropy(CHANCE_BYTES)))
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
        volume.membership.enlist()
        index.commit(durable=True)  # before the marker: else an end in between would hide what was found out
        root = self._root()
        if root is not None:
            self._write_marker(root)
        index.commit(durable=True)
        self._show_the_last_doubt()
        volume.restarted()

    def _keep_facts(self, is_older: bool, ceiling: int | None) -> None:
        """Note which dots may be used again as they are: those that others have, of histories that are beyond doubt."""
        index, membership = self._context.index, self._volume.membership
        ceilings = index.get(CEILINGS_KEY)
        bounds = _CEILINGS.decode(ceilings) if ceilings else {}
        if ceiling is not None:
            bounds[index.origin] = ceiling
            index.set(CEILINGS_KEY, msgspec.msgpack.encode(bounds))
        heard = [membership.applied_of(member.incarnation) for member in membership.others()]
        index.set(LINEAGE_KEY, msgspec.msgpack.encode((sound_vector(heard, bounds), is_older)))

    def _note(self, why: str) -> None:
        self._context.index.set(NOTE_KEY, msgspec.msgpack.encode((why, self._context.clock.wall_ns())))
        self._context.problems.clear(NOTE_KEY)

    def _show_the_last_doubt(self) -> None:
        """For a day, also after a restart, people see that and why a new incarnation began."""
        context, note = self._context, self._context.index.get(NOTE_KEY)
        if note is None:
            return
        why, when = _NOTE.decode(note)
        if context.clock.wall_ns() - when > NOTE_SECONDS * 1e9:
            context.index.set(NOTE_KEY, None)
            context.problems.clear(NOTE_KEY)
            context.is_changed = True
        elif not context.problems.has(NOTE_KEY):
            text = f"a new incarnation began at {rfc3339(when)}: {why}; the files here were united with the others'"
            context.problems.add(NOTE_KEY, text, remedy="none is needed; this note goes after a day", wall_ns=when)

    def rolled_back(self, why: str, ceiling: int) -> None:
        """Peers know changes of ours that we do not: this index is older than what it has told.

        The marker fitted when it was opened, so the disk is not older than the index: what differs is later.
        """
        log.error("volume %s: %s", self._context.options.name, why)
        self.reincarnate(why, is_older=True, ceiling=ceiling)
        self._volume.resume()
