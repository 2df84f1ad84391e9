"""The boundaries between the engine and the world, and the plain data that crosses them.

Each port has a real adapter and an in-memory twin, and one contract suite that both pass.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from syncagent.core.plan import StatKey, Step
from syncagent.index_port import HistorySums as HistorySums
from syncagent.index_port import Index as Index
from syncagent.index_port import IndexFailed as IndexFailed
from syncagent.index_port import Past as Past
from syncagent.index_port import Row as Row
from syncagent.status import (
    ConflictStatus,
    HeldStatus,
    ProblemStatus,
    ReadyResult,
    Status,
    WaitResult,
    WhyStatus,
)
from syncproto.messages import Hello, VolumeMessage
from syncproto.model import Attributes, Kind, Manifest, Path

# -- watcher -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DirtyPath:
    """A hint: the path may have changed.

    ``is_closed``: closed after a write, moved, deleted, attributes: look at once; else it is growing: let it settle.
    ``is_tree``: everything below may have changed too.
    """

    path: Path
    is_closed: bool
    is_tree: bool = False


@dataclass(frozen=True, slots=True)
class WatchLost:
    """Hints were lost, or never come: look at everything."""

    reason: str


class Watcher(Protocol):
    """Gives hints from ``start`` to ``stop``, from any thread, for all that may have changed in a volume."""

    @property
    def mode(self) -> Literal["events", "poll"]:
        """How changes are noticed."""

    @property
    def is_alive(self) -> bool:
        """Whether hints can still come."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def check(self, expected_directories: int) -> str | None:
        """A sentence with cause and remedy if less is watched than a full scan found; tries to put that right."""


# -- scanner -------------------------------------------------------------------------------------


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


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The stat is the one that was given: nothing was read."""

    path: Path


@dataclass(frozen=True, slots=True)
class Absent:
    """Nothing stands at the path, and its directory could be asked."""

    path: Path


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A device, FIFO, socket or nested mount: never replicated, always shown."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Busy:
    """The file changed while it was read: no single instant could be had."""

    path: Path


@dataclass(frozen=True, slots=True)
class ScanProblem:
    """The path could not be read: nothing is known of it, and nothing below it counts as gone."""

    path: Path
    reason: str


Finding = Observation | Unchanged | Absent | Unsupported | Busy | ScanProblem


@dataclass(frozen=True, slots=True)
class Listing:
    """The names in one directory with their stats (None: not replicable, see ``unsupported``)."""

    path: Path
    stat: StatKey
    children: tuple[tuple[bytes, StatKey], ...]
    unsupported: tuple[Unsupported, ...] = ()


class Scanner(Protocol):
    """Reads the volume on behalf of the local user. Safe to call from several threads."""

    def list_directory(self, path: Path) -> Listing | Absent | ScanProblem:
        """List one directory; b'' is the root."""

    def examine(self, path: Path, known: StatKey | None) -> Finding:
        """Look at one path; read and hash only if its stat differs from ``known``."""

    def read_ignore_file(self) -> bytes | None:
        """The content of ``.syncignore`` at the root, None without one.

        Raises ``OSError`` where it exists and cannot be read: then nothing may be concluded.
        """


# -- tree ----------------------------------------------------------------------------------------


OPEN_FOR_WRITING = "it is open for writing"
"""The reason of a ``Stale``: a local program may still write into the file that would be replaced; try again later."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The step is done. ``stat`` and ``attributes`` are what the path has now (None after a removal).

    The path is ``to`` for ``Keep`` and ``Move``. ``attributes`` may lack what this replica may not apply.
    ``displaced``: in the last instant a file that nobody had seen took the place; it was moved aside to this path, to
    be looked at.
    """

    path: Path
    stat: StatKey | None
    attributes: Attributes | None
    displaced: Path | None = None


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
class Marker:
    """Binds a root to a volume and to the index that describes it.

    ``start`` is the id of the last start that marked the root, b"" in markers of old.
    """

    volume: bytes
    incarnation: str
    start: bytes = b""


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


# -- index ---------------------------------------------------------------------------------------


# ``Index``, its ``Row`` and ``IndexFailed`` are in ``index_port``, for their length.


# -- peers ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PeerUp:
    """A session with another agent is established. ``peer`` names it as long as it lasts."""

    peer: str
    hello: Hello
    address: str


@dataclass(frozen=True, slots=True)
class PeerDown:
    """The session is over."""

    peer: str
    reason: str


@dataclass(frozen=True, slots=True)
class PeerMessage:
    """A message of an established session, with its raw frames.

    ``size``: what it took of the peer's credit, 0 for a message that is not bulk; give it back with ``Peers.consumed``.
    """

    peer: str
    message: VolumeMessage
    frames: tuple[bytes, ...] = ()
    size: int = 0


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """A configured address was answered by this peer, which is up already."""

    address: str
    peer: str


@dataclass(frozen=True, slots=True)
class PeerTrouble:
    """An address cannot be used, with the reason and remedy in a sentence; empty reason: the trouble is over."""

    address: str
    reason: str


PeerEvent = PeerUp | PeerDown | PeerMessage | PeerAddress | PeerTrouble


class Peers(Protocol):
    """Sends to other agents. Never blocks; what cannot be sent is dropped, and the truth is pulled later."""

    def send(self, peer: str, message: VolumeMessage, frames: Sequence[bytes] = ()) -> None:
        """Queue a message; bulk waits for the peer's credit."""

    def consumed(self, peer: str, size: int) -> None:
        """Tell that so many bulk bytes of the peer were worked off: grants it as much credit."""


# -- control -------------------------------------------------------------------------------------


class Control(Protocol):
    """What the HTTP API asks of the running agent. Callable from any thread; answers within a second or so.

    A ``volume`` of None means all volumes. Raises ``CommandRefused`` with a sentence and an exit code. Paths given are
    bytes, relative to the volume or absolute below its root.
    """

    def status(self) -> Status: ...

    def wait_token(self, volume: str | None) -> object:
        """What is known now: to be given to ``wait_check`` until it is reached."""

    def wait_check(self, token: object, members: int | None) -> WaitResult: ...

    def ready(self) -> ReadyResult: ...

    def forget(self, volume: str | None, name: str) -> list[str]:
        """Take a member off the list; gives sentences that say what was done."""

    def adopt(self, volume: str) -> list[str]: ...

    def held(self, volume: str | None) -> list[HeldStatus]: ...

    def release(self, volume: str | None) -> list[str]: ...

    def revert(self, volume: str | None) -> list[str]: ...

    def conflicts(self, volume: str | None) -> list[ConflictStatus]: ...

    def problems(self, volume: str | None) -> list[ProblemStatus]: ...

    def why(self, volume: str | None, path: bytes) -> WhyStatus: ...

    def rescan(self, volume: str | None) -> list[str]: ...

    def counters(self) -> dict[str, float]:
        """Plain counters for ``/metrics``, by Prometheus name."""

    def is_alive(self) -> bool:
        """Whether the engine has turned its loop lately: for ``/livez``; never blocks."""
