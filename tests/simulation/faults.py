"""What goes wrong, by name and with plain arguments, and how it is put right in the end.

``FAULTS`` is the table; each that took effect is counted as "fault: NAME".
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

from simulation.disk_faults import DISK_KINDS
from simulation.kinds import Draw, Kind, draw_crash, lasting
from simulation.machine import Machine
from simulation.member_faults import MEMBER_KINDS
from simulation.network_faults import NETWORK_KINDS
from simulation.oracle import Oracle
from simulation.users import Users
from simulation.world import World
from syncproto.model import Path
from twins.disk import Node

KEEPER_SECONDS = 0.7
"""So often somebody looks which agents are down, and starts them."""
SECOND_NS = 10**9
YEAR_SECONDS = 365 * 86400
DRIFT_STEP_SECONDS = 0.25
CUTTING_SHORT = {"kill", "power cut", "double crash", "flush error", "write error", "no space", "fill"}
SPARE_COPIES = 3
"""What was applied and not yet committed, and is then replaced elsewhere, is found as if a user had written it."""


class Faults:
    """``machines`` loses those that die for ever. ``away``: machines that nobody starts for now."""

    def __init__(self, world: World, machines: list[Machine], users: Users, oracle: Oracle) -> None:
        self.world, self.machines, self.users, self.oracle = world, machines, users, oracle
        self.network = world.network
        self.away: set[str] = set()
        self.mends: list[Callable[[], None]] = []
        """What else puts things right in the end."""
        self._roots: dict[str, Node] = {}
        self._unreadable: list[tuple[Machine, Path, Node]] = []
        self._is_over = False
        for machine in machines:
            machine.fuse_blew = self.blew

    def happen(self, machine: Machine, what: str, args: tuple[Any, ...]) -> None:
        """It happens to this machine, if it can."""
        if machine in self.machines and set(args).isdisjoint(self._dead()):
            self.note(f"{machine.name}: {what} {args}")
            if FAULTS[what].do(self, machine, *args) is not False:
                self.world.count(f"fault: {what}")
                self.users.ledger.spare_copies += SPARE_COPIES if what in CUTTING_SHORT else 0

    def _dead(self) -> set[str]:
        return self.away - {machine.name for machine in self.machines}

    def end(self) -> None:
        """Everything is put right."""
        self._is_over = True
        self.away &= self._dead()
        self.users.close_writers()
        for one, other in combinations([machine.name for machine in self.machines], 2):
            self.network.heal(one, other)
        for mend in self.mends:
            mend()
        for machine in self.machines:
            machine.fuse, machine.next_fuse = None, None
            machine.is_refused, machine.volume.is_full = False, False
            machine.hint_loss = machine.interrupt_chance = 0.0
            self.mount(machine)
            self.users.do(machine, self.users.remove_strangers, "remove strangers")
            machine.start()
        self.make_readable()

    def keep(self) -> None:
        """Start what is down, and look again after a while."""
        for machine in self.machines:
            if machine.name not in self.away:
                machine.start()
        if not self._is_over:
            self.world.after(KEEPER_SECONDS, "keeper", self.keep)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Something ends after so much time, or with all faults."""
        self.world.after(seconds, "fault", lambda: None if self._is_over else action())

    def note(self, text: str) -> None:
        self.world.note(f"fault: {text}")

    def heal_later(self, seconds: float, pairs: list[tuple[str, str]]) -> None:
        """What is wrong between these ends after so much time."""

        def heal() -> None:
            self.note(f"heal {pairs}")
            for pair in pairs:
                self.network.heal(*pair)

        self.later(seconds, heal)

    # -- processes -----------------------------------------------------------------------------

    def kill(self, machine: Machine, effects: int, name: str = "") -> bool:
        """Now, or between any two of its next effects, or at so many of that name."""
        if machine.is_running and effects == 0:
            machine.kill()
            return True
        machine.set_fuse(effects, name)
        return False

    def blew(self, fault: str) -> None:
        """A fuse has burnt down."""
        self.world.count(f"fault: {fault}")
        self.users.ledger.spare_copies += SPARE_COPIES

    def restart(self, machine: Machine) -> bool:
        """A clean stop."""
        if not machine.is_running:
            return False
        machine.stop()
        return True

    # -- disks ---------------------------------------------------------------------------------

    def fill(self, machine: Machine, seconds: float) -> None:
        """No space left, for a while."""
        machine.volume.is_full = machine.is_refused = True

        def free() -> None:
            machine.volume.is_full = machine.is_refused = False

        self.later(seconds, free)

    def unmount(self, machine: Machine, seconds: float) -> bool:
        """The root is gone, for a while; its agent goes on, or cannot start."""
        if (
            self.is_unmounted(machine)
            or not machine.volume.is_writable
            or any(each is machine for each, _ in self.users.writers)
        ):
            return False
        self._roots[machine.name] = machine.volume.root
        machine.volume.remove_root()
        self.later(seconds, lambda: self.mount(machine))
        return True

    def is_unmounted(self, machine: Machine) -> bool:
        """Whether its root is gone for now."""
        return machine.name in self._roots

    def mount(self, machine: Machine) -> None:
        """The root is back."""
        root = self._roots.pop(machine.name, None)
        if root is not None:
            self.note(f"{machine.name} is mounted again")
            machine.volume.restore_root(root)

    def hide(self, machine: Machine, number: int, seconds: float) -> bool:
        """A file or directory cannot be read, for a while."""
        paths = [path for path, _, _, _ in machine.volume.walk()] if not machine.volume.is_gone else []
        if not paths:
            return False
        path = paths[number % len(paths)]
        node = machine.volume.find(path)
        node.is_unreadable = True
        self._unreadable.append((machine, path, node))
        self.later(seconds, self.make_readable)
        return True

    def make_readable(self) -> None:
        """Giving rights back changes the inode, wherever it is by now: that is what the agent notices."""
        for machine, _, node in self._unreadable:
            node.is_unreadable = False
            machine.volume.stamp(node, is_content=False)
        self._unreadable.clear()

    def write_on(self, machine: Machine, path: Path, number: int, pieces: int, seconds: float) -> bool:
        """A program keeps a file open, writes into it now and then, and closes it."""
        writer = self.users.open_writer(machine, path)
        if writer is None:
            return False
        for piece in range(pieces):
            text = b"+%d" % (number + piece)
            self.later(seconds * piece / pieces, lambda text=text: self.users.write_on(machine, writer, text))  # type: ignore[misc]
        self.later(seconds, lambda: self.users.close_writers(writer))
        return True

    # -- clocks, watchers, people --------------------------------------------------------------

    def set_clock(self, machine: Machine, seconds: int) -> None:
        """The wall clock jumps."""
        machine.skew_ns += seconds * SECOND_NS

    def drift(self, machine: Machine, rate: float, seconds: float) -> None:
        """The wall clock runs too fast, or too slowly, or backwards."""
        machine.skew_ns += int(rate * DRIFT_STEP_SECONDS * SECOND_NS)
        if seconds > 0:
            self.later(DRIFT_STEP_SECONDS, lambda: self.drift(machine, rate, seconds - DRIFT_STEP_SECONDS))

    def overflow(self, machine: Machine) -> bool:
        """The kernel's queue is full: notices are lost, and the watcher says so."""
        if machine.watcher is None:
            return False
        machine.watcher.overflow()
        return True

    def release(self, machine: Machine) -> bool:
        """A person lets held deletes pass."""
        return self._order(machine, "release")

    def revert(self, machine: Machine) -> bool:
        """A person brings back what held deletes would take."""
        return self._order(machine, "revert")

    def _order(self, machine: Machine, order: str) -> bool:
        held = machine.agent.commands.held(None) if machine.agent is not None else []
        if machine.agent is None or not held:
            return False
        if order == "revert":
            self.users.ledger.doubt([])
            self.users.ledger.spare_copies += len(held)
        getattr(machine.agent.commands, order)(None)
        machine.post(lambda: None, machine.life)
        return True


