"""A ``Control`` whose volumes are numbers in memory: members apply changes when a test says so."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from syncagent.status import (
    FORMAT,
    CommandRefused,
    ConflictStatus,
    HeldStatus,
    ProblemStatus,
    ReadyResult,
    ReplicaStatus,
    Status,
    VolumeStatus,
    WaitResult,
    WhyStatus,
)


@dataclass
class MemoryMember:
    """Another replica: how many of the changes it has applied."""

    applied: int = 0
    connected: bool = True


@dataclass
class MemoryVolume:
    """A volume of ``changes`` changes, each an entry of 1,000 bytes."""

    changes: int = 10
    state: str = "running"
    ready: bool = True
    halt: str | None = None
    members: dict[str, MemoryMember] = field(default_factory=dict)
    held: list[HeldStatus] = field(default_factory=list)
    conflicts: list[ConflictStatus] = field(default_factory=list)
    problems: list[ProblemStatus] = field(default_factory=list)
    paths: dict[bytes, str] = field(default_factory=dict)
    rescans: int = 0


class MemoryControl:
    """Thread-safe; tests change it through its methods or its volumes under ``lock``."""

    def __init__(self, name: str = "a", **volumes: MemoryVolume) -> None:
        self.name = name
        self.lock = threading.RLock()
        self.volumes = volumes
        self.alive = True
        self.checks = 0

    # -- what tests do --

    def change(self, volume: str) -> None:
        """A local change."""
        with self.lock:
            self.volumes[volume].changes += 1

    def apply_all(self, volume: str, member: str) -> None:
        """The member catches up."""
        with self.lock:
            self.volumes[volume].members[member].applied = self.volumes[volume].changes

    # -- Control --

    def status(self) -> Status:
        with self.lock:
            volumes = [self._volume_status(name, volume) for name, volume in self.volumes.items()]
        return Status(format=FORMAT, agent=self.name, time=_now(), volumes=volumes, version="0.1.0")

    def wait_token(self, volume: str | None) -> object:
        with self.lock:
            return {name: chosen.changes for name, chosen in self._chosen(volume).items()}

    def wait_check(self, token: object, members: int | None) -> WaitResult:
        assert isinstance(token, dict)
        with self.lock:
            self.checks += 1
            count = min(len(self.volumes[name].members) for name in token) + 1
            missing, cause = [], ""
            for name, changes in token.items():
                volume = self.volumes[name]
                for member, state in volume.members.items():
                    if state.applied < changes:
                        missing.append(f"{member} lacks {changes - state.applied} entries of {name}")
                        cause = cause or ("behind" if state.connected else "unreachable")
                if volume.held or volume.state == "halted":
                    missing.append(f"{name} is held or halted")
                    cause = "blocked"
        if count == 1 and members is None:
            return WaitResult(reached=False, cause="alone", members=1, missing=["no member but this agent"])
        if members is not None and count < members:
            text = f"{members - count} of {members} members have not been seen"
            return WaitResult(reached=False, cause=cause or "unreachable", members=count, missing=[*missing, text])
        return WaitResult(reached=not missing, cause=cause, members=count, missing=missing)

    def ready(self) -> ReadyResult:
        with self.lock:
            missing = [f"{name} is being filled" for name, volume in self.volumes.items() if not volume.ready]
        return ReadyResult(ready=not missing, missing=missing)

    def forget(self, volume: str | None, name: str) -> list[str]:
        with self.lock:
            holders = [key for key, chosen in self._chosen(volume).items() if chosen.members.pop(name, None)]
        if not holders:
            raise CommandRefused(f"no member is called {name!r}; see `syncctl members`", 1)
        return [f"{name} is no member of {key} any more" for key in holders]

    def adopt(self, volume: str) -> list[str]:
        with self.lock:
            chosen = self._chosen(volume)[volume]
            if chosen.state != "halted":
                raise CommandRefused(f"volume {volume} is not halted, so there is nothing to adopt", 1)
            chosen.state, chosen.halt = "running", None
        return [f"{volume} is a new replica now"]

    def held(self, volume: str | None) -> list[HeldStatus]:
        with self.lock:
            return [held for chosen in self._chosen(volume).values() for held in chosen.held]

    def release(self, volume: str | None) -> list[str]:
        return self._let_go(volume, "applied")

    def revert(self, volume: str | None) -> list[str]:
        return self._let_go(volume, "taken back")

    def conflicts(self, volume: str | None) -> list[ConflictStatus]:
        with self.lock:
            return [conflict for chosen in self._chosen(volume).values() for conflict in chosen.conflicts]

    def problems(self, volume: str | None) -> list[ProblemStatus]:
        with self.lock:
            return [problem for chosen in self._chosen(volume).values() for problem in chosen.problems]

    def why(self, volume: str | None, path: bytes) -> WhyStatus:
        text = path.decode("utf-8", "backslashreplace")
        with self.lock:
            for chosen in self._chosen(volume).values():
                if path in chosen.paths:
                    return WhyStatus(path=text, state=chosen.paths[path], details=["a regular file"], lacking=["c"])
        raise CommandRefused(f"no volume knows {text}", 1)

    def rescan(self, volume: str | None) -> list[str]:
        with self.lock:
            for chosen in self._chosen(volume).values():
                chosen.rescans += 1
            return [f"{name} is being scanned" for name in self._chosen(volume)]

    def counters(self) -> dict[str, float]:
        return {"syncagent_scans_total": 3.0, "syncagent_resident_bytes": 4096.0}

    def is_alive(self) -> bool:
        return self.alive

    def _chosen(self, volume: str | None) -> dict[str, MemoryVolume]:
        if volume is None:
            return self.volumes
        if volume not in self.volumes:
            raise CommandRefused(f"there is no volume {volume!r}; there is {', '.join(self.volumes)}", 2)
        return {volume: self.volumes[volume]}

    def _let_go(self, volume: str | None, what: str) -> list[str]:
        with self.lock:
            sentences = []
            for name, chosen in self._chosen(volume).items():
                sentences.append(f"{len(chosen.held)} deletes of {name} are {what}")
                chosen.held = []
        return sentences

    def _volume_status(self, name: str, volume: MemoryVolume) -> VolumeStatus:
        replicas = [_replica(self.name, 0, True, is_self=True)]
        replicas += [
            _replica(member, volume.changes - state.applied, state.connected)
            for member, state in volume.members.items()
        ]
        halted = volume.state == "halted"
        return VolumeStatus(
            name=name,
            path=f"/srv/{name}",
            state=volume.state,
            direction="two-way",
            watch="events",
            ready=volume.ready,
            in_sync=all(replica.in_sync for replica in replicas) and not volume.held and not halted,
            digest="00ff",
            entries=volume.changes,
            bytes=volume.changes * 1000,
            pending=0,
            conflicts=len(volume.conflicts),
            problems=len(volume.problems),
            held=len(volume.held),
            replicas=replicas,
            halt=volume.halt,
        )


def _replica(name: str, behind: int, connected: bool, *, is_self: bool = False) -> ReplicaStatus:
    return ReplicaStatus(
        name=name,
        self=is_self,
        connected=connected,
        in_sync=connected and not behind,
        entries_behind=behind,
        bytes_behind=behind * 1000,
        lag_seconds=1.5 if behind else 0.0,
        last_seen=None if is_self else _now(),
        as_of=None if is_self else _now(),
    )


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
