"""What goes wrong at random, and how it is put right in the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from random import Random

from simulation.machine import Machine
from simulation.users import Users
from simulation.world import World
from syncagent.status import CommandRefused
from syncproto.model import Path
from twins.disk import Node

KEEPER_SECONDS = 0.7
"""So often somebody looks which agents are down, and starts them."""


class Faults:
    """``kinds`` are the names of those that may happen in this run."""

    def __init__(
        self, world: World, machines: Sequence[Machine], users: Users, random: Random, kinds: Sequence[str]
    ) -> None:
        self.world, self.machines, self.users, self.random, self.kinds = world, machines, users, random, kinds
        self.away: set[str] = set()
        """Machines that nobody starts for now."""
        self.has_forgotten = False
        self._roots: dict[str, Node] = {}
        self._unreadable: list[tuple[Machine, Path, Node]] = []
        self._is_over = False
        self._keep()

    def happen(self) -> None:
        """One of them, on some machine."""
        if self.kinds:
            kind = self.random.choice(self.kinds)
            BY_NAME[kind](self, self.random.choice(self.machines))

    def end(self) -> None:
        """Everything is put right."""
        self._is_over = True
        self.away.clear()
        self.users.close_writers()
        for one, other in combinations([machine.name for machine in self.machines], 2):
            self.world.network.heal(one, other)
        for machine in self.machines:
            machine.fuse, machine.is_refused, machine.volume.is_full = None, False, False
            machine.hint_loss = machine.interrupt_chance = 0.0
            self._mount(machine)
            machine.start()
        self._make_readable()

    def _keep(self) -> None:
        for machine in self.machines:
            if machine.name not in self.away:
                machine.start()
        if not self._is_over:
            self.world.after(KEEPER_SECONDS, "keeper", self._keep)

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        """Something ends after about so much time, or with all faults."""
        self.world.after(self.random.uniform(0.1, seconds), "fault", lambda: None if self._is_over else action())

    def _note(self, text: str) -> None:
        self.world.note(f"fault: {text}")

    # -- the network ---------------------------------------------------------------------------

    def cut(self, machine: Machine) -> None:
        """A link breaks, or no packet gets through it."""
        other = self.random.choice([each for each in self.machines if each is not machine])
        pair = machine.name, other.name
        is_stall = self.random.random() < 0.4
        self._note(f"{'stall' if is_stall else 'cut'} {pair}")
        (self.world.network.stall if is_stall else self.world.network.cut)(*pair)
        self._later(8.0, lambda: self._heal([pair]))

    def part(self, machine: Machine) -> None:
        """A machine and some others are cut off from the rest."""
        size = self.random.randrange(1, len(self.machines))
        inside = {each.name for each in self.random.sample(self.machines, size)}
        names = [each.name for each in self.machines]
        pairs = [(a, b) for a, b in combinations(names, 2) if (a in inside) != (b in inside)]
        self._note(f"partition {pairs}")
        for pair in pairs:
            self.world.network.cut(*pair)
        self._later(10.0, lambda: self._heal(pairs))

    def _heal(self, pairs: list[tuple[str, str]]) -> None:
        self._note(f"heal {pairs}")
        for pair in pairs:
            self.world.network.heal(*pair)

    # -- processes -----------------------------------------------------------------------------

    def kill(self, machine: Machine) -> None:
        """Now, or between any two of its next effects."""
        if self.random.random() < 0.3:
            machine.kill()
        elif machine.is_running:
            machine.fuse = self.random.randrange(1, 80)

    def restart(self, machine: Machine) -> None:
        """A clean stop."""
        machine.stop()

    def lose_index(self, machine: Machine) -> None:
        """Its state directory is lost."""
        machine.kill()
        machine.lose_index()
        self.users.ledger.is_memory_lost = True

    def forget(self, machine: Machine) -> None:
        """It goes away, the others forget it, and it comes back after a while."""
        if self.has_forgotten or self.away:
            return
        self.has_forgotten = True
        self.away.add(machine.name)
        machine.kill()
        self.world.after(2.0, "forget", lambda: self._forget(machine))
        self._later(40.0, self.away.clear)

    def _forget(self, machine: Machine) -> None:
        for other in self.machines:
            if other.agent is not None and machine.name in self.away:
                try:
                    other.agent.commands.forget(None, machine.name)
                except CommandRefused:
                    continue
                self._note(f"{other.name} forgets {machine.name}")

    # -- disks ---------------------------------------------------------------------------------

    def fill(self, machine: Machine) -> None:
        """No space left, for a while."""
        self._note(f"{machine.name} is full")
        machine.volume.is_full = machine.is_refused = True

        def free() -> None:
            machine.volume.is_full = machine.is_refused = False

        self._later(4.0, free)

    def unmount(self, machine: Machine) -> None:
        """The root is gone, for a while; its agent goes on, or cannot start."""
        if machine.name not in self._roots and not any(each is machine for each, _ in self.users.writers):
            self._note(f"{machine.name} is unmounted")
            self._roots[machine.name] = machine.volume.root
            machine.volume.remove_root()
            self._later(3.0, lambda: self._mount(machine))

    def _mount(self, machine: Machine) -> None:
        root = self._roots.pop(machine.name, None)
        if root is not None:
            self._note(f"{machine.name} is mounted again")
            machine.volume.restore_root(root)

    def hide(self, machine: Machine) -> None:
        """A file or directory cannot be read, for a while."""
        paths = [path for path, _, _, _ in machine.volume.walk()]
        if paths:
            path = self.random.choice(paths)
            node = machine.volume.find(path)
            node.is_unreadable = True
            self._unreadable.append((machine, path, node))
            self._note(f"{machine.name} cannot read {path!r}")
            self._later(3.0, self._make_readable)

    def _make_readable(self) -> None:
        """Giving rights back changes the inode, wherever it is by now: that is what the agent notices."""
        for machine, _, node in self._unreadable:
            node.is_unreadable = False
            machine.volume.stamp(node, is_content=False)
        self._unreadable.clear()

    def write_on(self, machine: Machine) -> None:
        """A program keeps a file open and writes into it now and then."""
        if not machine.volume.is_gone and self.users.open_writer(machine):
            for _ in range(self.random.randrange(4)):
                self._later(3.0, self.users.write_on)
            self._later(4.0, self.users.close_writers)

    # -- clocks and watchers -------------------------------------------------------------------

    def set_clock(self, machine: Machine) -> None:
        """The wall clock jumps."""
        seconds = self.random.choice([-86400, -30, -1, 1, 30, 86400])
        self._note(f"the clock of {machine.name} jumps {seconds} s")
        machine.skew_ns += seconds * 10**9

    def overflow(self, machine: Machine) -> None:
        """The kernel's queue is full: notices are lost, and the watcher says so."""
        if machine.watcher is not None:
            machine.watcher.overflow()


BY_NAME: dict[str, Callable[[Faults, Machine], None]] = {
    "cut": Faults.cut,
    "part": Faults.part,
    "kill": Faults.kill,
    "restart": Faults.restart,
    "lose index": Faults.lose_index,
    "forget": Faults.forget,
    "fill": Faults.fill,
    "unmount": Faults.unmount,
    "hide": Faults.hide,
    "write on": Faults.write_on,
    "set clock": Faults.set_clock,
    "overflow": Faults.overflow,
}
