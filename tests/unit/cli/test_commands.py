from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from syncagent.http import HttpServer
from syncagent.status import ConflictStatus, HeldStatus, ProblemStatus
from twins.control import MemoryControl, MemoryPath
from unit.cli.conftest import TOKEN, Run

pytestmark = pytest.mark.usefixtures("api")


# -- status --------------------------------------------------------------------------------------


def test_status_as_plain_columns(run: Run, control: MemoryControl) -> None:
    control.change("data")
    control.apply_all("data", "b")
    code, out, err = run("status")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "data: running, two-way, events, 11 entries, 11.0 kB"
    assert lines[1] == "  not in sync, conflicts 0, problems 0, held 0"
    assert [line.split()[:1] for line in lines[2:6]] == [["REPLICA"], ["a"], ["b"], ["c"]]
    assert re.fullmatch(r"  b +yes +yes +0\.0 s +now", lines[4])
    assert re.fullmatch(r"  c +yes +1 entry, 1\.0 kB behind +1\.5 s +now", lines[5])
    assert max(len(line) for line in lines) <= 80


def test_status_json_is_what_the_agent_said(run: Run) -> None:
    code, out, _ = run("status", "--json")
    assert code == 0
    assert list(json.loads(out))[:4] == ["format", "agent", "time", "volumes"]


def test_status_shows_a_halt_and_an_escape_in_a_name_is_harmless(run: Run, control: MemoryControl) -> None:
    control.volumes["data"].halt = "the root is gone\x1b[2J; syncctl adopt data"
    _, out, _ = run("status")
    assert out.splitlines()[1:3] == [
        "  not in sync, conflicts 0, problems 1, held 0",
        "  halted: the root is gone\\x1b[2J; syncctl adopt data",
    ]


def test_check_tells_by_its_exit_code(run: Run, control: MemoryControl) -> None:
    data = control.volumes["data"]
    assert run("status", "--check")[0] == 0
    control.change("data")
    assert run("status", "--check")[0] == 1
    data.problems = [ProblemStatus(code="busy", text="is being written")]
    assert run("status", "--check")[0] == 1
    data.members["b"].connected = False
    assert run("status", "--check")[0] == 4
    data.problems = [ProblemStatus(code="disk-full", text="no room", is_blocking=True)]
    assert run("status", "--check")[0] == 5
    data.problems = []
    data.held = [HeldStatus(path="x", where="here")]
    assert run("status", "--check")[0] == 5
    data.held = []
    data.halt = "the root is gone"
    assert run("status", "--check")[0] == 5


# -- wait and ready ------------------------------------------------------------------------------


def test_wait_that_is_reached(run: Run) -> None:
    assert run("wait") == (0, "in sync: all 3 members have applied everything this agent knew\n", "")
    assert run("wait", "data", "--members", "3")[0] == 0


def test_wait_that_is_not(run: Run, control: MemoryControl) -> None:
    control.change("data")
    code, out, err = run("wait", "--timeout", "0")
    assert (code, out) == (3, "")
    assert err.splitlines()[:2] == ["syncctl: not in sync:", "syncctl:   data: b lacks 1 entries, 1000 bytes"]
    assert run("wait", "--timeout", "0.05")[2].startswith("syncctl: not in sync after 0.05 s:")
    control.apply_all("data", "c")
    control.volumes["data"].members["b"].connected = False
    assert run("wait", "--timeout", "0")[0] == 4
    control.volumes["data"].held = [HeldStatus(path="x", where="here")]
    assert run("wait", "--timeout", "0")[0] == 5
    code, out, err = run("wait", "--timeout", "0", "--json")
    assert (code, err) == (5, "")
    assert json.loads(out)["cause"] == "blocked"


def test_wait_alone_is_an_error(run: Run, control: MemoryControl) -> None:
    control.volumes["data"].members.clear()
    code, _, err = run("wait")
    assert code == 1
    assert "--members 1" in err
    assert run("wait", "--members", "1") == (0, "in sync: this agent is the only member\n", "")
    assert run("wait", "--members", "2", "--timeout", "0")[0] == 3


def test_ready(run: Run, control: MemoryControl) -> None:
    assert run("ready") == (0, "ready\n", "")
    control.volumes["data"].ready = False
    assert run("ready") == (1, "", "syncctl: not ready:\nsyncctl:   data\n")
    code, out, _ = run("ready", "--json")
    assert (code, json.loads(out)["ready"]) == (1, False)


# -- the others ----------------------------------------------------------------------------------


