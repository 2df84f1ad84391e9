"""Agent ``a`` and the others of its cluster: as whole real agents on real directories, and as numbers in memory."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from syncagent.config import Brake, Config, VolumeConfig
from syncagent.config.model import Endpoint
from syncagent.ports import Control
from syncagent.service.control import EngineControl
from syncagent.service.run import Service
from syncagent.service.signals import Signals
from syncagent.status import CommandRefused, ConflictStatus, ProblemStatus, ReplicaStatus, VolumeStatus, WaitResult
from twins.control import MemoryControl, MemoryMember, MemoryVolume

VOLUMES = ("data", "logs")
SIZE = 1000
"""Bytes of every file."""
UNTIL_SECONDS = 30.0
"""More than the 15 s after which a pull that was lost is repeated."""
POOL_JOBS = 8
"""More than the threads that a pool has."""
REPLACED = "was replaced by something that is not replicated; the others keep what they have"


class Scene(Protocol):
    """What a test may do around agent ``a``, whose brake holds every delete. The others have the same volumes."""

    control: Control

    def join(self, name: str) -> None:
        """Start another agent, or start it again."""

    def leave(self, name: str) -> None:
        """Stop it."""

    def stall(self, name: str) -> None:
        """It stays connected, but applies no file any more."""

    def proceed(self, name: str) -> None:
        """It goes on."""

    def write(self, path: str, volume: str = "data") -> None:
        """A new file at a."""

    def disagree(self, path: str, name: str) -> None:
        """A file is edited at a and at the other while they do not see each other."""

    def delete(self, path: str, at: str = "a") -> None:
        """A file of ``data`` is deleted."""

    def put_fifo(self, path: str) -> None:
        """At a there is something that is not replicated, in place of a file if there was one."""

    def remove_fifo(self, path: str) -> None:
        """It goes, and no file was there before."""

    def take_root(self) -> None:
        """The directory of ``data`` at a is moved away."""

    def return_root(self) -> None:
        """It is back."""

    def replace_root(self, path: str) -> None:
        """In place of what was moved away there is a directory with this file."""

    def root(self, volume: str) -> str:
        """Where a has the volume."""

    def end(self) -> None:
        """Agent a stops."""

    def close(self) -> None: ...


def until(condition: Callable[[], bool]) -> None:
    """Let things happen until the condition holds; fail if it does not within seconds."""
    end = time.monotonic() + UNTIL_SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def volume_of(control: Control, name: str = "data") -> VolumeStatus:
    """Its status now."""
    (found,) = [volume for volume in control.status().volumes if volume.name == name]
    return found


def written(scene: Scene, *paths: str) -> Scene:
    """With these files more, everywhere."""
    entries = volume_of(scene.control).entries + len(paths)
    for path in paths:
        scene.write(path)
    until(lambda: volume_of(scene.control).entries == entries and volume_of(scene.control).in_sync)
    return scene


def member(control: Control, name: str) -> ReplicaStatus:
    """A replica of ``data``."""
    (found,) = [replica for replica in volume_of(control).replicas if replica.name == name]
    return found


def reached(control: Control, token: object, members: int | None = None) -> WaitResult:
    """Wait until the members have what the token stands for."""
    until(lambda: control.wait_check(token, members).reached)
    return control.wait_check(token, members)


def missed(control: Control, volume: str | None, members: int | None, cause: str) -> WaitResult:
    """Ask until it is this that keeps from being equal; nothing may reach it meanwhile."""
    token, results = control.wait_token(volume), list[WaitResult]()

    def is_it() -> bool:
        results.append(control.wait_check(token, members))
        assert not results[-1].reached
        return results[-1].cause == cause and not any("still looks" in line for line in results[-1].missing)

    until(is_it)
    return results[-1]


def codes(control: Control, volume: str | None) -> list[str]:
    """The problems, but for the note that a watcher lost events, which comes and goes by itself."""
    return [problem.code for problem in control.problems(volume) if problem.code != "events-lost"]


def refusal(order: Callable[[], object]) -> tuple[str, int]:
    """The sentence and the exit code with which it is refused."""
    with pytest.raises(CommandRefused) as caught:
        order()
    return str(caught.value), caught.value.exit_code


# -- real ------------------------------------------------------------------------------------------------


class _Service(Service):
    """A whole agent, with a control like that of its HTTP server, and a pool that can be kept busy."""

    def __init__(self, config: Config) -> None:
        super().__init__(config, Signals())
        self.control = EngineControl(self._agent, self._loop, lambda: dict(self._line.counters))
        self._gate = threading.Event()

    @property
    def address(self) -> str:
        return self._line.listening[0]

    def stall(self) -> None:
        gate = self._gate = threading.Event()
        for _ in range(POOL_JOBS):
            self._pool.submit(lambda: gate.wait(UNTIL_SECONDS), lambda _: None)

    def proceed(self) -> None:
        self._gate.set()

    def end(self) -> None:
        self.proceed()
        self.stop(is_clean=True)


class RealScene:
    """Real agents in this process, each as ``syncagent run`` builds it; all dial a."""

    def __init__(self, place: Path, expects: str | None = None) -> None:
        self._place = place
        self._running: dict[str, _Service] = {}
        first = self._start("a", expects, Brake(0, 0))
        self._address = first.address
        self.control: Control = first.control

    def _start(self, name: str, peer: str | None, brake: Brake | None) -> _Service:
        for volume in VOLUMES:
            self._path(name, volume).mkdir(parents=True, exist_ok=True)
        roots = {volume: os.fsencode(self._path(name, volume)) for volume in VOLUMES}
        config = Config(
            name=name,
            volumes=tuple(VolumeConfig(volume, root, brake=brake) for volume, root in roots.items()),
            state_dir=str(self._place / f"state-{name}"),
            listen=Endpoint("127.0.0.1", 0),
            peers=(_endpoint(peer),) if peer else (),
        )
        service = self._running[name] = _Service(config)
        service.start()
        return service

    def _path(self, name: str, volume: str = "data") -> Path:
        return self._place / name / volume

    def join(self, name: str) -> None:
        self._start(name, self._address, None)

    def leave(self, name: str) -> None:
        self._running.pop(name).end()

    def stall(self, name: str) -> None:
        control = self._running[name].control
        token = control.wait_token(None)
        until(lambda: control.wait_check(token, 1).reached)  # what it has looked at is told, though nothing is applied
        self._running[name].stall()

    def proceed(self, name: str) -> None:
        self._running[name].proceed()

    def write(self, path: str, volume: str = "data") -> None:
        (self._path("a", volume) / path).write_bytes(b"-" * SIZE)

    def disagree(self, path: str, name: str) -> None:
        self.leave(name)
        for each in ("a", name):
            (self._path(each) / path).write_bytes(each.encode() * SIZE)
        self.join(name)

    def delete(self, path: str, at: str = "a") -> None:
        (self._path(at) / path).unlink()

    def put_fifo(self, path: str) -> None:
        os.mkfifo(self._place / "fifo")
        (self._place / "fifo").rename(self._path("a") / path)

    def remove_fifo(self, path: str) -> None:
        (self._path("a") / path).unlink()

    def take_root(self) -> None:
        self._path("a").rename(self._place / "away")

    def return_root(self) -> None:
        (self._place / "away").rename(self._path("a"))

    def replace_root(self, path: str) -> None:
        made = self._place / "made"
        made.mkdir()
        (made / path).write_bytes(b"a" * SIZE)
        made.rename(self._path("a"))

    def root(self, volume: str) -> str:
        return str(self._path("a", volume))

    def end(self) -> None:
        self.leave("a")

    def close(self) -> None:
        with ExitStack() as ending:
            for service in self._running.values():
                ending.callback(service.end)
            self._running = {}


def _endpoint(address: str) -> Endpoint:
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    return Endpoint(host, int(port))


# -- in memory -------------------------------------------------------------------------------------------


class TwinScene:
    """What the real agents come to, told to the twin at once."""

    def __init__(self, place: Path, expects: str | None = None) -> None:
        expected = [expects] if expects else []
        volumes = {
            name: MemoryVolume(changes=0, ready=not expected, expected=list(expected), root=os.fsencode(place / name))
            for name in VOLUMES
        }
        self.control: Control = (twin := MemoryControl("a", **volumes))
        self._twin = twin

    @property
    def _data(self) -> MemoryVolume:
        return self._twin.volumes["data"]

    def _members(self, name: str) -> list[MemoryMember]:
        return [volume.members.setdefault(name, MemoryMember()) for volume in self._twin.volumes.values()]

    def join(self, name: str) -> None:
        for state in self._members(name):
            state.connected = True
        self.proceed(name)

    def leave(self, name: str) -> None:
        self.stall(name)
        for state in self._members(name):
            state.connected = False

    def stall(self, name: str) -> None:
        for state in self._members(name):
            state.is_following = False

    def proceed(self, name: str) -> None:
        for state in self._members(name):
            state.is_following = True
        for volume in self._twin.volumes:
            self._twin.apply_all(volume, name)

    def write(self, path: str, volume: str = "data") -> None:
        self._twin.change(volume, os.fsencode(path))

    def disagree(self, path: str, name: str) -> None:
        stem, _, extension = path.partition(".")
        self._twin.change("data")
        copy = f"{stem}~{name}.00000001-1.{extension}"
        self._data.conflicts.append(ConflictStatus(path=copy, of=path, origin=name, size=SIZE, stands="a"))

    def delete(self, path: str, at: str = "a") -> None:
        self._twin.hold("data", os.fsencode(path), "deleted here" if at == "a" else "deleted by a peer")

    def put_fifo(self, path: str) -> None:
        since = self.control.status().time
        problems = [ProblemStatus(code="unsupported", text="a FIFO", path=path, since=since)]
        if os.fsencode(path) in self._data.paths:
            problems.append(ProblemStatus(code="replaced", text=REPLACED, path=path, is_blocking=True, since=since))
        self._data.problems += problems

    def remove_fifo(self, path: str) -> None:
        self._data.problems = [problem for problem in self._data.problems if problem.path != path]

    def take_root(self) -> None:
        self._data.halt, self._data.is_root_there = "the root is gone", False

    def return_root(self) -> None:
        self._data.halt, self._data.is_root_there = None, True

    def replace_root(self, path: str) -> None:
        self._data.is_root_there = True
        self.write(path)

    def root(self, volume: str) -> str:
        return os.fsdecode(self._twin.volumes[volume].root)

    def end(self) -> None:
        self._twin.alive = False

    def close(self) -> None:
        pass
