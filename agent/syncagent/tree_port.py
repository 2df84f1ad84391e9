"""The port of the tree; users import it from ``ports``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from syncagent.core.plan import StatKey, Step
from syncproto.model import Attributes, Kind, Manifest, Path


@dataclass(frozen=True, slots=True)
class Observation:
    """What stands at a path, read at one instant: the stat was the same before and after.

    ``content`` is the digest of a file, the target of a symlink. ``manifest`` only for files of several chunks.
    ``notes`` names what is not kept of this file (setuid bits, hard links, ACLs), for the report.
    """

    path: Path
    kind: Kind
    stat: StatKey
    attributes: Attributes
    content: bytes | None = None
    manifest: Manifest | None = None
    sparse: bool = False
    notes: tuple[str, ...] = ()


OPEN_FOR_WRITING = "it is open for writing"
"""The reason of a ``Stale``: a local program may still write into the file that would be replaced; try again later."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The step is done. ``stat`` and ``attributes`` are what the path has now (None after a removal).

    The path is ``to`` for ``Keep`` and ``Move``. ``attributes`` may lack what this replica may not apply.
    ``displaced``: in the last instant a file that nobody had seen took the place; it was moved aside to this path, to
    be looked at. ``kept``: the name in the store of what was replaced or removed, b"" where nothing is kept, and what
    it takes of the disk.
    """

    path: Path
    stat: StatKey | None
    attributes: Attributes | None
    displaced: Path | None = None
    kept: bytes = b""
    kept_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Stale:
    """The disk is not as expected: the path must be looked at again."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class NotEmpty:
    """A directory to be removed still holds something."""

    path: Path


@dataclass(frozen=True, slots=True)
class Failed:
    """The system refused; ``is_resource`` for a full disk, quota, too many open files: the volume's trouble."""

    path: Path
    reason: str
    is_resource: bool = False


Outcome = Applied | Stale | NotEmpty | Failed


@dataclass(frozen=True, slots=True)
class KeptFile:
    """What the store holds: the path it was displaced from, when, and what it takes of the disk."""

    name: bytes
    path: Path
    at_ns: int
    kept_bytes: int


@dataclass(frozen=True, slots=True)
class Late:
    """What was written to after it was displaced from ``path``: it stands at ``to`` now, to be looked at.

    ``kept`` is the name that it had in the store, b"" if it was not kept.
    """

    path: Path
    to: Path
    kept: bytes = b""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a new process finds in the store beside what is known: whole files, names that are gone, late writes."""

    found: tuple[KeptFile, ...] = ()
    missing: frozenset[bytes] = frozenset()
    late: tuple[Late, ...] = ()


@dataclass(frozen=True, slots=True)
class Marker:
    """Binds a root to a volume and to the index that describes it.

    ``start`` is the id of the last start that marked the root, b"" in markers of old. ``number`` grows with each
    marking, which follows changes of the index.
    """

    volume: bytes
    incarnation: str
    start: bytes = b""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Root:
    """Identity of a volume's root directory."""

    device: int
    inode: int
    is_empty: bool
    is_mount_point: bool
    is_read_only: bool


class Tree(Protocol):
    """The only door through which a peer's wish touches the volume.

    Callable from several threads. All staging calls and ``flush`` raise ``OSError`` where the system refuses (disk
    full, read-only) or the root is no longer the one that was opened; ``apply`` says ``Failed`` then.
    """

    def root(self) -> Root:
        """Look at the root's path as it is now. Raises ``OSError`` where it is gone."""

    def is_same_root(self) -> bool:
        """Whether the root's path still leads to the directory that was opened."""

    def read_marker(self) -> Marker | None:
        """The marker of the root as its path leads to it now, None without one."""

    def write_marker(self, marker: Marker) -> None:
        """Mark the root. Raises ``OSError``."""

    def dress_root(self, attributes: Attributes) -> Attributes:
        """Give the root this mode and owner, as far as permitted; gives what it has then. Raises ``OSError``."""

    def apply(self, steps: Sequence[Step]) -> list[Outcome]:
        """Do the steps in order up to the first that is not ``Applied``; that outcome is the last of the list."""

    def flush(self, seen: Collection[Path] = ()) -> None:
        """Make durable all that was applied since the last call, and what stands at the paths ``seen``.

        A local program need not have flushed what it wrote: nobody is told of it before that is done.
        """

    def is_staged(self, digest: bytes) -> bool:
        """Whether this content is complete, verified by this process and ready to be placed, once."""

    def stage_whole(self, contents: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """Stage small contents (digest, bytes), one flush for all; gives back the digests that did not verify."""

    def stage_copy(self, digest: bytes, path: Path, stat: StatKey, sparse: bool, count: int = 1) -> bool:
        """Stage a content by copying it from a file of the volume; False if the file is no longer that.

        It may be placed ``count`` times, once it is there: as many files of the volume shall have it.
        """

    def stage_begin(self, manifest: Manifest) -> list[int]:
        """Open the staging of a big content; gives the numbers of the chunks that are already there, verified."""

    def stage_local(self, manifest: Manifest, numbers: Sequence[int], path: Path, source: Manifest) -> list[int]:
        """Fill chunks from a file of the volume that is described by ``source``; gives the numbers it could fill."""

    def stage_write(self, digest: bytes, offset: int, data: bytes) -> None:
        """Write bytes of a big content at their place. Raises ``OSError``."""

    def stage_finish(self, manifest: Manifest, sparse: bool) -> list[int]:
        """Verify and flush; empty if the content is whole, else the numbers of the chunks that are wrong."""

    def unstage(self, digests: Sequence[bytes] | None) -> None:
        """Drop staged contents, None all there are; the staging directory goes when it is empty."""

    def read(self, path: Path, stat: StatKey, offset: int, length: int) -> bytes | None:
        """Bytes of a file for a peer, None if the file is no longer the one of ``stat``. Raises ``OSError``."""

    # the store of what was replaced or removed

    def recover_kept(self, known: Collection[bytes]) -> Recovered:
        """Finish what an earlier process began, and compare the store with the names that are known of it."""

    def take_late(self) -> list[Late]:
        """What was written to after it was displaced, as far as it shows now; each is given once."""

    def examine_kept(self, name: bytes) -> Observation | None:
        """Read and hash what is kept under a name; the path is the one it was displaced from. None: it is not there."""

    def read_kept(self, name: bytes, offset: int, length: int) -> bytes | None:
        """Bytes of a kept file for a peer, None if it is not there. Raises ``OSError``."""

    def stage_kept(self, digest: bytes, name: bytes, sparse: bool, count: int = 1) -> bool:
        """Stage a content by copying what is kept; False if that is not there, or is another content by now."""

    def drop_kept(self, names: Sequence[bytes]) -> list[Late]:
        """Keep these no longer; what somebody has written to since is put back into the volume instead."""
