"""Directed runs: a few machines, a script in Python, and the same judge as for the random runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from simulation.judge import settle, verdict
from simulation.ledger import Ledger, Tree, tree_of
from simulation.machine import Machine
from simulation.users import Users
from simulation.world import World
from syncagent.core.brake import BrakeLimit
from syncproto.model import Path
from twins.disk import MemoryVolume


class Scene:
    """Machines ``a``, ``b`` …, each dials those before it; all are started. No deletes are held unless ``brake``."""

    def __init__(self, names: str = "ab", *, brake: BrakeLimit | None = None) -> None:
        self.world, self.ledger = World(seed=0), Ledger()
        self.users = Users(self.world, self.ledger)
        self.machines = [Machine(self.world, self.ledger, name, names[:number]) for number, name in enumerate(names)]
        for machine in self.machines:
            machine.options = replace(machine.options, brake=brake or BrakeLimit(is_off=True))
            machine.start()
        self.wait(2.0)

    def __getitem__(self, name: str) -> Machine:
        return next(machine for machine in self.machines if machine.name == name)

    def wait(self, seconds: float = 1.0) -> None:
        """Let time pass."""
        self.world.run(seconds)

    def part(self) -> None:
        """Nobody reaches anybody."""
        for one in self.machines:
            for other in self.machines:
                if one is not other:
                    self.world.network.cut(one.name, other.name)

    def join(self) -> None:
        """All reach each other again."""
        for one in self.machines:
            for other in self.machines:
                self.world.network.heal(one.name, other.name)

    # -- users ---------------------------------------------------------------------------------

    def write(self, name: str, path: Path, content: bytes) -> None:
        self._do(name, lambda volume: self.users.write(volume, path, content))

    def delete(self, name: str, path: Path) -> None:
        self._do(name, lambda volume: self.users.delete(volume, path))

    def rename(self, name: str, old: Path, new: Path) -> None:
        self._do(name, lambda volume: self.users.rename(volume, old, new))

    def mkdir(self, name: str, path: Path) -> None:
        def make(volume: MemoryVolume) -> str:
            volume.mkdir(path)
            return f"makes {path!r}"

        self._do(name, make)

    def _do(self, name: str, work: Callable[[MemoryVolume], str | None]) -> None:
        assert self.users.do(self[name], work), "a user of the scene could not do that"

    # -- the end -------------------------------------------------------------------------------

    def end(self) -> dict[Path, bytes | None]:
        """Judge, and give what all have: content by path."""
        self.join()
        for machine in self.machines:
            machine.fuse = None
            machine.start()
        self.wait(2.0)
        wrong = settle(self.world, self.machines) or verdict(self.world, self.ledger, self.machines)
        assert wrong is None, "\n".join([*self.world.log, wrong])
        return {path: thing.content for path, thing in self.tree().items()}

    def tree(self, name: str = "a") -> Tree:
        """What a machine's volume holds now."""
        return tree_of(self[name].volume)
