"""Two acts on one path at nearly the same time, after both machines have seen the same there; and a crash amid that.

All pairs of acts are drawn about equally often. A fuse is laid to an effect that just these acts have on somebody.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any, NamedTuple

from simulation.history import Act
from simulation.kinds import ABSENT, EFFECTS, PRESENT
from syncproto.model import Path

if TYPE_CHECKING:
    from simulation.schedule import Drawing

Pair = tuple[str, str]

BELOW: list[Pair] = [("below", "delete"), ("below", "create")]
PAIRS: list[Pair] = [*combinations_with_replacement(PRESENT, 2), *combinations_with_replacement(ABSENT, 2)]
REPLACES: list[Pair] = [(one, "replace") for one in ("rename away", "touch", "set xattr", "chown")]
RARE = [
    *(pair for pair in PAIRS if not {*pair} <= {"create", "mkdir", "edit", "delete"}),
    *BELOW,
    *BELOW,
    *BELOW,
    *REPLACES,
    *REPLACES,
]
"""Those that do not come often by chance."""
EDITS: list[Pair] = [("edit", "edit"), ("edit", "rename away"), ("edit", "chmod"), ("create", "create")]
REPLACED: list[Pair] = [("delete", "replace"), ("replace", "replace"), ("replace", "chmod"), ("rename to", "rename to")]
EVOKED_BY: dict[str, list[Pair]] = {
    "stage": EDITS,
    "place": [*EDITS, *REPLACED],
    "stage copy": REPLACED,
    "stage kept": [("bring back", "touch"), ("bring back", "chmod"), ("bring back", "set xattr")],
    "stage local": [("append", "touch"), ("append", "chmod"), ("append", "set xattr")],
    "stage write": EDITS,
    "stage finish": EDITS,
    "make directory": [
        ("mkdir", "mkdir"),
        ("change type", "chmod"),
        ("change type", "chown"),
        ("change type", "delete"),
    ],
    "make symlink": [("link", "link"), ("link", "mkdir")],
    "set attributes": [("chmod", "chown"), ("set xattr", "touch"), ("chown", "edit"), ("chmod", "set xattr")],
    "remove": [("change type", "touch"), ("change type", "replace"), ("delete", "chmod"), ("delete", "set xattr")],
    "keep": [("link", "link"), ("rename to", "rename to"), ("create", "rename to"), ("mkdir", "rename to")],
    "move": [("chown", "rename away"), ("delete", "rename away"), ("mkdir", "rename to"), ("edit", "rename away")],
    "drop kept": [("bring back", "delete"), ("bring back", "edit")],
}
"""Pairs that make it likely that an agent does this; all other effects come with any pair."""
BIG = ("stage kept", "stage local", "stage write", "stage finish")
BIG_SIZE, SMALL_SIZES, KEPT_SIZE = 300_000, (0, 30, 3000), 3000
CRASH_CHANCE = 0.95
WEIGHTS = {
    **dict.fromkeys(EFFECTS, 9),
    "commit": 4,
    "flush": 5,
    "mark": 7,
    "unstage": 12,
    "place": 15,
    "stage": 15,
    "stage copy": 15,
    "stage finish": 14,
    "stage write": 15,
    "make directory": 15,
    "make symlink": 16,
    "set attributes": 18,
    "move": 28,
    "stage local": 32,
    "remove": 21,
    "drop kept": 26,
    "keep": 39,
    "stage kept": 45,
}
"""How often crashes are meant for an effect: the more often the less of them hit."""
MODES = (0o600, 0o640, 0o755)
ONCE = (*BIG, "stage copy", "unstage", "drop kept", "move", "keep", "make symlink")
AT_START = ("mark",)
"""What an agent does when it starts."""
NEW_PLACES: list[Path] = [b"p", b"q", b"r"]


class Clash(NamedTuple):
    """``before``, and ``between``: what makes both see the same. Then the acts, each on its own machine."""

    before: list[Act]
    between: list[Act]
    first: Act
    second: Act


class Clashes:
    """Draws them. ``drawing`` gives chance, names, paths, and numbers that no other act has."""

    def __init__(self, drawing: Drawing) -> None:
        self.drawing, self.random = drawing, drawing.random

    def group(self, at: float, size: int) -> list[Act]:
        """So many at once, on different paths, and perhaps a crash of a machine; ``at`` is when they begin."""
        random, names = self.random, self.drawing.names
        effect = random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0] if random.random() < CRASH_CHANCE else None
        at_acts = round(at + self.drawing.rest() * (2 if effect in BIG else 1), 3)
        if effect == "stage kept":
            self.drawing.kept = 2**30
        if effect == "drop kept":
            self.drawing.kept, size = KEPT_SIZE + 1000, len(NEW_PLACES)
        places = random.sample(self.places(), size)
        first, second = random.sample(names, 2)
        wanted = BIG_SIZE if effect in BIG else KEPT_SIZE if effect == "drop kept" else None
        acts: list[Act] = []
        for number, path in enumerate(places):
            pairs = EVOKED_BY.get(effect or "", RARE) if number == 0 or effect == "drop kept" else RARE
            clash = self._clash(
                path, random.choice(pairs), (first, second), wanted if number == 0 or effect == "drop kept" else None
            )
            late = random.choice([0.0, 0.0, 0.001, 0.01])
            acts += [act._replace(at=at) for act in clash.before]
            acts += [act._replace(at=round((at + at_acts) / 2, 3)) for act in clash.between]
            acts += [clash.first._replace(at=at_acts), clash.second._replace(at=at_acts + late)]
        for victim in (first, second) if effect is not None else ():
            crash, times = random.choice(["kill", "power cut"]), 1 if effect in ONCE else random.choice([1, 1, 2, 3])
            if effect in AT_START:
                acts += [Act(at_acts, victim, crash, (0,)), Act(at_acts + 0.002, victim, crash, (times, effect))]
            else:
                acts.append(Act(at_acts, victim, crash, (times, effect)))
        return acts

    def places(self) -> list[Path]:
        """Where they may be: where all work, and beside it."""
        return sorted({self.random.choice(self.drawing.paths), *NEW_PLACES})

    def _clash(self, path: Path, pair: Pair, names: Sequence[str], size: int | None) -> Clash:
        size = self.random.choice(SMALL_SIZES) if size is None else size
        one, other = pair if "bring back" in pair else self.random.sample(pair, 2)
        before, between, number = [], [], self.drawing.number()
        if {one, other} & {*ABSENT, "link", "below"}:
            before.append(Act(0.0, names[0], "delete", (path,)))
        else:
            before.append(Act(0.0, names[0], "write", (path, number, size)))
        if pair == ("below", "delete"):
            between.append(Act(0.0, names[0], "mkdir", (path,)))
        if "bring back" in pair:
            between.append(Act(0.0, names[0], "write", (path, self.drawing.number(), size)))
        acts = []
        for name, act in zip(names, (one, other), strict=True):
            source = b"s" + name.encode()
            if act in ("rename to", "replace"):
                before.append(Act(0.0, name, "write", (source, self.drawing.number(), size)))
            if act == "bring back":
                acts.append(before[0]._replace(machine=name))
            else:
                acts.append(Act(0.0, name, *self._act(act, path, source, size)))
        return Clash(before, between, *acts)

    def _act(self, act: str, path: Path, source: Path, size: int) -> tuple[str, tuple[Any, ...]]:
        random, number = self.random, self.drawing.number()
        match act:
            case "edit" | "create":
                return random.choice(["write", "save"] if act == "edit" else ["write"]), (path, number, size)
            case "below":
                return "write", (path + b"/z", number, size)
            case "append" | "link":
                return {"append": "append", "link": "symlink"}[act], (path, number)
            case "rename away":
                return "rename", (path, random.choice([b"t", b"u", b"t%d" % number]))
            case "rename to" | "replace":
                return "rename", (source, path)
            case "change type":
                return act, (path, number, size)
            case "chmod":
                return act, (path, random.choice(MODES))
            case "chown":
                return act, (path, 1000 + number, random.choice([0, 1000]))
            case "set xattr":
                return act, (path, number)
            case "touch":
                return act, (path, number)
            case _:
                return act, (path,)
