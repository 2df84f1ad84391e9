"""What the ``Control`` port promises, on running agents and on the twin: the way back."""

from __future__ import annotations

import pytest

from contract.control_harness import Scene, refusal, until, volume_of, written
from syncagent.ports import Control
from syncagent.status import UndoResult

NOTHING = UndoResult(reverted=0, unchanged=0)


def finished(control: Control, token: object) -> UndoResult:
    """What became of it."""
    until(lambda: control.undone(token) is not None)
    result = control.undone(token)
    assert result is not None
    return result


def test_the_history_has_what_changed_newest_first(pair: Scene) -> None:
    control = written(pair, "x").control
    written(pair, "y")
    (told,) = control.history("data", None)
    assert [(past.path, past.by, past.what, past.before, past.is_kept) for past in told.changes] == [
        ("y", "a", "created", None, False),
        ("x", "a", "created", None, False),
    ]
    assert (told.volume, told.total, told.kept, told.kept_bytes) == ("data", 2, 0, 0)
    assert (told.kept_bytes_max, told.age_seconds) == (2**30, 7 * 86400.0)
    assert [past.path for past in control.history(None, b"x")[0].changes] == ["x"]
    assert [each.volume for each in control.history(None, None)] == ["data", "logs"]


def test_what_was_made_since_a_time_is_undone(pair: Scene) -> None:
    control = written(pair, "x", "y").control
    assert finished(control, control.undo("logs", "10m", None)) == NOTHING
    assert finished(control, control.undo("data", "10m", b"x")) == UndoResult(reverted=1, unchanged=0)
    until(lambda: volume_of(control).entries == 1 and volume_of(control).in_sync)
    assert control.held(None) == []


def test_a_time_or_a_path_that_is_none_is_refused(alone: Scene) -> None:
    control = alone.control
    for order in (
        lambda: control.undo(None, "soon", None),
        lambda: control.undo("none", "1m", None),
        lambda: control.undo(None, "1m", b"/elsewhere"),
        lambda: control.resolve(None, b"/elsewhere", "a"),
        lambda: control.restore("none", b"x", None),
    ):
        assert refusal(order)[1] == 2


def test_nothing_is_restored_of_what_is_not_remembered(alone: Scene) -> None:
    text, code = refusal(lambda: alone.control.restore(None, b"never", None))
    assert (text, code) == ("data: no change of never is remembered here", 1)


def test_while_deletes_are_held_nothing_is_undone(pair: Scene) -> None:
    control = written(pair, "x", "y").control
    pair.delete("x")
    until(lambda: volume_of(control).held == 1)
    text, code = refusal(lambda: control.undo(None, "10m", None))
    assert code == 5 and text.startswith("data: 1 deletes are held")
    assert control.revert("data", b"y") == ["data: 0 deleted entries are brought back"]
    assert control.release(None, b"x") == [
        "data: 1 held deletes are applied",
        "logs: 0 held deletes are applied",
    ]
    until(lambda: volume_of(control).entries == 1 and volume_of(control).in_sync)


def test_a_halted_volume_goes_nowhere(pair: Scene) -> None:
    control = written(pair, "x").control
    pair.take_root()
    until(lambda: volume_of(control).halt is not None)
    for order in (
        lambda: control.undo("data", "10m", None),
        lambda: control.restore("data", b"x", None),
        lambda: control.resolve("data", b"x", "a"),
    ):
        text, code = refusal(order)
        assert code == 5 and text.startswith("data is halted: ")


@pytest.mark.parametrize("keep", ["a", "b", "both"])
def test_a_conflict_ends(pair: Scene, keep: str) -> None:
    control = written(pair, "x.txt").control
    text, code = refusal(lambda: control.resolve(None, b"x.txt", keep))
    assert code == 1 and text.endswith("there is no conflict copy of x.txt")
    pair.disagree("x.txt", "b")
    until(lambda: len(control.conflicts(None)) == 1 and volume_of(control).in_sync)
    (conflict,) = control.conflicts("data")
    assert {conflict.origin, conflict.stands} == {"a", "b"}
    assert refusal(lambda: control.resolve(None, b"x.txt", "nobody"))[1] == 2
    (said,) = control.resolve("data", b"x.txt" if keep == "a" else conflict.path.encode(), keep)
    assert said.startswith("data: ")
    until(lambda: control.conflicts(None) == [] and volume_of(control).in_sync)
