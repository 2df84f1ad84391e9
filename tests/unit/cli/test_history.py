"""``syncctl history``, ``undo`` and ``conflicts resolve`` against a control in memory."""

from __future__ import annotations

import json

import pytest

from syncagent.http import HttpServer
from syncagent.status import ConflictStatus, HeldStatus, PastStatus
from twins.control import MemoryControl
from unit.cli.conftest import Run

pytestmark = pytest.mark.usefixtures("api")


def past(
    path: str, *, time: str = "2026-01-01T10:00:00.000Z", before: str | None = "file", kept: bool = True
) -> PastStatus:
    return PastStatus(
        volume="data", path=path, time=time, by="b", what="replaced", before=before, size=1500, is_kept=kept
    )


@pytest.fixture
def pasts(control: MemoryControl) -> list[PastStatus]:
    """What is remembered of the volume."""
    known = control.volumes["data"].pasts
    known += [past("docs/a"), past("docs/b", kept=False), past("c", before=None, kept=False)]
    return known


def test_history_shows_changes_and_usage(run: Run, pasts: list[PastStatus]) -> None:
    code, out, _ = run("history", "docs")
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["TIME", "BY", "WHAT", "SIZE", "BEFORE", "KEPT", "PATH"],
        ["2026-01-01T10:00:00.000Z", "b", "replaced", "1.5", "kB", "yes", "docs/a"],
        ["2026-01-01T10:00:00.000Z", "b", "replaced", "1.5", "kB", "no", "docs/b"],
        "data: 3 changes remembered for 7 d; 1 file kept, 1.0 kB of 1.1 GB".split(),
    ]
    assert len(json.loads(run("history", "--json")[1])["volumes"][0]["changes"]) == len(pasts)
    assert run("history", "none")[:1] == (1,)
    assert run("history")[0] == 0
    assert run("history", "one", "two")[0] == 2
    assert run("history", "one", "--at", "1h")[0] == 2


def test_nothing_is_remembered(run: Run) -> None:
    code, out, _ = run("history")
    assert (code, out.splitlines()[0]) == (0, "no changes are remembered")


@pytest.mark.usefixtures("pasts")
def test_restore_says_what_came_back_and_what_nobody_keeps(run: Run) -> None:
    assert run("history", "restore", "docs/a") == (0, "1 path brought back\n", "")
    code, out, _ = run("history", "restore", "docs")
    assert (code, out) == (1, "1 path brought back\nnot kept by anybody who was asked: docs/b\n")
    code, _, err = run("history", "restore", "never")
    assert code == 1 and "no change of never is remembered" in err
    assert run("history", "restore", "c", "--at", "noon")[0] == 2
    assert run("history", "restore")[0] == 2
    assert json.loads(run("history", "restore", "docs/a", "--json")[1])["reverted"] == 1


@pytest.mark.usefixtures("pasts")
def test_undo_since_a_time(run: Run, control: MemoryControl) -> None:
    assert run("undo", "--since", "2026-01-01T10:00:00Z", "--path", "docs/a") == (0, "1 path reverted\n", "")
    assert run("undo", "--since", "1m")[:2] == (0, "0 paths reverted\n")
    code, out, _ = run("undo", "--since", "2025-12-31")
    assert (code, out.splitlines()) == (1, ["2 paths reverted", "not kept by anybody who was asked: docs/b"])
    assert run("undo")[0] == 2 and run("undo", "--since", "soon")[0] == 2
    control.volumes["data"].held = [HeldStatus(path="x", where="here")]
    code, _, err = run("undo", "--since", "1m")
    assert code == 5 and "1 deletes are held" in err


def test_a_conflict_is_resolved(run: Run, control: MemoryControl) -> None:
    conflicts = [ConflictStatus(path="x~b-1", of="x", origin="b", size=4, stands="a")]
    control.volumes["data"].conflicts = list(conflicts)
    assert run("conflicts", "resolve", "x")[0] == 2
    assert run("conflicts", "--keep", "a")[0] == 2
    code, _, err = run("conflicts", "resolve", "x", "--keep", "c")
    assert code == 2 and "keep a, b or both" in err
    assert run("conflicts", "resolve", "x", "--keep", "b")[:2] == (0, "data: the content of b stands at x\n")
    assert run("conflicts", "resolve", "x", "--keep", "b")[0] == 1


def test_held_deletes_by_path(run: Run, control: MemoryControl) -> None:
    control.volumes["data"].held = [HeldStatus(path=path, where="here") for path in ("d/x", "d/y", "dd")]
    assert run("release", "data", "--path", "d/x")[1] == "data: 1 held deletes are applied\n"
    assert run("revert", "--path", "d")[1] == "data: 1 deleted entries are brought back\n"
    assert [held.path for held in control.volumes["data"].held] == ["dd"]


@pytest.mark.usefixtures("pasts")
def test_undo_over_http_needs_the_token(run: Run, api: HttpServer) -> None:
    assert api.address is not None
    assert run("--agent", api.address, "history")[0] == 0
    for words in (
        ("undo", "--since", "1m"),
        ("history", "restore", "docs/a"),
        ("conflicts", "resolve", "x", "--keep", "a"),
    ):
        code, _, err = run("--agent", api.address, *words)
        assert code == 1 and "give --token-file FILE" in err
