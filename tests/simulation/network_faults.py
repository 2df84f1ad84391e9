"""What goes wrong between machines."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

from simulation.kinds import Draw, Kind, with_other
from twins.network import Weather

if TYPE_CHECKING:
    from simulation.faults import Faults
    from simulation.machine import Machine

LOSSES = [0.02, 0.1, 0.5]


def cut(faults: Faults, machine: Machine, other: str, seconds: float) -> None:
    """The link breaks."""
    faults.network.cut(machine.name, other)
    faults.heal_later(seconds, [(machine.name, other)])


def stall(faults: Faults, machine: Machine, other: str, seconds: float) -> None:
    """No packet gets through, and nobody is told."""
    faults.network.stall(machine.name, other)
    faults.heal_later(seconds, [(machine.name, other)])


def part(faults: Faults, machine: Machine, inside: str, seconds: float) -> None:
    """Some machines are cut off from the rest."""
    names = [each.name for each in faults.machines]
    pairs = [(a, b) for a, b in combinations(names, 2) if (a in inside) != (b in inside)]
    for pair in pairs:
        faults.network.cut(*pair)
    faults.heal_later(seconds, pairs)


def _draw_part(draw: Draw) -> tuple[str, float]:
    size = draw.random.randrange(len(draw.others))
    return draw.name + "".join(sorted(draw.random.sample(draw.others, size))), draw.seconds(10.0)


def half_open(faults: Faults, machine: Machine, other: str) -> bool:
    """The connection is gone, and only this machine knows."""
    is_there = any({end.name for end in pipe.ends} == {machine.name, other} for pipe in faults.network.pipes)
    faults.network.half_open(machine.name, other)
    return is_there


def bad_weather(faults: Faults, machine: Machine, other: str, seconds: float, weather: Weather) -> None:
    """Messages to the other fare like this, for a while; what else is wrong on that way stays."""
    old = faults.network.weather_of(machine.name, other)
    changed = {name: getattr(weather, name) for name in Weather.__slots__ if getattr(weather, name)}
    faults.network.set_weather(machine.name, other, replace(old, **changed))
    faults.heal_later(seconds, [(machine.name, other)])


def one_way(faults: Faults, machine: Machine, other: str, seconds: float) -> None:
    """What this machine sends does not arrive; what the other sends does."""
    bad_weather(faults, machine, other, seconds, Weather(is_held=True))


def delay(faults: Faults, machine: Machine, other: str, seconds: float, longest: float) -> None:
    """Messages take longer, each its own time."""
    bad_weather(faults, machine, other, seconds, Weather(delay=longest))


def lose(faults: Faults, machine: Machine, other: str, seconds: float, chance: float) -> None:
    """Messages vanish."""
    bad_weather(faults, machine, other, seconds, Weather(loss=chance))


def repeat(faults: Faults, machine: Machine, other: str, seconds: float, chance: float) -> None:
    """Messages arrive twice."""
    bad_weather(faults, machine, other, seconds, Weather(twice=chance))


def reorder(faults: Faults, machine: Machine, other: str, seconds: float, chance: float) -> None:
    """Messages overtake each other."""
    bad_weather(faults, machine, other, seconds, Weather(swap=chance))


def slow_reader(faults: Faults, machine: Machine, other: str, seconds: float, pause: float, room: int) -> None:
    """The other reads slowly; what finds no room is dropped."""
    bad_weather(faults, machine, other, seconds, Weather(pause=pause, room=room))


def _draw_chance(draw: Draw) -> tuple[str, float, float]:
    return draw.other(), draw.seconds(10.0), draw.random.choice(LOSSES)


NETWORK_KINDS = {
    "cut": Kind(cut, with_other(8.0)),
    "stall": Kind(stall, with_other(8.0)),
    "part": Kind(part, _draw_part),
    "one way": Kind(one_way, with_other(12.0)),
    "half open": Kind(half_open, lambda draw: (draw.other(),)),
    "delay": Kind(delay, lambda draw: (*with_other(10.0)(draw), draw.random.choice([0.1, 1.0, 3.0]))),
    "lose": Kind(lose, _draw_chance),
    "repeat": Kind(repeat, _draw_chance),
    "reorder": Kind(reorder, _draw_chance),
    "slow reader": Kind(
        slow_reader,
        lambda draw: (*with_other(10.0)(draw), draw.random.choice([0.01, 0.1, 0.5]), draw.random.choice([2, 5, 20])),
    ),
}