def test_members_forget_and_adopt(run: Run, control: MemoryControl) -> None:
    code, out, _ = run("members")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()] == [
        ["VOLUME", "MEMBER"],
        ["data", "a"],
        ["data", "b"],
        ["data", "c"],
    ]
    assert run("forget", "c")[0] == 1
    control.volumes["data"].members["c"].connected = False
    assert run("forget", "c", "--volume", "data")[:2] == (0, "data: c is off the list\n")
    assert run("forget", "c") == (1, "", "syncctl: there is no other member 'c'\n")
    assert len(json.loads(run("members", "--json", "data")[1])["volumes"][0]["members"]) == 2
    code, out, err = run("members", "zz")
    assert (code, out, err) == (2, "", "syncctl: there is no volume 'zz' here; there is data\n")
    assert run("adopt", "data")[0] == 1
    control.volumes["data"].halt = "the root is gone"
    code, out, _ = run("adopt", "data")
    assert (code, out.startswith("data: what is there now is a new replica")) == (0, True)


def test_held_deletes(run: Run, control: MemoryControl) -> None:
    assert run("hold") == (0, "no deletes are held\n", "")
    control.volumes["data"].held = [HeldStatus(path="a\nb", where="here", size=1500)]
    code, out, _ = run("hold")
    assert code == 5
    assert out.splitlines()[1] == "1.5 kB  here     a\\nb"
    assert run("release", "data")[:2] == (0, "data: 1 held deletes are applied\n")
    control.volumes["data"].held = [HeldStatus(path="x", where="here")]
    assert json.loads(run("hold", "--json")[1])["held"][0]["path"] == "x"
    assert run("revert")[:2] == (0, "data: 1 deleted entries are brought back\n")
    assert run("hold")[0] == 0


def test_conflicts_and_problems(run: Run, control: MemoryControl) -> None:
    assert run("conflicts") == (0, "no conflict copies\n", "")
    assert run("problems") == (0, "no problems\n", "")
    data = control.volumes["data"]
    data.conflicts = [ConflictStatus(path="x~b-1", of="x", origin="b", size=4, stands="c")]
    data.problems = [ProblemStatus(code="busy", text="is being written", path="x", remedy="wait")]
    assert [line.split() for line in run("conflicts", "data")[1].splitlines()[:2]] == [
        ["COPY", "WRITER", "SIZE", "OF", "WRITER", "THERE"],
        ["x~b-1", "b", "4", "B", "x", "c"],
    ]
    assert run("problems")[:2] == (0, "retried: x: is being written (busy)\n  wait\n")
    data.problems[0].is_blocking = True
    code, out, _ = run("problems", "--json")
    assert (code, json.loads(out)["problems"][0]["code"]) == (5, "busy")
    assert json.loads(run("conflicts", "--json")[1])["conflicts"][0]["origin"] == "b"


def test_why(run: Run, control: MemoryControl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = os.fsencode(tmp_path)
    data = control.volumes["data"]
    data.root, data.members["c"].applied = here, 9
    data.paths = {b"caf\xe9 &+%": MemoryPath("queued", 10), b"x": MemoryPath("watched", 10)}
    code, out, _ = run("why", os.fsdecode(b"caf\xe9 &+%"))
    assert (code, out.splitlines()) == (0, ["caf\\xe9 &+%: queued", "  a regular file", "  not yet at: c"])
    monkeypatch.chdir(tmp_path)
    assert run("why", "./x")[1].startswith("x: watched")
    assert json.loads(run("why", "--json", str(tmp_path / "x"), "--volume", "data")[1])["lacking"] == ["c"]
    assert run("why", "x")[0] == 0
    assert run("why", "nope")[0] == 1 and run("why", "nope")[1].startswith("nope: unknown\n")
    assert run("why", "--json", "nope")[0] == 1
    assert run("why", "../elsewhere")[0] == 2


def test_rescan(run: Run, control: MemoryControl) -> None:
    assert run("rescan") == (0, "data: scanning everything\n", "")
    assert control.volumes["data"].rescans == 1
    assert run("rescan", "nope")[0] == 2


# -- over HTTP -----------------------------------------------------------------------------------


def test_over_http_changing_needs_the_token(run: Run, api: HttpServer, tmp_path: Path) -> None:
    assert api.address is not None
    assert run("--agent", api.address, "ready")[0] == 0
    code, _, err = run("--agent", api.address, "rescan")
    assert code == 1
    assert "give --token-file FILE" in err
    token = tmp_path / "token"
    token.write_bytes(b"wrong\n")
    assert "is not the agent's" in run("--agent", api.address, "--token-file", str(token), "rescan")[2]
    token.write_bytes(TOKEN + b"\n")
    assert run("--agent", f"http://{api.address}", "--token-file", str(token), "rescan")[0] == 0


@pytest.mark.parametrize("content", [b"", b"two\nlines", b"sn\xf6"])
def test_a_token_file_that_is_none(run: Run, api: HttpServer, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    assert run("--token-file", str(tmp_path / "token"), "ready")[0] == 2
    code, _, err = run("--token-file", str(tmp_path / "missing"), "ready")
    assert code == 2
    assert "No such file" in err
