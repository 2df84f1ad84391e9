"""A ``Control`` whose volumes are numbers in memory: members apply changes when a test says so."""

from __future__ import annotations

import os
import threading

from syncagent.engine.problems import printable
from syncagent.status import (
    FORMAT,
    CommandRefused,
    ConflictStatus,
    HeldStatus,
    ProblemStatus,
    ReadyResult,
    Status,
    WaitResult,
    WhyStatus,
)
from twins.control_history import MemoryHistoryControl, created
from twins.control_volume import (
    ENTRY_BYTES,
    HERE,
    MemoryMember,
    MemoryPath,
    MemoryVolume,
    check,
    incarnation,
    let_go,
    now,
    volume_status,
    why,
)

__all__ = ["MemoryControl", "MemoryMember", "MemoryPath", "MemoryVolume"]


class MemoryControl(MemoryHistoryControl):
    """Thread-safe; tests change it through its methods or its volumes under ``lock``."""

    def __init__(self, name: str = "a", **volumes: MemoryVolume) -> None:
        self.name = name
        self.lock = threading.RLock()
        self.volumes = volumes
        self.alive = True
        self.checks = 0
        self._local_changes = 0
        for key, volume in volumes.items():
            volume.root = volume.root or f"/srv/{key}".encode()

    # -- what tests do --

    def change(self, volume: str, path: bytes | None = None) -> None:
        """A local change."""
        with self.lock:
            chosen = self.volumes[volume]
            chosen.grow(1)
            self._local_changes += 1
            if path is not None:
                chosen.paths[path] = MemoryPath(change=chosen.changes)
                chosen.pasts.insert(0, created(volume, printable(path), self.name))

    def apply_all(self, volume: str, member: str) -> None:
        """The member catches up."""
        with self.lock:
            self.volumes[volume].members[member].applied = self.volumes[volume].changes

    def hold(self, volume: str, path: bytes, where: str = HERE) -> None:
        """The path is deleted, and the brake holds that."""
        with self.lock:
            chosen = self.volumes[volume]
            held = HeldStatus(path=printable(path), where=where, size=ENTRY_BYTES)
            chosen.held = sorted([*chosen.held, held], key=lambda each: each.path)
            chosen.paths[path].state = "held" if where == HERE else "replicated"

    # -- Control --

    def status(self) -> Status:
        with self.lock:
            volumes = [volume_status(self.name, name, volume) for name, volume in self.volumes.items()]
        return Status(format=FORMAT, agent=self.name, time=now(), volumes=volumes, version="0.1.0")

    def wait_token(self, volume: str | None) -> object:
        with self.lock:
            return {name: chosen.changes for name, chosen in self._chosen(volume).items()}

    def wait_check(self, token: object, members: int | None) -> WaitResult:
        assert isinstance(token, dict)
        with self.lock:
            self.checks += 1
            results = [check(name, self.volumes[name], changes, members) for name, changes in token.items()]
        fewest = min(result.members for result in results)
        for cause in ("alone", "blocked", "unreachable", "behind"):
            if any(result.cause == cause for result in results):
                missing = [line for result in results for line in result.missing]
                return WaitResult(reached=False, cause=cause, members=fewest, missing=missing)
        return WaitResult(reached=True, members=fewest)

    def ready(self) -> ReadyResult:
        with self.lock:
            missing = [name for name, volume in self.volumes.items() if not volume.ready]
        return ReadyResult(ready=not missing, missing=missing)

    def forget(self, volume: str | None, name: str) -> list[str]:
        said = []
        with self.lock:
            for key, chosen in self._chosen(volume).items():
                for member, state in list(chosen.members.items()):
                    if name not in (member, incarnation(member, state.births)):
                        continue
                    if state.connected:
                        raise CommandRefused(
                            f"{name} is connected: stop that agent first, or it will be back at once", 1
                        )
                    del chosen.members[member]
                    said.append(f"{key}: {name} is off the list")
        if not said:
            raise CommandRefused(f"there is no other member {name!r}", 1)
        return said

    def adopt(self, volume: str) -> list[str]:
        with self.lock:
            chosen = self._chosen(volume)[volume]
            if chosen.halt is None:
                raise CommandRefused(f"{volume} is not halted: there is nothing to adopt", 1)
            if not chosen.is_root_there:
                raise CommandRefused(f"{printable(chosen.root)} cannot be opened: {os.strerror(2)}", 5)
            chosen.halt = None
            chosen.births += 1
            text = "a new incarnation began: adopted; the files here were united with the others'"
            chosen.problems.append(ProblemStatus(code="new-incarnation", text=text, since=now()))
        return [f"{volume}: what is there now is a new replica; it is united with the others, nothing is deleted"]

    def held(self, volume: str | None) -> list[HeldStatus]:
        with self.lock:
            return [held for chosen in self._chosen(volume).values() for held in chosen.held]

    def release(self, volume: str | None, path: bytes | None = None) -> list[str]:
        with self.lock:
            chosen = self._chosen(volume)
            return [
                f"{name}: {let_go(each, path, is_delete=True)} held deletes are applied"
                for name, each in chosen.items()
            ]

    def revert(self, volume: str | None, path: bytes | None = None) -> list[str]:
        with self.lock:
            chosen = self._chosen(volume)
            return [
                f"{name}: {let_go(each, path, is_delete=False)} deleted entries are brought back"
                for name, each in chosen.items()
            ]

    def conflicts(self, volume: str | None) -> list[ConflictStatus]:
        with self.lock:
            return [conflict for chosen in self._chosen(volume).values() for conflict in chosen.conflicts]

    def problems(self, volume: str | None) -> list[ProblemStatus]:
        with self.lock:
            found = [problem for chosen in self._chosen(volume).values() for problem in chosen.all_problems()]
        return sorted(found, key=lambda problem: (not problem.is_blocking, problem.code, problem.path or ""))

    def why(self, volume: str | None, path: bytes) -> WhyStatus:
        with self.lock:
            told = [each for chosen in self._chosen(volume).values() for each in why(chosen, path)]
        if not told:
            raise CommandRefused(f"{os.fsdecode(path)} is in no volume of this agent", 2)
        return next((each for each in told if each.state != "unknown"), told[0])

    def rescan(self, volume: str | None) -> list[str]:
        said = []
        with self.lock:
            for name, chosen in self._chosen(volume).items():
                if chosen.halt:
                    raise CommandRefused(f"{name} is halted: {chosen.halt}", 5)
                chosen.rescans += 1
                said.append(f"{name}: scanning everything")
        return said

    def counters(self) -> dict[str, float]:
        with self.lock:
            changes = float(self._local_changes)
        return {
            "syncagent_scans_total": 3.0,
            "syncagent_resident_bytes": 4096.0,
            **({"syncagent_local_changes_total": changes} if changes else {}),
        }

    def is_alive(self) -> bool:
        return self.alive

    def _chosen(self, volume: str | None) -> dict[str, MemoryVolume]:
        if volume is None:
            return self.volumes
        if volume not in self.volumes:
            raise CommandRefused(f"there is no volume {volume!r} here; there is {', '.join(self.volumes) or 'none'}", 2)
        return {volume: self.volumes[volume]}
