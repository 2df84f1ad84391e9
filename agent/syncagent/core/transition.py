"""From the changes of one decision to the steps that make the disk follow.

The order within a unit: what is displaced gets its second name first, then what must make room goes, directories come
from the top down, then contents arrive, and at last what is deleted goes from the bottom up. A unit is done whole or
its decision is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from msgspec import structs

from syncagent.core.plan import Keep, MakeDirectory, MakeSymlink, Move, Place, Remove, SetAttributes, StatKey, Step
from syncproto.model import Attributes, Entry, Kind, Path


@dataclass(frozen=True, slots=True)
class Change:
    """One path of a decision: what the disk holds (``before`` with its stat), and what it shall hold."""

    path: Path
    before: Entry | None
    stat: StatKey | None
    after: Entry | None

    @property
    def was_live(self) -> bool:
        return self.before is not None and self.before.is_live

    @property
    def is_live(self) -> bool:
        return self.after is not None and self.after.is_live

    @property
    def is_structural(self) -> bool:
        """Whether the disk must change in more than attributes."""
        if not self.was_live or not self.is_live:
            return self.was_live or self.is_live
        assert self.before is not None and self.after is not None
        return not self.before.same_payload(self.after)


@dataclass(slots=True)
class Plan:
    """Steps for one unit, or what stands in their way."""

    steps: list[Step] = field(default_factory=list)
    needs: list[Entry] = field(default_factory=list)
    """Files whose content must be staged first."""
    unlooked: list[Path] = field(default_factory=list)
    """Paths whose state on the disk is not known: they must be looked at first."""


def plan(changes: Sequence[Change], is_staged: Callable[[bytes], bool]) -> Plan:
    """Steps that take the disk from ``before`` to ``after`` for all changes of one decision."""
    structural = [change for change in changes if change.is_structural]
    result = Plan(unlooked=[c.path for c in structural if c.was_live and c.stat is None])
    if result.unlooked:
        return result
    donors = [c for c in structural if c.was_live and c.before is not None and c.before.is_leaf]
    moved: set[Path] = set()
    keeps: list[Step] = []
    arrivals: list[Step] = []
    for change in structural:
        if change.after is None or not change.after.is_leaf:
            continue
        step = _arrival(change, donors, moved, is_staged)
        if step is None:
            result.needs.append(change.after)
        elif isinstance(step, Keep):
            keeps.append(step)
        else:
            arrivals.append(step)
    result.steps = [
        *keeps,
        *_make_room(structural),
        *_directories(structural),
        *arrivals,
        *_removals(structural, moved),
    ]
    return result


def _arrival(change: Change, donors: list[Change], moved: set[Path], is_staged: Callable[[bytes], bool]) -> Step | None:
    after = change.after
    assert after is not None
    expect = change.stat if change.was_live and not _changes_nature(change) else None
    attributes = after.metadata.value
    if not change.was_live:
        for donor in donors:
            if donor.before is not None and donor.before.same_payload(after) and donor.path not in moved:
                if donor.is_live:
                    return Keep(donor.path, donor.stat, change.path)
                moved.add(donor.path)
                return Move(donor.path, donor.stat, change.path)
    if after.kind == Kind.SYMLINK:
        return MakeSymlink(change.path, expect, after.content or b"", attributes, after.effective_mtime_ns)
    digest = after.content or b""
    if not is_staged(digest):
        return None
    return Place(change.path, expect, digest, after.size, attributes, after.effective_mtime_ns)


def _changes_nature(change: Change) -> bool:
    """Between a leaf and a directory: the old one must make room first."""
    if change.before is None or change.after is None or not (change.before.is_live and change.after.is_live):
        return False
    return change.before.is_leaf != change.after.is_leaf


def _make_room(structural: list[Change]) -> list[Step]:
    return [Remove(c.path, c.stat, c.before.kind) for c in structural if c.before is not None and _changes_nature(c)]


def _directories(structural: list[Change]) -> list[Step]:
    new = [c.after for c in structural if c.after is not None and c.after.kind == Kind.DIRECTORY]
    return [
        MakeDirectory(e.path, None, e.metadata.value, e.effective_mtime_ns or None)
        for e in sorted(new, key=lambda e: e.path.count(b"/"))
    ]


def _removals(structural: list[Change], moved: set[Path]) -> list[Step]:
    gone = [c for c in structural if c.was_live and not c.is_live and c.path not in moved]
    gone.sort(key=lambda c: -c.path.count(b"/"))
    return [Remove(c.path, c.stat, c.before.kind) for c in gone if c.before is not None]


def restyle(entry: Entry, stat: StatKey, actual: Attributes) -> SetAttributes | None:
    """The step that gives a path the attributes its entry has, or None where it has them."""
    wanted = entry.metadata.value
    mtime_ns = entry.effective_mtime_ns if entry.kind == Kind.FILE else None
    if entry.kind != Kind.FILE and wanted is not None and wanted.mtime_ns is not None:
        mtime_ns = wanted.mtime_ns
    if mtime_ns == stat.mtime_ns:
        mtime_ns = None
    if wanted is None:
        has_attributes = True
    else:
        ours, theirs = (structs.replace(a, mtime_ns=None) for a in (wanted, actual))
        if entry.kind == Kind.SYMLINK:
            ours, theirs = (structs.replace(a, mode=0o777, xattrs=()) for a in (ours, theirs))  # it has none
        has_attributes = ours == theirs
    if has_attributes and mtime_ns is None:
        return None
    return SetAttributes(entry.path, stat, entry.kind, None if has_attributes else wanted, mtime_ns)
