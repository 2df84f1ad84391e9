"""One seeded run: a few machines, users, faults, and the end."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import combinations
from random import Random

from simulation.faults import BY_NAME, Faults
from simulation.judge import settle, verdict
from simulation.ledger import Ledger
from simulation.machine import Machine
from simulation.users import PATHS, Users
from simulation.world import Action, World
from syncagent.core.brake import BrakeLimit


class Run:
    """Draws its own mix, so that rare combinations come up often (swarm testing)."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random = Random(seed)
        self.world = World(seed, latency=random.choice([0.0005, 0.005, 0.05]))
        self.ledger = Ledger()
        self.machines = self._machines()
        self.interruptions_left = random.choice([5, 20, 60])
        paths = random.sample(PATHS, random.choice([1, 2, 3, 6, 8]))
        self.users = Users(self.world, self.ledger, Random(seed + 1), paths)
        self.users.sizes = random.choice([[0, 1, 30], [0, 30, 20_000], [0, 20_000, 400_000]])
        kinds = random.sample(sorted(BY_NAME), random.choice([0, 0, 1, 2, 3, 5]))
        self.faults = Faults(self.world, self.machines, self.users, Random(seed + 2), kinds)
        self.pause = random.choice([0.002, 0.02, 0.2, 1.0])

    def _machines(self) -> list[Machine]:
        random = self.random
        names = "abcd"[: random.choice([2, 2, 3, 3, 4])]
        dials = _topology(random, names)
        brake = random.choice([BrakeLimit(is_off=True), BrakeLimit(is_off=True), BrakeLimit()])
        machines = [Machine(self.world, self.ledger, name, dials[name]) for name in names]
        scan, loss = random.choice([(600.0, 0.0), (600.0, 0.0), (4.0, 0.2), (4.0, 1.0)])
        slow, chance = random.choice([0.0005, 0.005, 0.05]), random.choice([0, 0, 0.02, 0.2])
        for machine in machines:
            machine.options = replace(machine.options, scan_interval=scan, brake=brake)
            machine.skew_ns = random.choice([0, 0, 0, -5, 5, 3600]) * 10**9
            machine.job_seconds = machine.hint_seconds = slow
            machine.hint_loss, machine.interrupt_chance = loss, chance
            machine.interrupted = self._interrupt
        return machines

    def _interrupt(self, machine: Machine) -> None:
        """A user acts in the middle of what the agent does; not twice at once, nor without end."""
        if self.interruptions_left > 0:
            self.interruptions_left -= 1
            machine.interrupted = None
            self.users.act(machine)
            machine.interrupted = self._interrupt

    def run(self) -> str | None:
        """What is wrong at the end, or None."""
        try:
            self._live()
            return settle(self.world, self.machines) or verdict(self.world, self.ledger, self.machines)
        except Exception as wrong:  # noqa: BLE001 - whatever an engine raises would have ended its agent
            where = traceback.extract_tb(wrong.__traceback__)[-3:]
            return f"{type(wrong).__name__}: {wrong} in {[f'{frame.name}:{frame.lineno}' for frame in where]}"

    def _live(self) -> None:
        random, world = self.random, self.world
        for machine in self.machines:
            world.note(f"{machine.name} dials {machine.dials}, {machine.options}, skew {machine.skew_ns}")
            if random.random() < 0.3:
                self.faults.away.add(machine.name)  # it joins late
                world.after(random.uniform(0, 40 * self.pause), "join", self._join(machine.name))
        for _ in range(random.randrange(3, 40)):
            world.run(random.expovariate(1 / self.pause))
            if random.random() < 0.8:
                self.users.act(random.choice(self.machines))
            else:
                self.faults.happen()
        scan = max(machine.options.scan_interval for machine in self.machines)
        has_lost_hints = any(machine.hint_loss for machine in self.machines)
        self.faults.end()
        world.note("the end begins")
        world.run(scan + 2 if has_lost_hints else 2)

    def _join(self, name: str) -> Action:
        return lambda: self.faults.away.discard(name)


def _topology(random: Random, names: Sequence[str]) -> dict[str, list[str]]:
    """Who dials whom: all joined to all, a chain, or a star; from either side, or from both."""
    pairs = list(combinations(names, 2))
    shape = random.choice(["all", "chain", "star"])
    if shape == "chain":
        pairs = list(zip(names, names[1:], strict=False))
    elif shape == "star":
        pairs = [(names[0], name) for name in names[1:]]
    dials: dict[str, list[str]] = {name: [] for name in names}
    for one, other in pairs:
        side = random.randrange(3)
        if side != 0:
            dials[one].append(other)
        if side != 1:
            dials[other].append(one)
    return dials


class _Teller(logging.Handler):
    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        self._world.log.append(f"{self._world.now:10.4f}     {record.getMessage()}")


@contextmanager
def told(run: Run) -> Iterator[None]:
    """What the engines log goes into the run's history."""
    logger, teller = logging.getLogger("syncagent"), _Teller(run.world)
    level = logger.level
    logger.addHandler(teller)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(teller)
        logger.setLevel(level)
