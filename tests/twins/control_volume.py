"""One volume of the ``Control`` in memory: its numbers, and what is told of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from syncagent.engine.problems import printable
from syncagent.status import (
    ConflictStatus,
    HeldStatus,
    PastStatus,
    ProblemStatus,
    ReplicaStatus,
    VolumeStatus,
    WaitResult,
    WhyStatus,
)

ENTRY_BYTES = 1000
NOTES = ("not-kept", "unsupported", "new-incarnation")
HERE = "deleted here"


@dataclass
class MemoryMember:
    """Another replica: how many of the changes it has applied."""

    applied: int = 0
    connected: bool = True
    is_following: bool = False
    """Whether it applies at once what there is."""
    births: int = 1


@dataclass
class MemoryPath:
    """What ``why`` tells of a path, and the number of the change that made it so."""

    state: str = "replicated"
    change: int = 0


@dataclass
class MemoryVolume:
    """A volume of ``changes`` changes, each a new entry of 1,000 bytes, but for the ``deletes``."""

    changes: int = 10
    deletes: int = 0
    ready: bool = True
    halt: str | None = None
    members: dict[str, MemoryMember] = field(default_factory=dict)
    expected: list[str] = field(default_factory=list)
    """Configured addresses that have never answered."""
    held: list[HeldStatus] = field(default_factory=list)
    conflicts: list[ConflictStatus] = field(default_factory=list)
    problems: list[ProblemStatus] = field(default_factory=list)
    pasts: list[PastStatus] = field(default_factory=list)
    """What is remembered, newest first."""
    paths: dict[bytes, MemoryPath] = field(default_factory=dict)
    root: bytes = b""
    """Where it is; /srv and its name if this is empty."""
    is_root_there: bool = True
    births: int = 1
    rescans: int = 0

    @property
    def entries(self) -> int:
        return self.changes - 2 * self.deletes  # the one that made it, and the one that took it away

    def grow(self, changes: int) -> None:
        """So many changes more."""
        self.changes += changes
        for member in self.members.values():
            if member.is_following:
                member.applied = self.changes

    def all_problems(self) -> list[ProblemStatus]:
        """A halt is one too."""
        if not self.halt:
            return self.problems
        remedy = "bring the volume back, or run 'syncctl adopt'"
        halted = ProblemStatus(code="halted", text=f"halted: {self.halt}", remedy=remedy, is_blocking=True, since=now())
        return [*self.problems, halted]

    def is_held_back(self) -> bool:
        """Whether a person must act before all replicas can be equal."""
        return bool(self.halt or self.held or any(problem.is_blocking for problem in self.problems))


def volume_status(agent: str, name: str, volume: MemoryVolume) -> VolumeStatus:
    """What the agent tells of it."""
    replicas = [_self(agent, volume)]
    replicas += [_member(member, volume, state) for member, state in sorted(volume.members.items())]
    replicas += [_expected(address) for address in volume.expected]
    return VolumeStatus(
        name=name,
        path=printable(volume.root),
        state="halted" if volume.halt else "running",
        direction="two-way",
        watch="events",
        ready=volume.ready,
        in_sync=all(replica.in_sync for replica in replicas),
        digest=None if volume.halt else f"{volume.changes:032x}",
        entries=volume.entries,
        bytes=volume.entries * ENTRY_BYTES,
        pending=0,
        conflicts=len(volume.conflicts),
        problems=sum(problem.code not in NOTES for problem in volume.all_problems()),
        held=len(volume.held),
        replicas=replicas,
        halt=volume.halt,
    )


def check(name: str, volume: MemoryVolume, target: int, wanted: int | None) -> WaitResult:
    """Whether the members have applied the first ``target`` changes."""
    members = 1 + len(volume.members) + len(volume.expected)

    def no(cause: str, *missing: str) -> WaitResult:
        return WaitResult(reached=False, cause=cause, members=members, missing=list(missing))

    if wanted is None and members == 1:
        return no("alone", f"{name}: this agent is the only member; '--members 1'")
    blocked = list(_blocked(name, volume))
    if volume.halt:
        return no("blocked", *blocked)
    late = {member: state for member, state in sorted(volume.members.items()) if state.applied < target}
    lacking = [_lacks(f"{name}: {key}", volume.changes - s.applied) for key, s in late.items() if s.connected]
    away = [f"{name}: {address} has never answered" for address in volume.expected]
    away += [f"{name}: {member} is not connected" for member, state in late.items() if not state.connected]
    done = 1 + len(volume.members) - len(late)
    if blocked:
        return no("blocked", *blocked, *lacking, *away)
    if wanted is not None and done >= wanted:
        return WaitResult(reached=True, members=members)
    if lacking or away:
        return no("behind" if lacking else "unreachable", *lacking, *away)
    if wanted is not None:
        return no("behind", f"{name}: {done} of {wanted} members are there")
    return WaitResult(reached=True, members=members)


def _lacks(who: str, entries: int) -> str:
    return f"{who} lacks {entries} entries, {entries * ENTRY_BYTES} bytes"


def _blocked(name: str, volume: MemoryVolume) -> Iterator[str]:
    if volume.halt:
        yield f"{name}: halted: {volume.halt}; see 'syncctl adopt {name}'"
        return
    if volume.held:
        yield f"{name}: {len(volume.held)} deletes are held; see 'syncctl hold'"
    for problem in volume.problems:
        if problem.is_blocking:
            yield f"{name}: {problem.path + ' ' if problem.path else ''}{problem.text}"


def let_go(volume: MemoryVolume, scope: bytes | None, *, is_delete: bool) -> int:
    """Apply the held deletes, or take them back, of all or of what is at or below a path; gives their number."""
    within = printable(scope) if scope else ""
    chosen = [held for held in volume.held if not within or f"{held.path}/".startswith(f"{within}/")]
    volume.held = [held for held in volume.held if held not in chosen]
    if is_delete:
        volume.deletes += len(chosen)
        volume.grow(len(chosen))
    names = {held.path for held in chosen}
    for key, path in volume.paths.items():
        if path.state == "held" and printable(key) in names:
            path.state = "deleted" if is_delete else "replicated"
    return len(chosen)


def why(volume: MemoryVolume, path: bytes) -> Iterator[WhyStatus]:
    """What it can tell; nothing of a path that is elsewhere."""
    if path.startswith(b"/"):
        if not path.startswith(volume.root + b"/"):
            return
        path = path.removeprefix(volume.root + b"/")
    known = volume.paths.get(path, MemoryPath("unknown"))
    lacking = [name for name, state in sorted(volume.members.items()) if state.applied < known.change]
    yield WhyStatus(path=printable(path), state=known.state, details=["a regular file"], lacking=lacking)


def _self(name: str, volume: MemoryVolume) -> ReplicaStatus:
    is_in_sync = not volume.is_held_back()
    return ReplicaStatus(
        name=name,
        self=True,
        connected=True,
        in_sync=is_in_sync,
        entries_behind=0,
        bytes_behind=0,
        lag_seconds=0.0 if is_in_sync else None,
        last_seen=now(),
        as_of=now(),
        incarnation=incarnation(name, volume.births),
    )


def _member(name: str, volume: MemoryVolume, state: MemoryMember) -> ReplicaStatus:
    behind = volume.changes - state.applied
    return ReplicaStatus(
        name=name,
        self=False,
        connected=state.connected,
        in_sync=state.connected and not behind,
        entries_behind=behind,
        bytes_behind=behind * ENTRY_BYTES,
        lag_seconds=1.5 if behind else 0.0,
        last_seen=now(),
        as_of=now(),
        incarnation=incarnation(name, state.births),
    )


def _expected(address: str) -> ReplicaStatus:
    return ReplicaStatus(
        name=address,
        self=False,
        connected=False,
        in_sync=False,
        entries_behind=None,
        bytes_behind=None,
        lag_seconds=None,
        last_seen=None,
        as_of=None,
        expected=True,
    )


def incarnation(name: str, births: int) -> str:
    return f"{name}.{births:08x}"


def now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
