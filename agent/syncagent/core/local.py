"""Changes made here. Every new dot of this replica is minted in this module.

Clocks and stamps are nanoseconds since the epoch. The wall clock only orders; whoever mints clamps it, because a
receiver that altered a stamp would never agree with the others again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from msgspec import structs

from syncagent.core.conflict import is_displaced
from syncagent.core.lineage import UNKNOWN, Lineage
from syncagent.core.state import Overlay, State
from syncproto import limits
from syncproto.model import PLACEHOLDER, Attributes, Entry, Kind, Metadata, Path
from syncproto.version import Dot, covers, join

CLOCK_MAX = limits.STAMP_MAX - 2**40
"""A clock beyond it is taken for this: successors must find room above."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a user put at a path. ``content`` is as in an entry; a tombstone's is filled from what it deletes."""

    kind: Kind
    content: bytes | None = None
    size: int = 0
    mtime_ns: int = 0
    sparse: bool = False


DIRECTORY = Content(Kind.DIRECTORY)


def content_of(entry: Entry) -> Content:
    """What ``entry`` stands for, to be minted again. A ``touch`` goes along, whatever the new stamp."""
    return Content(entry.kind, entry.content, entry.size, entry.effective_mtime_ns, entry.sparse)


class Local:
    """Records what users of this replica did, and what its rules make anew."""

    def __init__(self, state: State) -> None:
        self.state = state

    def change(
        self,
        path: Path,
        content: Content,
        clock: int,
        *,
        attributes: Attributes | None = None,
        source: Entry | None = None,
    ) -> Entry:
        """A user wrote, created, moved or deleted ``path``, having seen what the disk held: never what is pending.

        ``source`` is the entry that was moved or copied here. Without ``attributes`` the metadata register stays.
        """
        current = self.state.entry(path)
        seen = [current] if current else []
        stamp = clamped(clock)
        if current and _is_touched(current.metadata):
            stamp = max(stamp, current.metadata.stamp + 1)  # the time of the new content counts, not that of the touch
        if current and content.kind == Kind.TOMBSTONE:
            content = replace(content, content=current.content)
        minted = self._mint(path, content, stamp, *seen, attributes=attributes, source=source)
        if is_displaced(path) and minted.is_leaf and not minted.is_copy and not seen:
            return self._put(structs.replace(minted, is_copy=True))
        return minted

    def change_metadata(self, path: Path, attributes: Attributes, clock: int) -> Entry:
        """A user changed only the metadata of ``path``, which must have an entry: the content keeps its dot."""
        here = self._entry(path)
        dot = self._next_dot()
        stamp = max(clamped(clock), here.metadata.stamp + 1)
        if attributes.mtime_ns is not None:
            stamp = max(stamp, here.stamp)  # the time of this touch counts, not that of the content
        return self._put(structs.replace(here, metadata=Metadata(attributes, stamp, *dot, author=dot)))

    def adopt(self, path: Path, content: Content, attributes: Attributes | None, lineage: Lineage = UNKNOWN) -> Entry:
        """Rule 11: ``path`` was found on disk without an index: nobody knows how old it is, so it ranks lowest.

        Where ``lineage`` knows the content of old, it is what it was then. Where the disk is known to have moved on
        from what the old index had, what is found has seen that.
        """
        known = lineage.entry_of(content.kind, content.content)
        if known is not None:
            return self._adopt_known(known, content, attributes, lineage)
        if lineage.is_older and lineage.latest is not None:
            before = lineage.trimmed(lineage.latest)
            return self._mint(path, content, before.stamp + 1, before, attributes=attributes)
        return self._mint(path, content, 0, attributes=attributes)

    def _adopt_known(self, known: Entry, content: Content, attributes: Attributes | None, lineage: Lineage) -> Entry:
        """A content that stood here once: with its old dot, or, where that is in doubt, with a new one like it."""
        trimmed = lineage.trimmed(known)
        is_register_known = trimmed.metadata == known.metadata
        if not lineage.is_sound(known):
            given = None if is_register_known else attributes
            return self._mint(known.path, content, known.stamp, trimmed, attributes=given)
        if not is_register_known:
            dot = self._next_dot()
            trimmed = structs.replace(trimmed, metadata=Metadata(attributes, known.metadata.stamp, *dot, author=dot))
        if (current := self.state.entry(known.path)) is not None:
            self.state.put_pending(current)  # it came before the disk was looked at, and meets what it replaced
        return self._put(trimmed)

    def wish(
        self,
        path: Path,
        content: Content,
        clock: int,
        *,
        attributes: Attributes | None = None,
        source: Entry | None = None,
    ) -> Entry:
        """A person wants ``path`` to be so, having seen what the disk holds: pending until the disk has followed.

        Unlike all other entries of this replica it is known before it is applied. A change that a user makes here
        before that takes its place: its dot covers that of the wish.
        """
        overlay = Overlay(self.state)
        wished = Local(overlay).change(path, content, clock, attributes=attributes, source=source)
        self.state.counter, self.state.known = overlay.counter, overlay.known
        self.state.put_pending(wished)
        return wished

    # -- minting -------------------------------------------------------------------------------

    def _mint(
        self,
        path: Path,
        content: Content,
        stamp: int,
        *seen: Entry,
        attributes: Attributes | None = None,
        source: Entry | None = None,
    ) -> Entry:
        """Record a change made here; ``seen`` are the entries that it knowingly replaces.

        The stamp exceeds that of whatever stands, or stood, at the path, seen or not: a replica's own entry never ranks
        below the one it takes the place of.
        """
        current = self.state.entry(path)
        stamp = max(stamp, (current.stamp if current else self.state.floor) + 1)
        # What was moved here holds back the acknowledgement of the write under its old name.
        carried = join(*(e.carried for e in seen), *((source.version, source.carried) if source else ()))
        registers = [e.metadata for e in seen] + ([current.metadata] if current else [])
        metadata = max([PLACEHOLDER, *registers], key=lambda register: register.rank)
        origin, counter = dot = self._next_dot()
        if attributes is not None:
            metadata = Metadata(attributes, max(stamp, metadata.stamp + 1), *dot, author=dot)
        return self._put(
            Entry(
                path=path,
                kind=content.kind,
                content=content.content,
                origin=origin,
                counter=counter,
                version=join(*(e.version for e in seen), [dot]),
                stamp=stamp,
                metadata=metadata,
                carried=carried,
                is_copy=any(e.is_copy for e in seen),
                size=content.size,
                mtime_ns=content.mtime_ns,
                sparse=content.sparse,
            )
        )

    def _mint_metadata_again(self, path: Path) -> None:
        """Give the register of ``path`` a new dot, so that it travels; it keeps its author's rank."""
        here, (origin, counter) = self._entry(path), self._next_dot()
        register = structs.replace(here.metadata, origin=origin, counter=counter, again=here.metadata.again + 1)
        self._put(structs.replace(here, metadata=register))

    def _next_dot(self) -> Dot:
        state = self.state
        state.counter += 1
        minted = {state.origin: state.counter}
        has_all_ours = covers(state.applied, (state.origin, state.known.get(state.origin, 0)))
        state.known = {**state.known, **minted}
        if has_all_ours:  # else a wish is pending, and holds back the acknowledgement
            state.applied = {**state.applied, **minted}
        return state.origin, state.counter

    def _put(self, entry: Entry) -> Entry:
        self.state.put(entry)
        return entry

    def _entry(self, path: Path) -> Entry:
        entry = self.state.entry(path)
        if entry is None:
            raise KeyError(f"{path!r} has no entry here: record its content before its metadata")
        return entry

    def _is_live(self, path: Path) -> bool:
        entry = self.state.entry(path)
        return entry is not None and entry.is_live


def clamped(clock: int) -> int:
    """A reading of the wall clock as a stamp that may travel."""
    return min(max(clock, 0), CLOCK_MAX)


def _is_touched(metadata: Metadata) -> bool:
    return metadata.value is not None and metadata.value.mtime_ns is not None
