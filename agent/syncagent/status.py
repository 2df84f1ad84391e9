"""The read model: what an agent knows of convergence, as people and scripts see it.

Times are RFC 3339 in UTC, unknown is null, counts are integers. Fields are added later, never changed.
"""

from __future__ import annotations

from msgspec import Struct

FORMAT = 1


class ReplicaStatus(Struct, kw_only=True):
    """One member's copy, as this agent has heard of it."""

    name: str
    self: bool
    connected: bool
    in_sync: bool
    entries_behind: int | None
    bytes_behind: int | None
    lag_seconds: float | None
    last_seen: str | None
    as_of: str | None
    incarnation: str = ""
    expected: bool = False
    direction: str = "two-way"


class ProblemStatus(Struct, kw_only=True):
    """Something that needs a person, or is retried: what, why, and what to do. ``path`` is printable text."""

    code: str
    text: str
    remedy: str = ""
    path: str | None = None
    is_blocking: bool = False
    since: str | None = None


class VolumeStatus(Struct, kw_only=True):
    """One volume of this agent."""

    name: str
    path: str
    state: str
    direction: str
    watch: str
    ready: bool
    in_sync: bool
    digest: str | None
    entries: int
    bytes: int
    pending: int
    conflicts: int
    problems: int
    held: int
    replicas: list[ReplicaStatus]
    halt: str | None = None
    problem_codes: dict[str, int] = {}


class Status(Struct, kw_only=True):
    """All of one agent."""

    format: int
    agent: str
    time: str
    volumes: list[VolumeStatus]
    version: str = ""
    troubles: list[ProblemStatus] = []


class WaitResult(Struct, kw_only=True):
    """Whether every member has applied what this agent knew when asked.

    ``cause`` of not: ``alone``, ``behind``, ``unreachable``, ``blocked``. ``missing`` says who lacks what, in words.
    """

    reached: bool
    cause: str = ""
    members: int = 0
    missing: list[str] = []


class ReadyResult(Struct, kw_only=True):
    """Whether every volume has been filled once since the agent started."""

    ready: bool
    missing: list[str] = []


class HeldStatus(Struct, kw_only=True):
    """A delete kept back by the brake."""

    path: str
    where: str
    size: int = 0


class ConflictStatus(Struct, kw_only=True):
    """A conflict copy that is still in the volume."""

    path: str
    of: str
    origin: str
    size: int
    stands: str = ""
    """The writer of what stands at ``of``."""


class PastStatus(Struct, kw_only=True):
    """One change of a path: when, by whom, what was done, and what stood there before (None: nothing).

    ``size`` is of what stood there, ``is_kept`` whether this replica can bring it back.
    """

    volume: str
    path: str
    time: str
    by: str
    what: str
    before: str | None
    size: int
    is_kept: bool


class HistoryStatus(Struct, kw_only=True):
    """Changes of one volume, newest first, and how much is kept. ``kept_bytes_max`` None: nothing is kept."""

    volume: str
    changes: list[PastStatus]
    total: int
    kept: int
    kept_bytes: int
    kept_bytes_max: int | None
    age_seconds: float


class UndoResult(Struct, kw_only=True):
    """What became of an undo: how many paths were reverted, and what could not be, in sentences."""

    reverted: int
    unchanged: int
    lacking: list[str] = []
    unsure: list[str] = []
    silent: list[str] = []


class WhyStatus(Struct, kw_only=True):
    """All that is known of one path, in words."""

    path: str
    state: str
    details: list[str]
    lacking: list[str] = []


class CommandRefused(Exception):
    """A command cannot be done; ``exit_code`` is what ``syncctl`` returns."""

    def __init__(self, text: str, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code
