"""The boundaries between the engine and the world, and the plain data that crosses them.

Each port has a real adapter and an in-memory twin, and one contract suite that both pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from syncagent.core.plan import StatKey
from syncagent.index_port import HistorySums as HistorySums
from syncagent.index_port import Index as Index
from syncagent.index_port import IndexFailed as IndexFailed
from syncagent.index_port import Past as Past
from syncagent.index_port import Row as Row
from syncagent.status import (
    ConflictStatus,
    HeldStatus,
    HistoryStatus,
    ProblemStatus,
    ReadyResult,
    Status,
    UndoResult,
    WaitResult,
    WhyStatus,
)
from syncagent.tree_port import OPEN_FOR_WRITING as OPEN_FOR_WRITING
from syncagent.tree_port import Applied as Applied
from syncagent.tree_port import Failed as Failed
from syncagent.tree_port import KeptFile as KeptFile
from syncagent.tree_port import Late as Late
from syncagent.tree_port import Marker as Marker
from syncagent.tree_port import NotEmpty as NotEmpty
from syncagent.tree_port import Observation as Observation
from syncagent.tree_port import Outcome as Outcome
from syncagent.tree_port import Recovered as Recovered
from syncagent.tree_port import Root as Root
from syncagent.tree_port import Stale as Stale
from syncagent.tree_port import Tree as Tree
from syncproto.messages import Hello, VolumeMessage
from syncproto.model import Path

# -- watcher -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DirtyPath:
    """A hint: the path may have changed.

    ``is_closed``: closed after a write, moved, deleted, attributes: look at once; else it is growing: let it settle.
    ``is_tree``: everything below may have changed too.
    ``is_written``: closed after a write, perhaps through a map that leaves the times alone: read it, whatever its stat.
    """

    path: Path
    is_closed: bool
    is_tree: bool = False
    is_written: bool = field(default=False, compare=False)


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


# ``Tree``, its outcomes and what it keeps are in ``tree_port``, for their length.


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

    def release(self, volume: str | None, path: bytes | None = None) -> list[str]:
        """Apply the held deletes, of what is at or below ``path`` alone if it is given."""

    def revert(self, volume: str | None, path: bytes | None = None) -> list[str]:
        """Bring back what they would remove."""

    def conflicts(self, volume: str | None) -> list[ConflictStatus]: ...

    def resolve(self, volume: str | None, path: bytes, keep: str) -> list[str]:
        """End a conflict: ``keep`` names the writer of the content that stands, or is ``both``."""

    def history(self, volume: str | None, path: bytes | None) -> list[HistoryStatus]:
        """What changed at a path and below it, newest first, or lately anywhere; and what is kept."""

    def restore(self, volume: str | None, path: bytes, at: str | None) -> object:
        """Begin to bring back what is kept of a path, as it was at a time or before its last change."""

    def undo(self, volume: str | None, since: str, path: bytes | None) -> object:
        """Begin to revert everything since a time."""

    def undone(self, token: object) -> UndoResult | None:
        """What became of the one or the other, by what it gave; None while members are asked."""

    def problems(self, volume: str | None) -> list[ProblemStatus]: ...

    def why(self, volume: str | None, path: bytes) -> WhyStatus: ...

    def rescan(self, volume: str | None) -> list[str]: ...

    def counters(self) -> dict[str, float]:
        """Plain counters for ``/metrics``, by Prometheus name."""

    def is_alive(self) -> bool:
        """Whether the engine has turned its loop lately: for ``/livez``; never blocks."""
