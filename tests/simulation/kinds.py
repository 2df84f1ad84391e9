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


PRESENT = ("change type", "chmod", "chown", "delete", "edit", "rename away", "replace", "set xattr", "touch")
ABSENT = ("create", "mkdir", "rename to")
"""What somebody may do where something is, and where nothing is."""
EFFECTS = (
    "commit",
    "send",
    "flush",
    "stage",
    "stage copy",
    "stage kept",
    "stage local",
    "stage write",
    "stage finish",
    "unstage",
    "drop kept",
    "place",
    "make directory",
    "make symlink",
    "set attributes",
    "remove",
    "keep",
    "move",
    "mark",
)
"""What an agent does that others can see, or that lasts: it may be killed, and the power may fail, at each."""


def draw_crash(draw: Draw) -> tuple[Any, ...]:
    """Now, after some effects, or at an effect of some name."""
    random = draw.random
    kind = random.randrange(4)
    if kind == 0:
        return (0,)
    return (random.randrange(1, 40),) if kind == 1 else (random.randrange(1, 4), random.choice(EFFECTS))


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
