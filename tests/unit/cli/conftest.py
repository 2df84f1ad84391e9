from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from syncagent import rendezvous
from syncagent.cli.main import main
from syncagent.http import HttpServer
from twins.control import MemoryControl, MemoryMember, MemoryVolume

TOKEN = b"t" * 40

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the user, and no agent of theirs, reaches a test."""
    for name in ("SYNCCTL_AGENT", "SYNCCTL_TOKEN_FILE", "SYNCCTL_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    for name in ("runtime", "fallback"):
        (tmp_path / name).mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setattr(rendezvous, "FALLBACK_ROOT", tmp_path / "fallback")


@pytest.fixture
def control() -> MemoryControl:
    return MemoryControl(data=MemoryVolume(members={"b": MemoryMember(10), "c": MemoryMember(10)}))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    place = tmp_path / "state"
    place.mkdir()
    return place


@pytest.fixture
def api(state: Path, control: MemoryControl) -> Iterator[HttpServer]:
    """An agent named a that ``syncctl`` finds by itself."""
    server = HttpServer(control, state / "agent.sock", "127.0.0.1:0", TOKEN)
    server.start()
    rendezvous.register("a", state / "agent.sock", {"XDG_RUNTIME_DIR": str(state.parent / "runtime")})
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``syncctl`` with these arguments: its exit code, output and complaints."""

    def execute(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return execute
