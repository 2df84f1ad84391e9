"""What the parts of one volume's engine share."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, field
from typing import Any, Protocol

from syncagent.core.brake import BrakeLimit
from syncagent.core.ignore import IgnoreRules
from syncagent.core.reconcile import Reconciler
from syncagent.engine.history import Historian
from syncagent.engine.problems import Problems
from syncagent.engine.racing import Races
from syncagent.ports import Index, Peers, Scanner, Tree
from syncproto.messages import VolumeHello, VolumeState
from syncproto.model import Path, volume_id
from syncproto.version import Dot

SAME_CONTENT_MAX = 16
"""Of files with equal content, so many are looked at to tell a rename."""


class Workers(Protocol):
    """A small pool for what takes long: reading, hashing, staging."""

    def submit(self, job: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Run ``job`` elsewhere, then ``done`` with its result, or with the exception it raised, on the engine."""


class Clock(Protocol):
    """Where time and chance come from: virtual and seeded in simulations."""

    def wall_ns(self) -> int:
        """Nanoseconds since the epoch."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    def entropy(self, size: int) -> bytes:
        """Random bytes."""


@dataclass(frozen=True, slots=True)
class VolumeOptions:
    """How one volume behaves. Times are seconds."""

    name: str
    path: bytes
    cluster: str = "default"
    direction: str = "two-way"
    on_empty: str = "halt"
    brake: BrakeLimit = BrakeLimit()
    release_after: float | None = None
    scan_interval: float = 600.0
    ready_wait: float = 30.0
    forget_after: float = 30 * 86400.0
    history_age: float = 7 * 86400.0
    history_size: int | None = 2**30
    """In bytes; None keeps nothing of what is replaced or removed."""

    @property
    def id(self) -> bytes:
        return volume_id(self.cluster, self.name)


@dataclass(slots=True)
class PeerView:
    """Another agent that has this volume, as long as its session lasts. Times are of the monotonic clock."""

    peer: str
    name: str
    incarnation: str
    hello: VolumeHello
    state: VolumeState | None = None
    pushed: int | None = None
    """Our sequence up to which it was sent everything; None until its first pull was answered."""
    is_pulled: bool = False
    """Whether a whole pull from it was taken in this session."""


@dataclass(slots=True)
class Context:
    """One volume's ports, clock and shared state."""

    options: VolumeOptions
    agent: str
    index: Index
    scanner: Scanner
    tree: Tree
    peers: Peers
    workers: Workers
    clock: Clock
    reconciler: Reconciler
    problems: Problems
    rules: IgnoreRules = field(default_factory=IgnoreRules)
    views: dict[str, PeerView] = field(default_factory=dict)
    residues: set[Path] = field(default_factory=set)
    departing: Container[Path] = frozenset()
    """What was seen to be gone, and whose delete is not recorded yet: it covers only what stood here till then."""
    halt: str | None = None
    moved: set[Dot] = field(default_factory=set)
    """Entries of this turn whose content is under another name everywhere: it need not travel."""
    is_changed: bool = False
    """Whether the index has uncommitted writes."""
    has_new_rules: bool = False
    """Whether a peer's ``.syncignore`` was applied, or its delete, and is not in force yet."""
    is_applied: bool = False
    """Whether the disk has changes that are not yet flushed."""
    unflushed: set[Path] = field(default_factory=set)
    """Where something was found on the disk: whoever wrote it need not have flushed it."""
    counters: dict[str, int] = field(default_factory=dict)
    races: Races = field(init=False)
    history: Historian = field(init=False)

    def __post_init__(self) -> None:
        self.history = Historian(self)

    @property
    def id(self) -> bytes:
        return self.options.id

    @property
    def now(self) -> float:
        return self.clock.monotonic()

    def found(self, path: Path) -> None:
        """What stands at a path, or that nothing does, was written down: it must be durable before anybody is told."""
        self.unflushed.add(path)
        self.is_changed = True

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter that ``/metrics`` shows."""
        self.counters[name] = self.counters.get(name, 0) + by
