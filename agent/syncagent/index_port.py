"""The port of the index; users import it from ``ports``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from syncagent.core.plan import StatKey
from syncagent.core.starts import Remembered
from syncagent.core.state import State
from syncproto.messages import Start
from syncproto.model import Attributes, Entry, Kind, Manifest, Member, Path
from syncproto.version import Dot, Vector


@dataclass(frozen=True, slots=True)
class Row:
    """One path in the index: what it is for everyone, and what this disk showed when it was last looked at.

    ``stat`` None: the disk is not known to hold the entry (ignored, not yet looked at). ``attributes`` are those on
    this disk, which may lack what this replica may not apply.
    """

    entry: Entry
    stat: StatKey | None
    attributes: Attributes | None


@dataclass(frozen=True, slots=True)
class Past:
    """One change of the content of a path, made or applied here: what stood there before it.

    ``before`` None: nothing was known of the path. ``kind`` is what stood there after, ``dot`` and ``stamp`` are of the
    change, ``at_ns`` is when this replica saw it. ``kept`` is the name in the store of what stood there, b"" where it
    is not kept; ``kept_bytes`` is what that takes of the disk. ``number`` grows with each change; 0: not recorded yet.
    """

    path: Path
    before: Entry | None
    kind: Kind
    dot: Dot
    stamp: int
    at_ns: int
    kept: bytes = b""
    kept_bytes: int = 0
    number: int = 0


@dataclass(frozen=True, slots=True)
class HistorySums:
    """How many changes are remembered, and how much of what they replaced is kept."""

    changes: int
    kept: int
    kept_bytes: int


class IndexFailed(Exception):
    """The index could not be read or written; the text names the file, the cause and the remedy.

    What was written since the last commit must be rolled back before anything else.
    """


class Index(State, Protocol):
    """One volume's state on disk: a ``State``, what the disk showed, and what is remembered of other replicas.

    One thread at a time uses it. What is written counts at once for what is read, and lasts from ``commit`` on. Any
    method may raise ``IndexFailed``. An iterator may be read while rows are written: it may then give the old or the
    new form. ``changed_since`` gives a row that is written meanwhile (again) at its new place, so that whoever has
    read it to its end has everything up to ``sequence``. The counter and the sequence never go back.
    """

    sequence: int
    """Of the last write; ``drop`` and ``drop_pending`` leave no trace in the history."""
    is_counted: Callable[[Path], bool] | None
    """Which paths count in ``digest`` and the live sums; None: all. ``recount`` after it was set."""

    @property
    def is_new(self) -> bool:
        """Whether it was created when it was opened."""

    @property
    def was_clean(self) -> bool:
        """Whether its last use ended with ``close``, or it is new."""

    @property
    def replaced(self) -> str:
        """Where the last damaged index that stood here was moved, and still is; empty if there was none."""

    def commit(self, durable: bool = False) -> None:
        """Make what was written outlast the process; ``durable``: a power cut too."""

    def rollback(self) -> None:
        """Drop what was written since the last commit, but the counter and the sequence."""

    def verify(self) -> None:
        """Read everything back from where it is kept. Raises ``IndexFailed`` where it is damaged."""

    def close(self) -> None:
        """Drop what is not committed and let others open the index."""

    def reincarnate(self, origin: str, start: bytes) -> None:
        """Begin anew under a new origin, with counter 0 and this start.

        Gone are entries, pending entries, vectors, floor, cursors, what peers applied, held deletes and residue; the
        live entries are kept as ``lineage``. The members, what is remembered of peers, manifests, settings and the
        history stay. The next commit is durable.
        """

    def lineage(self, path: Path) -> Entry | None:
        """What stood live at ``path`` in the former incarnation."""

    def end_lineage(self) -> None:
        """It is needed no longer."""

    # rows

    def row(self, path: Path) -> Row | None:
        """The entry at ``path`` with what the disk showed. ``put`` keeps the latter, for a tombstone too."""

    def put_row(self, entry: Entry, stat: StatKey | None, attributes: Attributes | None) -> None:
        """Record an entry together with what the disk shows."""

    def set_stat(self, path: Path, stat: StatKey | None, attributes: Attributes | None) -> None:
        """Record what the disk shows; nothing that peers see. Raises ``KeyError`` where there is no entry."""

    def children(self, directory: Path) -> list[Row]:
        """What is directly in ``directory`` (b'': the root), live or tombstone, by path."""

    def rows_below(self, directory: Path) -> Iterator[Row]:
        """The live rows strictly inside ``directory``, by path."""

    def by_inode(self, inode: int) -> list[Row]:
        """The live rows whose stat has this inode, by path."""

    def by_content(self, digest: bytes, limit: int | None = None) -> list[Row]:
        """The live files with this content, those with a stat first, then by path; at most ``limit``."""

    def copies(self) -> Iterator[Entry]:
        """The live conflict copies, by path."""

    @property
    def live_count(self) -> int:
        """How many live entries count."""

    @property
    def live_bytes(self) -> int:
        """The sizes of the live entries that count, together."""

    @property
    def digest(self) -> bytes:
        """16 bytes that are equal on replicas with equal live entries, as far as they count."""

    def recount(self) -> None:
        """Compute ``digest`` and the live sums from the entries."""

    @property
    def pending_count(self) -> int:
        """How many entries are pending."""

    @property
    def pending_bytes(self) -> int:
        """The sizes of the pending files, together."""

    def pending_with_content(self, digest: bytes, limit: int | None = None) -> list[Entry]:
        """The pending files with this content, by dot; at most ``limit``."""

    def pending_contents(self) -> Iterator[tuple[bytes, int, bool]]:
        """Digest, size and sparseness of each content that pending files want, once, in the order of their writing."""

    # contents

    def manifest(self, digest: bytes) -> Manifest | None:
        """The chunks of a content, where they were recorded."""

    def put_manifest(self, manifest: Manifest) -> None:
        """Record the chunks of a content."""

    def prune_manifests(self) -> None:
        """Drop those whose content neither a live nor a pending file has, nor one that is kept."""

    # history: what stood at paths before they were changed

    def add_past(self, past: Past) -> None:
        """Record a change; its number is drawn."""

    def drop_past(self, number: int) -> None:
        """Forget a change."""

    def unkeep(self, number: int) -> None:
        """What that change replaced is no longer kept."""

    def history_of(self, path: Path) -> list[Past]:
        """The changes of one path, the newest first."""

    def history_below(self, directory: Path) -> Iterator[Past]:
        """The changes of all that is strictly inside ``directory``, by path, then the newest first."""

    def history_since(self, stamp: int) -> Iterator[Past]:
        """The changes with this stamp or a larger one, by stamp."""

    def latest_history(self, limit: int) -> list[Past]:
        """The last changes, the newest first."""

    def oldest_history(self) -> Iterator[Past]:
        """All changes, the oldest first."""

    def oldest_kept(self) -> Iterator[Past]:
        """The changes that have something kept, the oldest first."""

    def kept_with_content(self, digest: bytes, limit: int | None = None) -> list[Past]:
        """The changes that keep a file with this content, the newest first; at most ``limit``."""

    @property
    def history_sums(self) -> HistorySums:
        """Counts over all of it."""

    # other replicas, by incarnation

    @property
    def applied_by(self) -> dict[str, Vector]:
        """What other members were heard to have applied; to be read only."""

    @property
    def remembered(self) -> dict[str, Remembered]:
        """What was last seen of the starts of each peer; to be read only."""

    @property
    def starts(self) -> tuple[Start, ...]:
        """The last starts of this replica in this incarnation, the newest last."""

    def add_start(self, start: bytes) -> None:
        """Remember a start of this replica by its id, with the counters, and commit durably. Once per opening."""

    def cursor(self, incarnation: str) -> tuple[str, int]:
        """Epoch and sequence of the last that was taken whole from a peer; ("", 0) for nothing."""

    def set_cursor(self, incarnation: str, epoch: str, sequence: int) -> None:
        """Remember how far a peer's history was taken."""

    def set_applied_by(self, incarnation: str, applied: Vector) -> None:
        """Remember what a member has applied."""

    def remember(self, incarnation: str, seen: Remembered) -> None:
        """Remember what was seen of the starts of a peer."""

    def members(self) -> list[Member]:
        """The member list, by incarnation, those that are gone too."""

    def put_member(self, member: Member) -> None:
        """Record a line of the member list."""

    def drop_member(self, incarnation: str) -> None:
        """Forget a member with its cursor, its starts and what it applied."""

    # local facts

    def held(self) -> list[Path]:
        """The paths whose deletion is held back, sorted."""

    def hold(self, path: Path) -> None:
        """Hold a deletion back."""

    def unhold(self, path: Path) -> None:
        """Hold it no longer."""

    def residues(self) -> list[Path]:
        """All residue directories, sorted."""

    def is_residue(self, path: Path) -> bool:
        """Whether this directory was deleted elsewhere and stays here for what it holds."""

    def add_residue(self, path: Path) -> None:
        """Note a residue directory."""

    def drop_residue(self, path: Path) -> None:
        """It is residue no longer."""

    def get(self, key: str) -> bytes | None:
        """A value that was set."""

    def set(self, key: str, value: bytes | None) -> None:
        """Keep a small value; None removes it."""
