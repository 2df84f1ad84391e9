"""One machine: a disk that lasts, and an agent that starts, stops, is killed, and starts again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from stat import S_IMODE

from simulation.ahead import check_rows
from simulation.devices import (
    Killed,
    SimulatedClock,
    SimulatedDisk,
    SimulatedPeers,
    SimulatedWorkers,
    indexes_of,
)
from simulation.ledger import Ledger, Payload, Thing, tree_of
from simulation.world import EPOCH_NS, Action, World
from syncagent.core.chunking import digest_of
from syncagent.engine import Agent, VolumeOptions
from syncagent.engine.identity import new_origin
from syncagent.engine.surroundings import Surroundings
from syncagent.engine.volume import Volume
from syncproto.model import Entry, Kind, Path
from twins.accidents import Snapshot
from twins.disk import MemoryVolume
from twins.index import MemoryDisk
from twins.network import MemoryPeers
from twins.watcher import MemoryWatcher

CALLS_PER_TURN = 500
TURN_SECONDS = 0.0002
VOLUME = "data"
PATIENCE = {"unstage": 12.0, "drop kept": 34.0}
"""Longer than an agent takes to do once what it does now and then, in seconds."""


class Machine:
    """What outlives the process is here: the volume, the index's disk, the clock's skew."""

    def __init__(self, world: World, ledger: Ledger, name: str, dials: Sequence[str]) -> None:
        self.world, self.ledger, self.name, self.dials = world, ledger, name, dials
        ledger.machines.append(self)
        self.random = Random(world.random.randrange(2**32))
        self.skew_ns = 0
        self.volume = MemoryVolume(self.wall_ns)
        self.index_disk = MemoryDisk()
        self.clock = SimulatedClock(self, self.random)
        self.options = VolumeOptions(VOLUME, b"/data")
        self.job_seconds = 0.002
        self.hint_seconds = 0.002
        self.hint_loss = 0.0
        self.interrupt_chance = 0.0
        self.interrupted: Callable[[Machine], None] | None = None
        self.is_refused = False
        self.fuse: int | None = None
        """So many effects before the process is killed, or, if ``is_power_fuse``, the power fails."""
        self.is_power_fuse = False
        self.fuse_name = ""
        """What effects count; empty: all of them."""
        self.next_fuse: tuple[int, str, bool] | None = None
        """The fuse of the next start, with its name and whether the power fails: it is hit while it recovers."""
        self.fuse_blew: Callable[[str], None] = lambda fault: None
        """Told which fault that was: "kill", "power cut" or "double crash"."""
        self.is_second_fuse = False
        """Whether the next fuse to blow is the second of a double crash."""
        self.power_failed: Callable[[Machine], None] = lambda machine: None
        self.written: dict[Path, bool] = {}
        """Rows written since the last durable commit, and whether the disk was known to hold something there before."""
        self.minted: list[Entry] = []
        """The entries of these, and pending ones: only what was committed for good counts as a use of a dot."""
        self.has_lost_index = False
        self.life = 0
        """Counts the starts and ends of the process: what was meant for another life is dropped."""
        self.agent: Agent | None = None
        self.peers: MemoryPeers | None = None
        self.watcher: MemoryWatcher | None = None
        self.jobs = 0
        self.notices = 0
        self._read_at = 0.0
        self._calls: deque[Action] = deque()
        self._turn_at: float | None = None

    def wall_ns(self) -> int:
        """The machine's clock."""
        return EPOCH_NS + int(self.world.now * 1e9) + self.skew_ns

    @property
    def engine(self) -> Volume:
        """The running volume."""
        assert self.agent is not None
        return self.agent.volumes[VOLUME]

    @property
    def is_running(self) -> bool:
        return self.agent is not None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way between the parts of this machine."""
        return not (self.jobs or self.notices or self._calls)

    def knows(self, path: Path, thing: Thing) -> bool:
        """Whether the index has committed that the disk holds this, attributes and times included."""
        entry = self.index_disk.saved.get("_entries", {}).get(path)
        seen, _ = self.index_disk.saved.get("seen", {}).get(path, (None, None))
        if entry is None or entry.kind != thing.kind or seen is None or (seen.uid, seen.gid) != thing.owner:
            return False
        if thing.kind == Kind.FILE and (seen.mtime_ns, S_IMODE(seen.mode)) != (thing.mtime_ns, thing.mode):
            return False
        return bool(entry.content == (digest_of(thing.content or b"") if thing.kind == Kind.FILE else thing.content))

    def ignores(self, path: Path) -> bool:
        """Whether the agent that runs takes no notice of this path."""
        volume = self.agent.volumes.get(VOLUME) if self.agent is not None else None
        return volume is not None and volume.context.rules.ignores(path)

    def contents_known(self) -> set[Payload]:
        """All that some index has written down for good, on any machine."""
        known: set[Payload] = set()
        for machine in self.ledger.machines:
            saved = machine.index_disk.saved
            for entry in (*saved.get("_entries", {}).values(), *saved.get("_pending", {}).values()):
                known.add((entry.kind, entry.content))
        return known

    # -- the process ---------------------------------------------------------------------------

    def start(self) -> None:
        """Start the agent, unless its root is gone: then it cannot."""
        if self.is_running or self.volume.is_gone:
            return
        self.world.note(f"{self.name} starts")
        self.life += 1
        if self.next_fuse is not None:
            self.fuse, self.fuse_name, self.is_power_fuse = self.next_fuse
            self.next_fuse = None
        self.guarded(self._start, self.life)

    def _start(self) -> None:
        life, world = self.life, self.world
        agent = Agent(self.name, "simulated", self.clock, lambda: self.dials, self._consumed)
        self.agent = agent
        index = indexes_of(self).open(self.index_disk, new_origin=lambda: new_origin(self.name, self.clock.entropy(16)))
        self.peers = world.network.join(
            self.name, agent.hellos, lambda event: self.post(lambda: agent.on_event(event), life)
        )
        around = Surroundings(
            index=index,
            disk=SimulatedDisk(self),
            peers=SimulatedPeers(self, self.peers),
            workers=SimulatedWorkers(self),
            clock=self.clock,
            post=lambda call: self.post(call, life),
            rehello=lambda: self.peers.reset() if self.peers else None,
        )
        agent.add(Volume(self.options, self.name, around))
        self.engine.start()
        for name in self.dials:
            self.peers.dial(name)
        self.post(lambda: None, life)

    def _consumed(self, peer: str, size: int) -> None:
        if self.peers is not None:
            self.peers.consumed(peer, size)

    def kill(self) -> None:
        """End the process at once."""
        if self.is_running:
            self.world.note(f"{self.name} is killed")
            self._end()
            self.index_disk.crash()

    def cut_power(self) -> None:
        """The whole machine goes dark: what was not flushed may be lost, of the volume and of the index."""
        self.world.note(f"{self.name} loses power")
        if self.is_running:
            self._end()
        self.volume.uncover()
        before = tree_of(self.volume)
        self.index_disk.cut_power(self.random)
        self.volume.cut_power(self.random)
        self.ledger.note_cut(self, before, tree_of(self.volume))
        self.power_failed(self)

    def committed(self) -> None:
        """Rows of a durable commit must be true of the disk even after a power cut. Raises ``AheadOfDisk``."""
        if self.index_disk.is_durable:
            check_rows(self, self.written)
            for entry in self.minted:
                self.ledger.note_dots(entry)
            self.written.clear()
            self.minted.clear()

    def stop(self) -> None:
        """End the process in good order."""
        if self.agent is None:
            return
        self.world.note(f"{self.name} stops")
        volumes = self.agent.take_volumes()

        def stop() -> None:
            for volume in volumes:
                volume.stop()
            self._end()

        self.guarded(stop, self.life)

    def _end(self) -> None:
        self.life += 1
        if self.peers is not None:
            self.peers.leave()
        if self.watcher is not None:
            self.watcher.stop()
        self.agent = self.peers = self.watcher = self.fuse = self._turn_at = None
        self.is_power_fuse, self.fuse_name = False, ""
        self.written.clear()
        self.minted.clear()
        self.jobs = self.notices = 0
        self._calls.clear()
        self.world.carry_soon()

    def lose_index(self) -> None:
        """The state directory of a machine that does not run is gone."""
        self.world.note(f"{self.name} loses its index")
        self.index_disk = MemoryDisk()
        self.has_lost_index = True

    # -- copies of what lasts, of a machine that does not run ------------------------------------

    def snapshot_index(self) -> MemoryDisk:
        """A copy of the state directory."""
        return self.index_disk.copy()

    def restore_index(self, copy: MemoryDisk) -> None:
        """The state directory is brought back from a copy."""
        self.world.note(f"{self.name}: the index of before is restored")
        self.index_disk = copy.copy()

    def snapshot_volume(self) -> Snapshot:
        """A copy of the volume, inodes, times and marker included."""
        return self.volume.snapshot()

    def restore_volume(self, copy: Snapshot) -> None:
        """The volume is brought back from a copy; what users did since is undone, and nobody is to blame."""
        self.world.note(f"{self.name}: the volume of before is restored")
        before = tree_of(self.volume)
        self.volume.restore(copy)
        self.ledger.note_cut(self, before, tree_of(self.volume))
        self.power_failed(self)

    # -- its thread ----------------------------------------------------------------------------

    def guarded(self, action: Action, life: int) -> None:
        """Do something as the process of that life, which may be killed in the middle."""
        if life != self.life:
            return
        try:
            action()
        except Killed:
            self.fuse_blew("double crash" if self.is_second_fuse else "power cut" if self.is_power_fuse else "kill")
            self.is_second_fuse = self.next_fuse is not None
            if self.is_power_fuse:
                self.cut_power()
            else:
                self.kill()
        self.world.carry_soon()

    def post(self, call: Action, life: int) -> None:
        """Have the engine's thread do this soon."""
        if life == self.life:
            self._calls.append(call)
            self._turn_by(self.world.now + self.random.uniform(0, TURN_SECONDS))

    def _turn_by(self, when: float) -> None:
        if self._turn_at is None or when < self._turn_at:
            self._turn_at, life = when, self.life
            self.world.at(when, f"turn {self.name}", lambda: self._turn_if(when, life))

    def _turn_if(self, when: float, life: int) -> None:
        if when == self._turn_at and life == self.life:
            self._turn_at = None
            self.guarded(self._turn, life)

    def _turn(self) -> None:
        assert self.agent is not None
        for _ in range(min(len(self._calls), CALLS_PER_TURN)):
            self._calls.popleft()()
        due = self.agent.run()
        self._turn_by(max(due, self.world.now + TURN_SECONDS))

    def effect(self, name: str) -> None:
        """The process is about to do something that others can see, or has just done it."""
        if self.fuse is not None and self.fuse_name in ("", name):
            self.fuse -= 1
            if self.fuse <= 0:
                self.world.count(f"{'power cut' if self.is_power_fuse else 'crash'}: {name}")
                raise Killed

    def set_fuse(self, effects: int, name: str = "", *, is_power: bool = False) -> None:
        """The process, or the next one, dies, or the power fails, after so many effects of that name, or of any."""
        self.is_second_fuse = False
        if self.is_running:
            self.fuse, self.fuse_name, self.is_power_fuse = effects, name, is_power
        else:
            self.next_fuse = effects, name, is_power

    def is_to_be_hit(self, seconds: float) -> bool:
        """Whether a fuse may still burn down so long after the last act."""
        name = self.fuse_name or (self.next_fuse[1] if self.next_fuse is not None else "")
        return (self.fuse is not None or self.next_fuse is not None) and seconds < PATIENCE.get(name, 4.0)

    def interrupt(self) -> None:
        """Users may act right now."""
        if self.interrupted is not None and self.random.random() < self.interrupt_chance:
            self.interrupted(self)

    # -- the watcher ---------------------------------------------------------------------------

    def read_soon(self, watcher: MemoryWatcher) -> None:
        """The kernel has queued a notice: the watcher reads it a little later, and in order."""
        life, self.notices = self.life, self.notices + 1
        delay = self.random.uniform(0, self.hint_seconds)
        self._read_at = max(self._read_at + 1e-6, self.world.now + delay)

        def read() -> None:
            if life == self.life:
                self.notices -= 1
                watcher.read()

        self.world.at(self._read_at, "hint", read)
