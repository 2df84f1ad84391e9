from __future__ import annotations

import os
from pathlib import Path

import pytest

from syncagent import rendezvous
from syncagent.cli.address import TcpAddress, UnixAddress, resolve
from syncagent.cli.exits import CommandError
from syncagent.http import HttpServer
from twins.control import MemoryControl, MemoryVolume
from unit.cli.conftest import Run


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:/run/x.sock", UnixAddress("/run/x.sock")),
        ("http://127.0.0.1:7481", TcpAddress("127.0.0.1", 7481)),
        ("http://[::1]:7481/", TcpAddress("::1", 7481)),
        ("localhost:7481", TcpAddress("localhost", 7481)),
        ("/run/x.sock", UnixAddress("/run/x.sock")),
    ],
)
def test_forms(text: str, address: UnixAddress | TcpAddress) -> None:
    assert resolve(text, {}) == address


def test_a_state_directory(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    socket = UnixAddress(str(state / "agent.sock"))
    assert resolve(str(state), {}) == socket
    assert resolve(f"unix:{state}", {}) == socket
    monkeypatch.chdir(state)
    assert resolve(".", {}) == socket
    assert resolve("./agent.sock", {}) == socket


@pytest.mark.parametrize(
    "text", ["https://127.0.0.1:7481", "http://127.0.0.1", "tcp://127.0.0.1:7401", "unix:", "127.0.0.1:0", "h:70000"]
)
def test_what_is_no_address_is_wrong_usage(text: str) -> None:
    with pytest.raises(CommandError) as refused:
        resolve(text, {})
    assert refused.value.exit_code == 2


def test_none_runs(run: Run) -> None:
    code, out, err = run("status")
    assert (code, out) == (1, "")
    assert err.startswith("syncctl: no agent of this user runs on this machine; start one")
    code, _, err = run("--agent", "a", "status")
    assert code == 1
    assert "none runs" in err


def test_the_only_one_is_found(run: Run, api: HttpServer) -> None:
    assert run("ready")[0] == 0
    assert run("--agent", "a", "ready")[0] == 0


def test_a_wrong_name(run: Run, api: HttpServer) -> None:
    code, _, err = run("--agent", "b", "ready")
    assert code == 1
    assert "there is a" in err


def test_of_several_one_has_to_be_chosen(run: Run, api: HttpServer, tmp_path: Path) -> None:
    second = HttpServer(MemoryControl("b", data=MemoryVolume()), tmp_path / "b.sock", None, None)
    second.start()
    note = tmp_path / "runtime" / "syncagent" / f"b-{os.getpid()}.json"
    assert rendezvous.register("b", tmp_path / "b.sock", {"XDG_RUNTIME_DIR": str(tmp_path / "runtime")}) == note
    try:
        code, _, err = run("status")
        assert code == 2
        assert f"--agent unix:{tmp_path / 'b.sock'}" in err
        assert f"--agent unix:{tmp_path / 'state' / 'agent.sock'}" in err
        assert run("--agent", "b", "ready")[0] == 0
        assert run("--agent", f"unix:{tmp_path / 'b.sock'}", "ready")[0] == 0
    finally:
        second.stop()
    assert run("ready")[0] == 0


def test_a_run_directory_of_somebody_else(run: Run, tmp_path: Path) -> None:
    (tmp_path / "runtime" / "syncagent").symlink_to(tmp_path)
    code, _, err = run("status")
    assert code == 1
    assert "not to be trusted" in err


def test_the_variable(run: Run, api: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCCTL_AGENT", "127.0.0.1:1")
    code, _, err = run("ready")
    assert code == 1
    assert "no agent answers at http://127.0.0.1:1 (Connection refused)" in err
    assert run("--agent", "a", "ready")[0] == 0
