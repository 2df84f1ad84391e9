"""What a kind of fault is: how it is drawn, and what it does. ``faults`` has the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any


@dataclass(frozen=True)
class Draw:
    """What a fault's arguments are drawn with: chance, the machine it happens to, and the others."""

    random: Random
    name: str
    others: Sequence[str]

    def other(self) -> str:
        """Some other machine."""
        return self.random.choice(self.others)

    def seconds(self, longest: float) -> float:
        """How long it lasts."""
        return round(self.random.uniform(0.1, longest), 2)


def nothing(draw: Draw) -> tuple[Any, ...]:
    """No arguments."""
    return ()


@dataclass(frozen=True)
class Kind:
    """``do(faults, machine, *args)`` says with False that it could not happen; ``draw`` gives plain ``args``."""

    do: Callable[..., bool | None]
    draw: Callable[[Draw], tuple[Any, ...]] = nothing


def lasting(longest: float) -> Callable[[Draw], tuple[Any, ...]]:
    """One argument: seconds."""
    return lambda draw: (draw.seconds(longest),)


def with_other(longest: float) -> Callable[[Draw], tuple[Any, ...]]:
    """Two arguments: another machine, and seconds."""
    return lambda draw: (draw.other(), draw.seconds(longest))
