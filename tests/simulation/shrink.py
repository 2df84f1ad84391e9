"""From a history that fails to a small one that fails in the same way.

Left out, as far as it still fails without: what users do, what goes wrong, whole machines, unusual settings, and the
moments in the middle of something. What is left out shifts all small chances that follow, so other seeds are tried too.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any

from simulation.faults import FAULTS
from simulation.history import History
from simulation.play import Run

RUNS_MAX = 600
OTHER_SEEDS = 2
MACHINES_MIN = 2

Judge = Callable[[History], str | None]


def play(history: History) -> str | None:
    """What is wrong with one run, or None."""
    logging.getLogger("syncagent").setLevel(logging.CRITICAL)
    return Run(history).run()


def shrunk(history: History, judge: Judge = play, runs: int = RUNS_MAX) -> tuple[History, str]:
    """The smallest history that was found in so many runs, and what is wrong with it."""
    return _Shrinking(history, judge, runs).result()


class _Shrinking:
    def __init__(self, history: History, judge: Judge, runs: int) -> None:
        self.best, self.judge, self.runs_left = history, judge, runs
        self.wrong = judge(history) or "nothing is wrong with it"
        self.kind = kind_of(self.wrong)

    def result(self) -> tuple[History, str]:
        size = None
        while size != self._size() and self.runs_left > 0:
            size = self._size()
            self._drop_acts(lambda what: what not in FAULTS)
            self._drop_acts(lambda what: what in FAULTS)
            for name in self.best.names:
                if len(self.best.names) > MACHINES_MIN:
                    self._try(self.best.without_machine(name))
            self._simplify()
        return self.best, self.wrong

    def _size(self) -> tuple[int, int, str]:
        return len(self.best.acts), len(self.best.names), self.best.as_python()

    def _try(self, candidate: History, seeds: int = OTHER_SEEDS) -> bool:
        """Whether it fails in the same way, perhaps with another seed; then it is the best so far."""
        for seed in (candidate.seed, *range(1, seeds + 1)):
            if self.runs_left <= 0:
                return False
            self.runs_left -= 1
            other = replace(candidate, seed=seed)
            wrong = self.judge(other)
            if wrong is not None and kind_of(wrong) == self.kind:
                self.best, self.wrong = other, wrong
                return True
        return False

    def _drop_acts(self, is_meant: Callable[[str], bool]) -> None:
        """Leave out halves, quarters …, single acts of those that are meant."""
        size = len(self.best.acts)
        while size >= 1:
            first = 0
            while first < len(numbers := [n for n, act in enumerate(self.best.acts) if is_meant(act.what)]):
                chunk = set(numbers[first : first + size])
                if not self._try(self.best.without(chunk), OTHER_SEEDS if size == 1 else 0):
                    first += size
            size //= 2

    def _simplify(self) -> None:
        for field in fields(History):
            if field.name not in ("acts", "names", "dials", "seed") and getattr(self.best, field.name) != field.default:
                usual: dict[str, Any] = {field.name: field.default}
                self._try(replace(self.best, **usual))
        for candidate in self._at_once():
            self._try(candidate)

    def _at_once(self) -> Iterator[History]:
        for number, act in enumerate(self.best.acts):
            if act.amid:
                acts = self.best.acts
                yield replace(self.best, acts=(*acts[:number], act._replace(amid=0), *acts[number + 1 :]))


def kind_of(wrong: str) -> str:
    """The sort of a failure: its text without paths, contents, names and numbers."""
    plain = re.sub(r"b?'[^']*'|\b[a-e]\b|\d+", "", wrong)
    return re.split(r"[:,\[]", plain.strip())[0].strip()