def _draw_writer(draw: Draw) -> tuple[Any, ...]:
    random = draw.random
    return b"?%d" % random.randrange(8), random.randrange(10**6), random.randrange(4), draw.seconds(4.0)


FAULTS: dict[str, Kind] = {
    **NETWORK_KINDS,
    **MEMBER_KINDS,
    **DISK_KINDS,
    "kill": Kind(Faults.kill, draw_crash),
    "restart": Kind(Faults.restart),
    "fill": Kind(Faults.fill, lasting(4.0)),
    "unmount": Kind(Faults.unmount, lasting(3.0)),
    "hide": Kind(Faults.hide, lambda draw: (draw.random.randrange(20), draw.seconds(3.0))),
    "write on": Kind(Faults.write_on, _draw_writer),
    "set clock": Kind(Faults.set_clock, lambda draw: (draw.random.choice([-86400, -30, -1, 1, 30, 86400]),)),
    "jump": Kind(Faults.set_clock, lambda draw: (draw.random.choice([-10, 10]) * YEAR_SECONDS,)),
    "drift": Kind(Faults.drift, lambda draw: (draw.random.choice([-2.0, -0.5, 0.5, 20.0]), draw.seconds(10.0))),
    "overflow": Kind(Faults.overflow),
    "release": Kind(Faults.release),
    "revert": Kind(Faults.revert),
}
