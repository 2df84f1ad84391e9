"""From a seed to a history: a few machines, what users do, and what goes wrong.

Each seed draws its own mix of few kinds, so that rare combinations come up often (swarm testing).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, count
from random import Random
from typing import Any

from simulation.clashes import Clashes
from simulation.faults import FAULTS
from simulation.history import BRAKE_OFF, Act, History
from simulation.kinds import Draw
from syncproto.model import Path

PATHS: list[Path] = [b"x", b"y.txt", b"d", b"d/x", b"d/y", b"d/e", b"d/e/z", b"x/z"]
COPIES: list[Path] = [b"~0", b"~1", b"~2"]
MODES = [0o600, 0o640, 0o644, 0o755]
OWNERS = [0, 1000, 1001]
RULES = [(b"x",), (b"d",), (b"*.txt",), (b"d/*", b"!d/x"), (b"e",), (b"[z-a]", b"x["), ()]
USUAL = {
    "write": 10,
    "save": 4,
    "append": 4,
    "delete": 8,
    "rename": 8,
    "mkdir": 4,
    "chmod": 4,
    "touch": 2,
    "symlink": 2,
    "change type": 2,
    "write the same": 2,
    "chown": 2,
    "set xattr": 2,
    "swap": 1,
}
UNUSUAL = ("ignore", "fifo", "delete all")
OFTEN = {
    "kill": 0.35,
    "power cut": 0.3,
    "die": 0.1,
    "double crash": 0.1,
    "half open": 0.04,
    "write on": 0.1,
    "release": 0.14,
    "revert": 0.14,
}
USERS_SHARE = 0.75
LAST_SHARE = 0.7
LONG_SCAN = 600.0
LATE_SHARE = 0.15
SAME_SHARE = 0.5
ACTS_MAX = 18
GROUPS = (0, 1, 2, 2, 3)


def history_of(seed: int) -> History:
    """The history that this seed stands for."""
    return Drawing(Random(seed)).history(seed)


class Drawing:
    """What one seed draws: its mix first, then act by act."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.names = "abcde"[: random.choice([2, 2, 2, 3, 3, 3, 4, 5])]
        self.kinds = random.sample(sorted(FAULTS), random.choice([0, 1, 2, 3, 4, 6]))
        self.kinds += [kind for kind, chance in OFTEN.items() if random.random() < chance and self.kinds]
        self.has_brake = "release" in self.kinds or "revert" in self.kinds or random.random() < 0.1
        self.paths = random.sample(PATHS, random.choice([1, 2, 3, 6, 8]))
        self.sizes = random.choice([[0, 1, 30], [0, 30, 20_000], [0, 20_000, 400_000]])
        self.weights = dict(USUAL)
        for what in UNUSUAL:
            if random.random() < 0.15 or what == "delete all" and self.has_brake:
                self.weights[what] = 4
        self.amid, self.rivals = random.choice([0, 0, 0.1, 0.5]), random.choice([0.1, 0.3, 0.6])
        self.pause = random.choice([0.002, 0.02, 0.2, 1.0])
        self.scan, self.loss = random.choice(
            [(LONG_SCAN, 0.0), (LONG_SCAN, 0.0), (LONG_SCAN, 0.0), (4.0, 0.2), (4.0, 1.0)]
        )
        self.kept = random.choice([2**30, 2**30, 2**30, 5000, 0])
        self.numbers = count(1)

    def history(self, seed: int) -> History:
        random = self.random
        acts = self._begin()
        acts += self._acts(acts[-1].at if acts else 0.0)
        acts += self._each_once(acts[-1].at if acts else 0.0)
        acts += self._purposeful(acts[-1].at if acts and random.random() < LAST_SHARE else 0.0)
        return History(
            acts=tuple(sorted(acts)),
            names=self.names,
            dials=tuple(_topology(random, self.names)),
            seed=seed,
            latency=random.choice([0.0005, 0.005, 0.05]),
            pace=random.choice([0.0005, 0.005, 0.05]),
            scan=self.scan,
            hint_loss=self.loss,
            kept=self.kept,
            brake=random.choice([(2, 10), (1, 25)]) if self.has_brake else BRAKE_OFF,
        )

    def _begin(self) -> list[Act]:
        """Late starts, wrong clocks, some files that all have, or a time apart."""
        random, acts = self.random, []
        for name in self.names:
            if random.random() < LATE_SHARE:
                acts.append(Act(0.0, name, "late", (round(random.uniform(0, 40 * self.pause), 3),)))
            if skew := random.choice([0, 0, 0, -5, 5, 3600]):
                acts.append(Act(0.0, name, "set clock", (skew,)))
        if random.random() < 0.6:
            name = random.choice(self.names)
            acts += [Act(0.5, name, "write", (path, self.number(), self.size())) for path in self.paths]
            acts.append(Act(random.choice([0.5, 2.0]), name, "mkdir", (b"e",)))
        if random.random() < 0.5:
            at, seconds = acts[-1].at if acts else 0.0, round(random.uniform(5, 25) * self.pause, 2)
            acts += [Act(at, name, "part", (name, seconds)) for name in self.names[1:]]
        return acts

    def rest(self) -> float:
        """So long it takes usually until all have seen what one did."""
        return self.random.uniform(1.0, 2.0) if self.scan == LONG_SCAN else self.random.uniform(5.0, 7.0)

    def _purposeful(self, at: float) -> list[Act]:
        """Clashes with crashes amid them, one after the other."""
        random, acts, at = self.random, list[Act](), round(at + self.random.uniform(0.5, 3.0), 3)
        clashes = Clashes(self)
        for _ in range(random.choice(GROUPS)):
            acts += clashes.group(at, random.choice([2, 3, 3]))
            at = round(at + random.uniform(1.0, 2.0) * self.rest(), 3)
        return acts

    def _each_once(self, end: float) -> list[Act]:
        """Each kind of fault of this seed at least once."""
        random, acts = self.random, []
        for kind in dict.fromkeys(self.kinds):
            name = random.choice(self.names)
            others = [other for other in self.names if other != name]
            at = round(random.uniform(0.3, 0.5 + end), 4)
            acts.append(Act(at, name, kind, FAULTS[kind].draw(Draw(random, name, others))))
        return acts

    def _acts(self, at: float) -> list[Act]:
        random, acts = self.random, []
        for _ in range(random.randrange(2, ACTS_MAX)):
            at = round(at + random.expovariate(1 / self.pause), 4)
            name = random.choice(self.names)
            others = [other for other in self.names if other != name]
            if self.kinds and random.random() >= USERS_SHARE:
                kind = random.choice(self.kinds)
                acts.append(Act(at, name, kind, FAULTS[kind].draw(Draw(random, name, others))))
                continue
            (what,) = random.choices(list(self.weights), list(self.weights.values()))
            path = self.path()
            acts.append(self._act(at, name, what, path))
            if random.random() < self.rivals:  # somebody else does something to the same path at the same time
                if random.random() < SAME_SHARE:
                    acts.append(acts[-1]._replace(machine=random.choice(others), args=self._again(acts[-1])))
                else:
                    (other,) = random.choices(list(self.weights), list(self.weights.values()))
                    acts.append(self._act(at, random.choice(others), other, path))
            if what == "delete all" and self.has_brake:
                seconds = round(random.uniform(0.5, 5.0), 2)
                acts.append(Act(at + seconds, name, random.choice(["release", "revert"])))
        return acts

    def _again(self, act: Act) -> tuple[Any, ...]:
        """What another does who does the same: from the same path, or to the same path."""
        args = _ARGUMENTS[act.what](self, act.args[0] if act.args else b"x")
        if act.what == "rename" and self.random.random() < SAME_SHARE:
            return self.path(), act.args[1]
        return args

    def _act(self, at: float, name: str, what: str, path: Path) -> Act:
        amid = self.random.randrange(1, 30) if self.random.random() < self.amid else 0
        return Act(at, name, what, _ARGUMENTS[what](self, path), amid)

    def path(self) -> Path:
        """One of those where they work, or one of those that are there."""
        somewhere = self.random.choice([*COPIES, b"?%d" % self.random.randrange(8)])
        return self.random.choice([*self.paths, somewhere])

    def number(self) -> int:
        return next(self.numbers)

    def size(self) -> int:
        return self.random.choice(self.sizes)

    def pick(self, values: Sequence[Any]) -> Any:
        return self.random.choice(values)


