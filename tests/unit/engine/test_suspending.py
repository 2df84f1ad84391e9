"""What is shown of a volume whose index has failed."""

from __future__ import annotations

import pytest
from msgspec import structs

from syncagent.engine.context import VolumeOptions
from syncagent.engine.suspending import Suspended, Ward
from syncagent.engine.volume import Volume
from syncagent.ports import IndexFailed
from syncagent.status import ReplicaStatus, VolumeStatus

CAUSE = "the index cannot be written: the disk is full: make room"


def never() -> Volume:
    raise AssertionError("nobody asked for it")


def suspended(last: VolumeStatus | None) -> Suspended:
    return Suspended(VolumeOptions("data", b"/data"), never, CAUSE, "2026-01-01T00:00:00.000Z", 0.0, last)


def running() -> VolumeStatus:
    """Of a volume with which all was well."""
    shown = structs.replace(suspended(None).status(), state="running", halt=None, ready=True, in_sync=True, problems=0)
    replicas = [
        ReplicaStatus(
            name=name,
            self=name == "a",
            connected=True,
            in_sync=True,
            entries_behind=0,
            bytes_behind=0,
            lag_seconds=0.0,
            last_seen=None,
            as_of=None,
        )
        for name in "ab"
    ]
    return structs.replace(shown, digest="00" * 16, entries=7, replicas=replicas, problem_codes={})


@pytest.mark.parametrize("last", [None, running()])
def test_it_is_halted_and_in_sync_with_nobody(last: VolumeStatus | None) -> None:
    shown = suspended(last).status()
    assert (shown.state, shown.halt, shown.ready, shown.in_sync, shown.digest) == ("halted", CAUSE, False, False, None)
    assert (shown.problems, shown.problem_codes) == (1, {"index": 1})
    assert shown.entries == (last.entries if last else 0)
    assert [(each.self, each.connected, each.in_sync) for each in shown.replicas] == (
        [(True, True, False), (False, False, False)] if last else []
    )
    problem = suspended(last).problem()
    assert problem.is_blocking and problem.text == "halted: the index cannot be written: the disk is full"
    assert problem.remedy.startswith("make room")


def test_after_its_index_has_failed_nothing_is_called_any_more() -> None:
    ward, failures, calls = Ward(), list[IndexFailed](), list[int]()
    ward.failed = failures.append

    def fails() -> None:
        raise IndexFailed("broken")

    assert ward.do(lambda: 7) == 7
    assert ward.do(fails) is None
    assert ward.do(fails) is None and ward.do(lambda: calls.append(1)) is None
    assert len(failures) == 1 and calls == []
