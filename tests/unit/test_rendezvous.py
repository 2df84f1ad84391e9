from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from syncagent import rendezvous


@contextmanager
def listening(path: Path) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as listener, rendezvous.socket_address(path) as address:
        listener.bind(address)
        listener.listen(1)
        yield


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    fallback = tmp_path / "fallback"
    fallback.mkdir()
    monkeypatch.setattr(rendezvous, "FALLBACK_ROOT", fallback)
    return {"XDG_RUNTIME_DIR": str(tmp_path)}


def test_an_agent_is_found_until_it_is_unregistered(tmp_path: Path, environ: dict[str, str]) -> None:
    path = tmp_path / "agent.sock"
    with listening(path):
        note = rendezvous.register("a", path, environ)
        assert note.parent == tmp_path / "syncagent"
        assert note.name == f"a-{os.getpid()}.json"
        assert os.stat(note.parent).st_mode & 0o777 == 0o700
        assert rendezvous.running_agents(environ) == [rendezvous.RunningAgent("a", os.getpid(), str(path))]
        rendezvous.unregister(note)
        rendezvous.unregister(note)
        assert rendezvous.running_agents(environ) == []


def test_the_last_one_takes_the_run_directory_away(tmp_path: Path, environ: dict[str, str]) -> None:
    first = rendezvous.register("a", tmp_path / "a.sock", environ)
    second = rendezvous.register("b", tmp_path / "b.sock", environ)
    rendezvous.unregister(first)
    assert os.listdir(first.parent) == [second.name]
    rendezvous.unregister(second)
    assert not first.parent.exists()
    assert rendezvous.register("a", tmp_path / "a.sock", environ) == first


def test_agents_that_end_while_others_begin(tmp_path: Path, environ: dict[str, str]) -> None:
    def come_and_go(name: str) -> None:
        for _ in range(200):
            note = rendezvous.register(name, tmp_path / "gone.sock", environ)
            assert rendezvous.running_agents(environ) == []
            assert note.exists()
            rendezvous.unregister(note)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(come_and_go, name) for name in ("a", "b")]:
            done.result()
    assert not (tmp_path / "syncagent").exists()


def test_the_dead_are_ignored_and_swept_away_by_the_next(tmp_path: Path, environ: dict[str, str]) -> None:
    path = tmp_path / "agent.sock"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with listening(path):
        own = rendezvous.register("a", path, environ)
        dead = own.with_name(f"b-{ended.pid}.json")
        dead.write_text(json.dumps({"pid": ended.pid, "name": "b", "socket": str(path)}))
        odd = own.with_name("c-1.json")
        odd.write_text('["no note"]')
        assert [agent.name for agent in rendezvous.running_agents(environ)] == ["a"]
        rendezvous.register("a", path, environ)
        assert (dead.exists(), odd.exists(), own.exists()) == (False, False, True)


def test_a_living_process_whose_socket_does_not_answer_is_no_agent(tmp_path: Path, environ: dict[str, str]) -> None:
    rendezvous.register("a", tmp_path / "gone.sock", environ)
    assert rendezvous.running_agents(environ) == []


def test_a_reader_with_another_environment_finds_it_too(tmp_path: Path, environ: dict[str, str]) -> None:
    with listening(tmp_path / "agent.sock"):
        rendezvous.register("a", tmp_path / "agent.sock", {})
        assert [agent.name for agent in rendezvous.running_agents(environ)] == ["a"]


def test_names_become_plain_file_names(tmp_path: Path, environ: dict[str, str]) -> None:
    note = rendezvous.register("../x y", tmp_path / "agent.sock", environ)
    assert note == tmp_path / "syncagent" / f".._x_y-{os.getpid()}.json"


def test_a_directory_of_somebody_else_is_refused(tmp_path: Path, environ: dict[str, str]) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "syncagent").symlink_to(elsewhere)
    with pytest.raises(rendezvous.RunDirectoryRefused, match="not to be trusted"):
        rendezvous.register("a", tmp_path / "agent.sock", environ)
    with pytest.raises(rendezvous.RunDirectoryRefused, match="--agent"):
        rendezvous.running_agents(environ)
    assert not os.listdir(elsewhere)


@pytest.mark.root
def test_an_owner_that_is_somebody_else_is_refused(tmp_path: Path, environ: dict[str, str]) -> None:
    (tmp_path / "syncagent").mkdir()
    os.chown(tmp_path / "syncagent", 4711, 4711)
    with pytest.raises(rendezvous.RunDirectoryRefused):
        rendezvous.register("a", tmp_path / "agent.sock", environ)


def test_a_directory_that_others_may_write_is_closed_to_them(tmp_path: Path, environ: dict[str, str]) -> None:
    directory = tmp_path / "syncagent"
    directory.mkdir()
    directory.chmod(0o777)
    rendezvous.register("a", tmp_path / "agent.sock", environ)
    assert os.stat(directory).st_mode & 0o777 == 0o700


def test_without_a_runtime_directory_of_our_own_it_is_below_tmp(tmp_path: Path) -> None:
    fallback = Path(f"/tmp/syncagent-{os.geteuid()}")
    for value in ("", "relative", str(tmp_path / "missing")):
        assert rendezvous.run_directories({"XDG_RUNTIME_DIR": value}) == [fallback]
    assert rendezvous.run_directories({}) == [fallback]
    assert rendezvous.run_directories({"XDG_RUNTIME_DIR": str(tmp_path)}) == [tmp_path / "syncagent", fallback]


def test_a_path_longer_than_a_socket_s_address(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    with listening(deep / "agent.sock"):
        rendezvous.connect(deep / "agent.sock", 5).close()
    with pytest.raises(ConnectionRefusedError):
        rendezvous.connect(deep / "agent.sock", 5)