_ARGUMENTS: dict[str, Callable[[Drawing, Path], tuple[Any, ...]]] = {
    "write": lambda d, path: (path, d.number(), d.size()),
    "write the same": lambda d, path: (path, d.pick([0, 1])),
    "save": lambda d, path: (path, d.number(), d.size()),
    "append": lambda d, path: (path, d.number()),
    "symlink": lambda d, path: (path, d.number()),
    "ignore": lambda d, path: d.pick(RULES),
    "delete": lambda d, path: (path,),
    "delete all": lambda d, path: (d.pick([60, 100]),),
    "rename": lambda d, path: (path, d.path()),
    "swap": lambda d, path: (path, d.path()),
    "mkdir": lambda d, path: (path,),
    "change type": lambda d, path: (path, d.number(), d.size()),
    "fifo": lambda d, path: (path,),
    "chmod": lambda d, path: (path, d.pick(MODES)),
    "chown": lambda d, path: (path, d.pick(OWNERS), d.pick(OWNERS)),
    "set xattr": lambda d, path: (path, d.pick(range(5))),
    "touch": lambda d, path: (path, d.pick([0, 1, 1000])),
}


def _topology(random: Random, names: str) -> list[str]:
    """Who dials whom: all joined to all, a chain, or a star; from either side, or from both."""
    pairs = list(combinations(names, 2))
    shape = random.choice(["all", "chain", "star"])
    if shape == "chain":
        pairs = list(zip(names, names[1:], strict=False))
    elif shape == "star":
        pairs = [(names[0], name) for name in names[1:]]
    dials: list[str] = []
    for one, other in pairs:
        side = random.randrange(3)
        dials += [one + other] if side != 0 else []
        dials += [other + one] if side != 1 else []
    return dials
