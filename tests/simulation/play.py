"""Plays a history: whole engines, a user's or fate's act when its time has come, and a judge in the end."""

from __future__ import annotations

import logging
import traceback
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import Random

from simulation.faults import FAULTS, Faults
from simulation.history import BRAKE_OFF, Act, History
from simulation.judge import settle, verdict
from simulation.ledger import Ledger
from simulation.machine import Machine
from simulation.oracle import Oracle
from simulation.users import Users
from simulation.world import Action, World
from syncagent.core.brake import BrakeLimit

REST_SECONDS = 2.0


class Run:
    """One run of a history."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.world = World(history.seed, latency=history.latency)
        self.ledger = Ledger(self.world.count)
        self.users = Users(self.world, self.ledger)
        self.machines = [self._machine(name) for name in history.names]
        self.oracle = Oracle(self.ledger, self.machines)
        self.faults = Faults(self.world, self.machines, self.users, self.oracle)
        self.users.about_to_act, self.users.has_acted = self.oracle.look_at, self.oracle.accept
        for machine in self.machines:
            machine.power_failed = self.oracle.accept
        self.world.each_step = self.oracle.look
        self._by_name = {machine.name: machine for machine in self.machines}
        self._amid: dict[str, list[list[int]]] = defaultdict(list)
        self._schedule()

    def _machine(self, name: str) -> Machine:
        history = self.history
        dials = [dial[1] for dial in history.dials if dial[0] == name]
        machine = Machine(self.world, self.ledger, name, dials)
        count, percent = history.brake
        brake = BrakeLimit(is_off=True) if history.brake == BRAKE_OFF else BrakeLimit(count=count, percent=percent)
        machine.options = replace(machine.options, scan_interval=history.scan, brake=brake, history_size=history.kept)
        machine.random = Random(f"{history.seed} {name}")
        machine.job_seconds = machine.hint_seconds = history.pace
        machine.hint_loss, machine.interrupt_chance = history.hint_loss, 1.0
        machine.interrupted = self._amid_work
        return machine

    # -- acts ----------------------------------------------------------------------------------

    def _schedule(self) -> None:
        start = self.world.now
        for number, act in enumerate(self.history.acts):
            self.world.at(start + act.at, f"act {act.what}", self._doing(number, act))
        self.world.after(1e-6, "keeper", self.faults.keep)

    def _doing(self, number: int, act: Act) -> Action:
        if act.amid:
            return lambda: self._amid[act.machine].append([act.amid, number])
        return lambda: self._do(act)

    def _do(self, act: Act) -> None:
        if act.what in FAULTS:
            self.faults.happen(self._by_name[act.machine], act.what, act.args)
        elif self._by_name[act.machine] in self.machines:
            self.users.act(self._by_name[act.machine], act.what, act.args)

    def _amid_work(self, machine: Machine) -> None:
        """The agent is in the middle of something: whoever waited for that acts now."""
        machine.interrupted = None
        for waiting in list(self._amid[machine.name]):
            waiting[0] -= 1
            if waiting[0] <= 0:
                self._amid[machine.name].remove(waiting)
                self._do(self.history.acts[waiting[1]])
        machine.interrupted = self._amid_work

    # -- the run -------------------------------------------------------------------------------

    def run(self) -> str | None:
        """What is wrong, or None."""
        try:
            self._live()
            return settle(self.world, self.machines, self.users) or verdict(self.world, self.ledger, self.machines)
        except Exception as wrong:  # noqa: BLE001 - whatever an engine raises would have ended its agent
            where = traceback.extract_tb(wrong.__traceback__)[-3:]
            return f"{type(wrong).__name__}: {wrong} in {[f'{frame.name}:{frame.lineno}' for frame in where]}"

    def _live(self) -> None:
        last = max((act.at for act in self.history.acts), default=0.0)
        start = self.world.now
        self.world.run(last + 0.01)
        while any(machine.is_to_be_hit(self.world.now - last - start) for machine in self.machines):
            self.world.run(1.0)
        self.world.note("the end begins")
        self.faults.end()
        self.world.run(REST_SECONDS + (self.history.scan if self.history.hint_loss else 0))


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
