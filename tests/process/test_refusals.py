"""What an agent refuses, and what it says of peers it cannot work with: a sentence, a remedy, the right exit code."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from process.cluster import Cluster, eventually, free_port

START = [sys.executable, "-m", "syncagent", "run"]


def refused(*words: str | Path) -> tuple[int, str]:
    """Start an agent that must end by itself; its exit code and all it said."""
    done = subprocess.run([*START, *map(str, words)], capture_output=True, text=True, timeout=30, check=False)
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    return done.returncode, said


def arguments(root: Path) -> list[str | Path]:
    """What a sound agent needs, but its address."""
    (root / "volume").mkdir(exist_ok=True)
    return ["--name", "a", "--volume", f"data={root / 'volume'}", "--state-dir", root / "state"]


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield int(taken.getsockname()[1])


def test_a_port_in_use(tmp_path: Path, busy_port: int) -> None:
    code, said = refused(*arguments(tmp_path), "--listen", f"tcp://127.0.0.1:{busy_port}")
    assert code == 1
    assert f"tcp://127.0.0.1:{busy_port}: the address is in use" in said and "choose another port" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--listen", "tcp://127.0.0.1:99999"], "ports end at 65535"),
        (["--listen", "127.0.0.1:7401"], "write tcp://127.0.0.1:7401"),
        (["--listen", "tcp://0.0.0.0:7401"], "make one with `syncctl keygen`"),
        (["--secret-file", "absent"], "make one with `syncctl keygen`"),
        (["--lisen", "tcp://127.0.0.1:7401"], "did you mean --listen?"),
        (["--config", "absent.toml"], "check --config"),
        (["--http", "0.0.0.0:7481"], "give --http-token-file FILE"),
        (["--volume", "more"], "write NAME=DIR"),
    ],
)
def test_a_fault_in_the_flags(tmp_path: Path, words: list[str], sentence: str) -> None:
    code, said = refused(*arguments(tmp_path), *words)
    assert (code, sentence in said) == (2, True), said
    assert len(said.splitlines()) == 1, said


def test_all_faults_of_a_config_file_at_once(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('nmae = "a"\ndrain = "soon"\nvolumes = ["data"]\n')
    code, said = refused("--config", config)
    assert code == 2 and "did you mean name?" in said and "is not a duration" in said and "has no directory" in said
    config.write_text('name = "a\nvolumes = []\n')
    code, said = refused("--config", config)
    assert code == 2 and "not valid TOML" in said and "line 1" in said


def test_a_directory_that_is_not_there_or_not_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for name, sentence in (("absent", "does not exist"), ("file", "is not a directory")):
        code, said = refused("--name", "a", "--volume", f"data={tmp_path / name}", "--state-dir", tmp_path / "state")
        assert code == 2 and sentence in said and str(tmp_path / name) in said
    code, said = refused("--name", "a", "--volume", f"data={tmp_path}", "--state-dir", tmp_path / "file")
    assert code != 0 and "--state-dir" in said


def test_a_second_agent_on_the_same_volume_or_state(tmp_path: Path) -> None:
    with Cluster(tmp_path, "a") as cluster:
        a = cluster["a"]
        listen = ["--listen", f"tcp://127.0.0.1:{free_port()}"]
        code, said = refused("--name", "b", "--volume", f"data={a.volume}", "--state-dir", tmp_path / "other", *listen)
        assert code == 1 and f"another agent already has {a.volume}" in said
        (tmp_path / "free").mkdir()
        code, said = refused("--name", "b", "--volume", f"data={tmp_path / 'free'}", "--state-dir", a.state, *listen)
        assert code == 1 and f"another agent already uses the state directory {a.state}" in said
        a.volume.rename(tmp_path / "away")
        (tmp_path / "away").rename(a.volume)
        eventually(lambda: a.status()["state"] == "running")
        code, said = refused("--name", "b", "--volume", f"data={a.volume}", "--state-dir", tmp_path / "other", *listen)
        assert code == 1 and "another agent already has" in said


def make_secret(path: Path) -> Path:
    made = subprocess.run(
        [sys.executable, "-m", "syncagent.cli", "keygen", str(path)], capture_output=True, check=False
    )
    assert made.returncode == 0, made.stderr
    return path


@pytest.mark.parametrize("trouble", ["wrong secret", "no secret", "other cluster", "nobody there"])
def test_a_peer_that_cannot_be_worked_with_is_shown(tmp_path: Path, trouble: str) -> None:
    cluster = Cluster(tmp_path, "ab")
    a, b = cluster["a"], cluster["b"]
    a.extra = ["--secret-file", str(make_secret(tmp_path / "secret-a"))]
    b.extra = list(a.extra)
    if trouble == "wrong secret":
        b.extra = ["--secret-file", str(make_secret(tmp_path / "secret-b"))]
    elif trouble == "no secret":
        b.extra = []
    elif trouble == "other cluster":
        b.extra += ["--cluster", "another"]
    try:
        a.start()
        if trouble != "nobody there":
            b.start()
        word = "cluster" if trouble == "other cluster" else b.address if trouble == "nobody there" else "secret"

        def is_shown() -> bool:
            said = a.ctl("status")
            return word in said.stdout and b.address in said.stdout

        eventually(is_shown, 15)
        (a.volume / "x").write_bytes(b"x")
        assert a.ctl("wait", "--timeout", "0.5").returncode == 4
        assert os.listdir(b.volume) == []
    finally:
        cluster.kill_all()
