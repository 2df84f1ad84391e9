"""What happens to members: they come late, leave for long, die for ever, lose what they knew, or all they had."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulation.kinds import Kind, lasting
from simulation.ledger import tree_of
from syncagent.status import CommandRefused
from twins.disk import MemoryVolume

if TYPE_CHECKING:
    from simulation.faults import Faults
    from simulation.machine import Machine

FORGET_SECONDS = 2.0
"""After so long the others are told that a machine is gone: they have noticed by then that it does not answer."""


def late(faults: Faults, machine: Machine, seconds: float) -> bool:
    """Its agent is first started after a while."""
    if machine.life:
        return False
    return go_away(faults, machine, seconds)


def go_away(faults: Faults, machine: Machine, seconds: float) -> bool:
    """It is down for long. Its users work on."""
    if machine.name in faults.away:
        return False
    faults.away.add(machine.name)
    machine.kill()
    faults.later(seconds, lambda: faults.away.discard(machine.name))
    return True


def forget(faults: Faults, machine: Machine, seconds: float) -> bool:
    """It goes away, the others forget it and drop what they kept for it, and it comes back after a while."""
    if faults.away:
        return False
    faults.away.add(machine.name)
    machine.kill()
    faults.world.after(FORGET_SECONDS, "forget", lambda: have_forgotten(faults, machine.name))
    faults.later(seconds, lambda: faults.away.discard(machine.name))
    return True


def have_forgotten(faults: Faults, name: str) -> None:
    """A person has all others forget a machine that is away."""
    for other in faults.machines:
        if other.agent is not None and name in faults.away:
            try:
                other.agent.commands.forget(None, name)
            except CommandRefused:
                continue
            other.post(lambda: None, other.life)
            faults.note(f"{other.name} forgets {name}")


def leave(faults: Faults, machine: Machine, seconds: float) -> bool:
    """It stops in good order, and stays away for a while."""
    if machine.name in faults.away or not machine.is_running:
        return False
    machine.stop()
    return go_away(faults, machine, seconds)


def lose_index(faults: Faults, machine: Machine) -> None:
    """Its state directory is lost."""
    machine.kill()
    machine.lose_index()
    faults.users.ledger.is_memory_lost = True


def replace(faults: Faults, machine: Machine) -> bool:
    """Its disk is lost, and with it the index: it begins anew, empty, under its old name."""
    if len(faults.machines) < 2 or machine.volume.is_gone:
        return False
    machine.kill()
    _bury(faults, machine)
    machine.lose_index()
    machine.volume = MemoryVolume(machine.wall_ns)
    faults.users.ledger.is_memory_lost = True
    return True


def die(faults: Faults, machine: Machine) -> bool:
    """It is gone for ever. The others are joined anew, and forget it when a person says so."""
    if faults.away or len(faults.machines) < 3 or machine.volume.is_gone:
        return False
    faults.away.add(machine.name)
    machine.kill()
    _bury(faults, machine)
    faults.machines.remove(machine)
    for number, other in enumerate(faults.machines):
        other.dials = [each.name for each in faults.machines[:number]]
        other.stop()
    for _ in range(3):  # a person who is told by some agent that it cannot do it yet comes again
        faults.world.after(FORGET_SECONDS * (_ + 2), "forget", lambda: have_forgotten(faults, machine.name))
    return True


def _bury(faults: Faults, machine: Machine) -> None:
    """What only this disk had is lost, and nobody is to blame."""
    ledger = faults.users.ledger
    kept = {t.payload for m in faults.machines if m is not machine for t in tree_of(m.volume).values()}
    tree = tree_of(machine.volume)
    ledger.destroyed |= {thing.payload for thing in tree.values() if thing.is_leaf} - kept
    ledger.doubt(tree)


MEMBER_KINDS = {
    "late": Kind(late, lasting(20.0)),
    "go away": Kind(go_away, lasting(60.0)),
    "leave": Kind(leave, lasting(60.0)),
    "forget": Kind(forget, lasting(60.0)),
    "lose index": Kind(lose_index),
    "replace": Kind(replace),
    "die": Kind(die),
}
