"""What a look at the disk means: nothing, a change of metadata, or a change of content.

The disk is compared with what the disk was last seen to hold, never with what the entry wants: an owner that this
replica may not apply is no local change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec import structs

from syncagent.core.plan import StatKey
from syncproto.model import Attributes, Entry, Kind, Path


@dataclass(frozen=True, slots=True)
class Seen:
    """What stands at a path, in the core's terms."""

    kind: Kind
    content: bytes | None
    stat: StatKey
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Same:
    """Nothing a peer need know; the stat may be new."""


@dataclass(frozen=True, slots=True)
class Restyled:
    """Only the metadata changed: the whole new register."""

    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The content is new; ``attributes`` None: the register stays as it is."""

    attributes: Attributes | None


Verdict = Same | Restyled | Rewritten


def detect(entry: Entry | None, stat: StatKey | None, held: Attributes | None, seen: Seen) -> Verdict:
    """Compare ``seen`` with the entry and with the ``stat`` and attributes that this disk was last seen to have."""
    if entry is None or not entry.is_live:
        return Rewritten(seen.attributes)
    if entry.kind != seen.kind or entry.content != seen.content:
        is_styled = held is None or not _is_equal(held, seen.attributes) or entry.kind != seen.kind
        if not is_styled:
            return Rewritten(None)
        # An earlier touch is over: the new content came with its own time.
        return Rewritten(structs.replace(_merged(entry, held, seen.attributes, None), mtime_ns=None))
    touched = seen.kind == Kind.FILE and stat is not None and stat.mtime_ns != seen.stat.mtime_ns
    if held is not None and _is_equal(held, seen.attributes) and not touched:
        return Same()
    if held is None and stat is None:
        touched = seen.kind == Kind.FILE and entry.effective_mtime_ns != seen.stat.mtime_ns
        if entry.metadata.value is not None and _is_equal(entry.metadata.value, seen.attributes) and not touched:
            return Same()
    return Restyled(_merged(entry, held, seen.attributes, seen.stat.mtime_ns if touched else None))


def _is_equal(left: Attributes, right: Attributes) -> bool:
    return structs.replace(left, mtime_ns=None) == structs.replace(right, mtime_ns=None)


def _merged(entry: Entry, held: Attributes | None, seen: Attributes, mtime_ns: int | None) -> Attributes:
    """What the user changed, on top of what the entry wants: it may want what this disk does not have."""
    wanted = entry.metadata.value
    if mtime_ns is None and wanted is not None and entry.metadata.stamp >= entry.stamp and entry.kind == Kind.FILE:
        mtime_ns = wanted.mtime_ns
    if held is None or wanted is None:
        return structs.replace(seen, mtime_ns=mtime_ns)
    return Attributes(
        mode=wanted.mode if held.mode == seen.mode else seen.mode,
        uid=wanted.uid if held.uid == seen.uid else seen.uid,
        gid=wanted.gid if held.gid == seen.gid else seen.gid,
        xattrs=wanted.xattrs if held.xattrs == seen.xattrs else seen.xattrs,
        mtime_ns=mtime_ns,
    )


def creations_first(paths: Iterable[Path]) -> list[Path]:
    """Parents before children: every prefix of the history has whole directories."""
    return sorted(paths, key=lambda path: (path.count(b"/"), path))


def deletions_first(paths: Iterable[Path]) -> list[Path]:
    """Children before parents."""
    return sorted(paths, key=lambda path: (-path.count(b"/"), path))
