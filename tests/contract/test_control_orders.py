"""What the ``Control`` port promises, on running agents and on the twin: deletes, conflicts, problems and the rest."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from contract.control_harness import SIZE, VOLUMES, Scene, codes, missed, reached, refusal, until, volume_of, written
from syncagent.ports import Control
from syncagent.status import CommandRefused

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
COUNTER = re.compile(r"syncagent_[a-z0-9_]+")
LOCAL_CHANGES = "syncagent_local_changes_total"


# -- held deletes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at", "where"), [("a", "deleted here"), ("b", "deleted by a peer")])
def test_held_deletes_are_released(pair: Scene, at: str, where: str) -> None:
    control = written(pair, "x", "y", "z").control
    digest = volume_of(control).digest
    assert control.held(None) == []
    for path in ("y", "x"):
        pair.delete(path, at)
    until(lambda: volume_of(control).held == 2)
    assert sorted((each.path, each.where) for each in control.held("data")) == [("x", where), ("y", where)]
    assert len(control.held(None)) == 2 and control.held("logs") == []
    assert (volume_of(control).in_sync, volume_of(control).entries) == (False, 3)
    assert missed(control, "data", None, "blocked").missing[0] == "data: 2 deletes are held; see 'syncctl hold'"
    assert missed(control, "data", 1, "blocked").members == 2
    assert control.release("logs") == ["logs: 0 held deletes are applied"]
    assert control.release(None) == ["data: 2 held deletes are applied", "logs: 0 held deletes are applied"]
    until(lambda: volume_of(control).entries == 1 and volume_of(control).in_sync)
    assert control.held(None) == [] and volume_of(control).digest != digest


@pytest.mark.parametrize("at", ["a", "b"])
def test_held_deletes_are_reverted(pair: Scene, at: str) -> None:
    control = written(pair, "x", "y").control
    pair.delete("x", at)
    until(lambda: volume_of(control).held == 1)
    assert control.why("data", b"x").state == ("held" if at == "a" else "replicated")
    assert control.revert("logs") == ["logs: 0 deleted entries are brought back"]
    assert control.revert("data") == ["data: 1 deleted entries are brought back"]
    until(lambda: volume_of(control).in_sync)
    assert (control.held(None), volume_of(control).entries) == ([], 2)
    assert control.why("data", b"x").state == "replicated"


# -- what is the matter ------------------------------------------------------------------------------------


def test_conflicts(pair: Scene) -> None:
    control = written(pair, "x.txt").control
    assert control.conflicts(None) == []
    pair.disagree("x.txt", "b")
    until(lambda: volume_of(control).conflicts == 1 and volume_of(control).in_sync)
    (conflict,) = control.conflicts("data")
    assert (conflict.of, conflict.size) == ("x.txt", SIZE) and conflict.origin in ("a", "b")
    assert re.fullmatch(rf"x~{conflict.origin}\.[0-9a-f]{{8}}-\d+\.txt", conflict.path)
    assert (control.conflicts(None), control.conflicts("logs")) == ([conflict], [])
    assert (volume_of(control).entries, volume_of(control).problems) == (2, 0)


def test_problems(pair: Scene) -> None:
    control = pair.control
    assert control.problems(None) == []
    pair.put_fifo("pipe")
    until(lambda: len(control.problems("data")) == 1)
    (note,) = control.problems(None)
    assert (note.code, note.path, note.is_blocking) == ("unsupported", "pipe", False)
    assert note.text and TIME.fullmatch(str(note.since))
    until(lambda: volume_of(control).in_sync)
    assert volume_of(control).problems == 0 and control.problems("logs") == []
    reached(control, control.wait_token(None))
    pair.remove_fifo("pipe")
    until(lambda: control.problems(None) == [])


def test_a_problem_that_blocks_comes_first(pair: Scene) -> None:
    control = written(pair, "x").control
    pair.put_fifo("x")
    until(lambda: volume_of(control).problems == 1)
    found = control.problems(None)
    assert [(each.code, each.path, each.is_blocking) for each in found] == [
        ("replaced", "x", True),
        ("unsupported", "x", False),
    ]
    assert volume_of(control).in_sync is False and volume_of(control).replicas[0].in_sync is False
    assert missed(control, "data", None, "blocked").missing == [f"data: x {found[0].text}"]
    pair.take_root()
    until(lambda: volume_of(control).state == "halted")
    assert codes(control, "data") == ["halted", "replaced", "unsupported"]


def test_why(pair: Scene) -> None:
    control = written(pair, "x").control
    told = control.why("data", b"x")
    assert (told.path, told.state, told.lacking) == ("x", "replicated", []) and told.details
    assert control.why(None, f"{pair.root('data')}/x".encode()).state == "replicated"
    pair.stall("b")
    pair.write("y")
    until(lambda: control.why("data", b"y").lacking == ["b"])
    assert control.why("data", b"x").lacking == []
    pair.proceed("b")
    until(lambda: control.why("data", b"y").lacking == [])
    pair.write("z", "logs")
    until(lambda: control.why(None, b"z").state == "replicated")
    assert control.why("data", b"z").state == "unknown"


def test_why_of_what_nothing_is_known_of(alone: Scene) -> None:
    control = alone.control
    told = control.why(None, b"odd\n\xe9")
    assert (told.path, told.state, told.lacking) == ("odd\\n\\xe9", "unknown", [])
    assert control.why("logs", f"{alone.root('logs')}/x".encode()).path == "x"
    assert refusal(lambda: control.why(None, b"/elsewhere/x")) == ("/elsewhere/x is in no volume of this agent", 2)
    assert refusal(lambda: control.why("logs", f"{alone.root('data')}/x".encode()))[1] == 2


# -- orders of all kinds -----------------------------------------------------------------------------------


def test_rescan(alone: Scene) -> None:
    control = alone.control
    assert control.rescan("logs") == ["logs: scanning everything"]
    assert control.rescan(None) == ["data: scanning everything", "logs: scanning everything"]
    until(lambda: all(volume.state == "running" and volume.in_sync for volume in control.status().volumes))


VOLUME_ORDERS: list[Callable[[Control], object]] = [
    lambda control: control.wait_token("nope"),
    lambda control: control.forget("nope", "b"),
    lambda control: control.adopt("nope"),
    lambda control: control.held("nope"),
    lambda control: control.release("nope"),
    lambda control: control.revert("nope"),
    lambda control: control.conflicts("nope"),
    lambda control: control.problems("nope"),
    lambda control: control.why("nope", b"x"),
    lambda control: control.rescan("nope"),
]


def test_a_volume_that_is_none_is_refused(alone: Scene) -> None:
    for order in VOLUME_ORDERS:
        with pytest.raises(CommandRefused) as caught:
            order(alone.control)
        assert str(caught.value) == "there is no volume 'nope' here; there is data, logs"
        assert caught.value.exit_code == 2


def test_counters(alone: Scene) -> None:
    control = alone.control
    before = control.counters()
    written(alone, "x")
    after = control.counters()
    assert after[LOCAL_CHANGES] == before.get(LOCAL_CHANGES, 0.0) + 1
    assert set(before) <= set(after)
    for name, value in after.items():
        assert COUNTER.fullmatch(name) and type(value) is float and value >= before.get(name, 0.0)


def test_it_is_alive_until_it_ends(alone: Scene) -> None:
    assert alone.control.is_alive() is True
    alone.end()
    assert alone.control.is_alive() is False


def test_any_thread_may_ask(alone: Scene) -> None:
    control = alone.control

    def ask(_: int) -> bool:
        for _ in range(20):
            assert [volume.name for volume in control.status().volumes] == list(VOLUMES)
            assert control.wait_check(control.wait_token(None), None).cause == "alone"
            assert len(control.rescan(None)) == 2 and [*control.problems(None), *control.held(None)] == []
            assert control.why("data", b"absent").state == "unknown"
            assert control.is_alive() and control.ready().ready and control.counters() is not None
            assert refusal(lambda: control.adopt("data"))[1] == 1
        return True

    with ThreadPoolExecutor(6) as threads:
        answers = threads.map(ask, range(6))
        alone.write("x")
        assert list(answers) == [True] * 6
    until(lambda: volume_of(control).entries == 1)
