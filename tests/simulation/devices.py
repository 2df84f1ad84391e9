"""The twins as one machine has them: each effect may be its last, and users work between any two of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from syncagent.core.plan import StatKey, Step
from syncagent.ports import (
    Absent,
    DirtyPath,
    Failed,
    Finding,
    Late,
    Listing,
    Marker,
    Outcome,
    Scanner,
    ScanProblem,
    Tree,
    WatchLost,
)
from syncproto.messages import Delta, VolumeMessage, VolumeState
from syncproto.model import Attributes, Entry, Manifest, Path
from syncproto.version import covers_all
from twins.disk_scanner import MemoryScanner
from twins.disk_tree import MemoryTree, open_volume
from twins.index import MemoryIndex
from twins.network import MemoryPeers
from twins.watcher import MemoryWatcher

if TYPE_CHECKING:
    from random import Random

    from simulation.machine import Machine

NO_SPACE = "No space left on device"


class Killed(BaseException):
    """The process is killed at this very instant."""


class SimulatedClock:
    """The world's time, seen through a clock that is off by ``skew_ns``."""

    def __init__(self, machine: Machine, random: Random) -> None:
        self._machine = machine
        self._random = random

    def wall_ns(self) -> int:
        return self._machine.wall_ns()

    def monotonic(self) -> float:
        return self._machine.world.now

    def entropy(self, size: int) -> bytes:
        return self._random.randbytes(size)


class SimulatedWorkers:
    """A pool whose jobs begin and end at any time, in any order."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def submit(self, job: Callable[[], Any], done: Callable[[Any], None]) -> None:
        machine, world = self._machine, self._machine.world
        life = machine.life

        def work() -> None:
            try:
                result = job()
            except OSError as error:
                result = error
            world.after(world.random.uniform(0, machine.job_seconds), "done", lambda: finish(result))

        def finish(result: object) -> None:
            machine.jobs -= life == machine.life
            machine.post(lambda: done(result), life)

        machine.jobs += 1
        world.after(world.random.uniform(0, machine.job_seconds), "job", lambda: machine.guarded(work, life))


class SimulatedScanner(MemoryScanner):
    """Users work while it looks."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine.volume)
        self._machine = machine

    def list_directory(self, path: Path) -> Listing | Absent | ScanProblem:
        self._machine.interrupt()
        return super().list_directory(path)

    def examine(self, path: Path, known: StatKey | None) -> Finding:
        self._machine.interrupt()
        return super().examine(path, known)


