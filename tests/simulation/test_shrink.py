"""A bug is planted, seeds find it, and what is left of the history that found it is small, and still finds it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from planted.bugs import BUGS, Bug
from simulation.history import Act, History
from simulation.schedule import history_of
from simulation.shrink import kind_of, play, shrunk
from syncagent.core import reconcile

SEEDS_MAX = 60
RUNS_MAX = 250
PLANTED = {"NO_COPY": 4, "DELETE_WINS": 5}
"""How many acts may be left."""


@pytest.fixture
def bug(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bug]:
    """The engines use a reconciler that has this bug."""
    bug = next(bug for bug in BUGS if bug.name == request.param)
    source = Path(str(reconcile.__file__)).read_text()
    assert source.count(bug.old) == 1
    buggy = ModuleType("buggy")
    monkeypatch.setitem(sys.modules, "buggy", buggy)
    exec(source.replace(bug.old, bug.new), vars(buggy))
    for module in [module for name, module in sys.modules.items() if name.startswith("syncagent.engine")]:
        if getattr(module, "Reconciler", None) is reconcile.Reconciler:
            monkeypatch.setattr(module, "Reconciler", buggy.Reconciler)
    yield bug


@pytest.mark.parametrize("bug", PLANTED, indirect=True)
def test_a_planted_bug_is_found_and_shrunk(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = next(seed for seed in range(SEEDS_MAX) if play(history_of(seed)))
    small, wrong = shrunk(history_of(seed), runs=RUNS_MAX)
    assert wrong and play(small) == wrong
    assert len(small.acts) <= PLANTED[bug.name], small.as_python()
    assert len(small.names) <= 3
    monkeypatch.undo()
    assert play(small) is None


def test_only_what_it_takes_is_left() -> None:
    names = ["write", "cut", "delete", "kill", "chmod"]
    acts = tuple(Act(number, "abc"[number % 3], names[number % 5], (), amid=number % 2) for number in range(30))
    history = History(acts=acts, names="abc", dials=("ab", "bc"), hint_loss=1.0)

    def judge(history: History) -> str | None:
        whats = [act.what for act in history.acts if act.machine == "b"]
        return f"b'x' lost {len(history.acts)}" if whats.count("delete") > 1 and "kill" in whats else None

    small, wrong = shrunk(history, judge)
    assert sorted((act.machine, act.what, act.amid) for act in small.acts) == [
        ("b", "delete", 0),
        ("b", "delete", 0),
        ("b", "kill", 0),
    ]
    assert (len(small.names), small.hint_loss, wrong) == (2, 0.0, "b'x' lost 3")


def test_who_is_left_of_a_chain_is_still_joined() -> None:
    history = History(acts=(Act(1.0, "a", "cut", ("b", 2.0)), Act(1.0, "b", "write")), names="abc", dials=("ab", "bc"))
    small = history.without_machine("b")
    assert (small.acts, small.names, small.dials) == ((), "ac", ("ac",))


def test_failures_of_one_kind_have_one_name() -> None:
    assert kind_of("trees differ at b'x': a: None") == kind_of("trees differ at b'd/y': c: Thing") == "trees differ at"
    assert kind_of("a has left something") == kind_of("b has left something") != kind_of("lost writes: ['x']")
