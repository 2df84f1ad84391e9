"""Ends a conflict as a person decides: one content stands, the other goes to the history; or both stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncagent.core.conflict import copied_from, is_displaced, ordinary_paths
from syncagent.engine.problems import printable
from syncagent.engine.wayback import Wishes, require_sound
from syncagent.status import CommandRefused
from syncproto.model import Entry, Path
from syncproto.paths import name as name_of

if TYPE_CHECKING:
    from syncagent.engine.volume import Volume

BOTH = "both"


@dataclass(frozen=True, slots=True)
class Side:
    """One content of a conflict, under all names that a person may call it by."""

    entry: Entry
    writer: str
    names: frozenset[str]


def writer_of(entry: Entry) -> str:
    """The agent that wrote what an entry holds: for a copy its name tells, since whoever resolved made the entry."""
    origin = copied_from(entry.path)[1] if entry.is_copy and not is_displaced(entry.path) else ""
    return (origin or entry.origin).rpartition(".")[0]


def stands(volume: Volume, original: Path) -> str:
    """The writer of what stands at the path that a copy is named after."""
    entry = volume.context.index.entry(original)
    return writer_of(entry) if entry is not None and entry.is_live else ""


def resolve(volume: Volume, path: Path, keep: str) -> list[str]:
    """Decide the conflict of a path, which may be that of the copy. Raises ``CommandRefused``."""
    require_sound(volume)
    index, volume_name = volume.context.index, volume.context.options.name
    here = index.entry(path)
    original = copied_from(path)[0] if here is not None and here.is_live and here.is_copy else path
    copies = [entry for entry in index.copies() if copied_from(entry.path)[0] == original]
    if not copies:
        raise CommandRefused(f"{volume_name}: there is no conflict copy of {printable(path)}", 1)
    wishes = Wishes(volume)
    if keep == BOTH:
        said = [f"{volume_name}: {printable(_make_ordinary(volume, wishes, copy))} stands beside" for copy in copies]
        wishes.grant()
        return said
    standing = index.entry(original)
    sides = [_side(entry) for entry in ([standing] if standing is not None and standing.is_live else []) + copies]
    kept = _chosen(sides, keep, printable(original))
    if kept.entry.path != original:
        wishes.bring_back(original, kept.entry)
    for copy in copies:
        wishes.let_go(copy.path)
    wishes.grant()
    gone = f"{len(copies)} conflict {'copy goes' if len(copies) == 1 else 'copies go'}"
    return [f"{volume_name}: the content of {kept.writer} stands at {printable(original)}; {gone}"]


def _side(entry: Entry) -> Side:
    writer, origin = writer_of(entry), copied_from(entry.path)[1] if entry.is_copy else entry.origin
    names = {writer, origin, printable(entry.path), printable(name_of(entry.path))}
    return Side(entry, writer, frozenset(names))


def _chosen(sides: list[Side], keep: str, original: str) -> Side:
    found = [side for side in sides if keep in side.names]
    if len(found) == 1:
        return found[0]
    paths = ", ".join(printable(side.entry.path) for side in found or sides)
    if found:
        raise CommandRefused(f"{keep} wrote several contents of {original}: keep one of {paths} by its path", 2)
    writers = ", ".join(dict.fromkeys(side.writer for side in sides))
    raise CommandRefused(f"{keep!r} wrote no content of {original}: keep {writers}, {BOTH}, or one of {paths}", 2)


def _make_ordinary(volume: Volume, wishes: Wishes, copy: Entry) -> Path:
    """Rename a copy, so that it counts as one no longer."""
    index = volume.context.index
    for path in ordinary_paths(copy.path):
        here = index.entry(path)
        if (here is None or not here.is_live) and not index.pending_at(path) and wishes.is_free(path):
            break
    wishes.bring_back(path, copy, source=copy)
    wishes.let_go(copy.path)
    return path