class SimulatedTree(MemoryTree):
    """May be killed before and after each step, and be refused."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine.volume, machine.options.history_size)
        self._machine = machine

    def _outcome(self, step: Step) -> Outcome:
        machine = self._machine
        name = _name_of(step)
        machine.effect(name)
        machine.interrupt()
        if machine.is_refused:
            return Failed(step.path, NO_SPACE, is_resource=True)
        outcome = super()._outcome(step)
        machine.effect(name)
        return outcome

    def stage_whole(self, contents: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        self._machine.effect("stage")
        return super().stage_whole(contents)

    def stage_copy(self, digest: bytes, path: Path, stat: StatKey, sparse: bool, count: int = 1) -> bool:
        self._machine.effect("stage copy")
        self._machine.interrupt()
        return super().stage_copy(digest, path, stat, sparse, count)

    def stage_kept(self, digest: bytes, name: bytes, sparse: bool, count: int = 1) -> bool:
        self._machine.effect("stage kept")
        return super().stage_kept(digest, name, sparse, count)

    def stage_local(self, manifest: Manifest, numbers: Sequence[int], path: Path, source: Manifest) -> list[int]:
        self._machine.effect("stage local")
        self._machine.interrupt()
        return super().stage_local(manifest, numbers, path, source)

    def drop_kept(self, names: Sequence[bytes]) -> list[Late]:
        self._machine.effect("drop kept")
        return super().drop_kept(names)

    def unstage(self, digests: Sequence[bytes] | None) -> None:
        self._machine.effect("unstage")
        super().unstage(digests)

    def write_marker(self, marker: Marker) -> None:
        self._machine.effect("mark")
        super().write_marker(marker)
        self._machine.effect("mark")

    def stage_write(self, digest: bytes, offset: int, data: bytes) -> None:
        self._machine.effect("stage write")
        super().stage_write(digest, offset, data)

    def stage_finish(self, manifest: Manifest, sparse: bool) -> list[int]:
        self._machine.effect("stage finish")
        return super().stage_finish(manifest, sparse)

    def _sync(self, path: Path) -> None:
        self._machine.effect("flush")
        super()._sync(path)


def _name_of(step: Step) -> str:
    words = re.findall("[A-Z][a-z]+", type(step).__name__)
    return " ".join(words).lower()


class SimulatedIndex(MemoryIndex):
    """May be killed before and after each commit; every entry that is put is kept for the ledger."""

    machine: ClassVar[Machine]

    def commit(self, durable: bool = False) -> None:
        self.machine.effect("commit")
        super().commit(durable)
        self.machine.committed()
        self.machine.effect("commit")

    def put(self, entry: Entry) -> None:
        self.machine.minted.append(entry)
        self._note(entry.path)
        self.machine.ledger.recorded.add(entry.content if entry.is_live else None)
        super().put(entry)

    def set_stat(self, path: Path, stat: StatKey | None, attributes: Attributes | None) -> None:
        self._note(path)
        super().set_stat(path, stat, attributes)

    def _note(self, path: Path) -> None:
        row, written = self.row(path), self.machine.written
        written[path] = written.get(path, False) or row is not None and row.entry.is_live and row.stat is not None

    def put_pending(self, entry: Entry) -> None:
        self.machine.minted.append(entry)
        super().put_pending(entry)


def indexes_of(machine: Machine) -> type[SimulatedIndex]:
    """The class of this machine's indexes: an instance keeps nothing but what is saved."""

    class Index(SimulatedIndex):
        pass

    Index.machine = machine
    return Index


class Untimely(AssertionError):
    """Something was told that a power cut could still take back."""


class SimulatedPeers:
    """May be killed before each message. What is announced or acknowledged must last."""

    def __init__(self, machine: Machine, peers: MemoryPeers) -> None:
        self._machine = machine
        self._peers = peers

    def send(self, peer: str, message: VolumeMessage, frames: Sequence[bytes] = ()) -> None:
        self._machine.effect("send")
        if isinstance(message, Delta | VolumeState):
            self._require_lasting("known", message.known)
        if isinstance(message, VolumeState):
            self._require_lasting("applied", message.applied)
        self._peers.send(peer, message, frames)

    def _require_lasting(self, name: str, told: Mapping[str, int]) -> None:
        lasting = self._machine.index_disk.lasting.get(name, {})
        if not covers_all(lasting, told.items()):
            raise Untimely(f"{self._machine.name} tells {name} {told}, and only {lasting} lasts")

    def consumed(self, peer: str, size: int) -> None:
        self._peers.consumed(peer, size)


class SimulatedDisk:
    """Opens the machine's volume."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def open(self) -> tuple[Scanner, Tree]:
        open_volume(self._machine.volume)  # raises where the root is gone
        return SimulatedScanner(self._machine), SimulatedTree(self._machine)

    def watch(self, emit: Callable[[DirtyPath | WatchLost], None]) -> MemoryWatcher:
        machine = self._machine

        def emit_some(hint: DirtyPath | WatchLost) -> None:
            if machine.random.random() >= machine.hint_loss:
                emit(hint)

        watcher = MemoryWatcher(
            machine.volume, emit_some, ignore=lambda path: False, wake=lambda: machine.read_soon(watcher)
        )
        watcher.start()
        machine.watcher = watcher
        return watcher
