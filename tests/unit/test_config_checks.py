"""Configuration: secrets, what may be reached from elsewhere, and what the disk must hold."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from configs import SECRET, flags, make_place, problem, write
from syncagent.config import (
    ConfigError,
    Endpoint,
    checks,
    load,
    read_secret,
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return make_place(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("given", "start"),
    [
        ({"listen": "tcp://*:7401"}, "--listen tcp://*:7401"),
        ({"listen": "tcp://10.0.0.1:7401"}, "--listen tcp://10.0.0.1:7401"),
        ({"peers": ["tcp://127.0.0.1:1", "tcp://b:7401"]}, "--peer tcp://b:7401"),
    ],
)
def test_beyond_loopback_a_secret_is_needed(given: dict[str, object], start: str) -> None:
    assert problem(flags(**given)) == (
        f"{start} is not on loopback, which needs a secret shared by all agents: "
        "make one with `syncctl keygen` and give it to each with --secret-file FILE"
    )
    assert load(flags(**given, secret_file=write("secret", SECRET)), {}).secret_file == os.path.abspath("secret")


def test_http_beyond_loopback_needs_a_token() -> None:
    assert problem(flags(http="*:7481")) == (
        "--http *:7481 is not on loopback, which needs a token: give --http-token-file FILE"
    )
    assert load(flags(http="*:7481", http_token_file=write("token", SECRET)), {}).http == Endpoint("*", 7481)


def test_http_and_peers_need_different_ports() -> None:
    same = flags(listen="tcp://127.0.0.1:7401", http="127.0.0.1:7401")
    assert "listens already; choose another port" in problem(same)
    assert load(flags(listen="tcp://127.0.0.1:0", http="127.0.0.1:0"), {}).http == Endpoint("127.0.0.1", 0)
    assert load(flags(listen="tcp://127.0.0.1:7401", http="127.0.0.2:7401"), {}).http == Endpoint("127.0.0.2", 7401)


def test_a_secret_must_exist_be_long_enough_and_private(place: Path) -> None:
    write("short", b"  0123456789abcdef0123456789abcde \n")
    write("open", SECRET, 0o640)
    os.mkfifo("pipe", 0o600)
    path = str(place)
    for name, rest in {
        "none": f"'{path}/none' does not exist; make one with `syncctl keygen`",
        "short": f"'{path}/short' holds 31 characters; at least 32 are needed; make one with `syncctl keygen`",
        "open": f"'{path}/open' may be read by others than its owner (mode 0640); run: chmod 600 {path}/open",
        "data": f"'{path}/data' is not a regular file; make one with `syncctl keygen`",
        "pipe": f"'{path}/pipe' is not a regular file; make one with `syncctl keygen`",
        "open/x": f"'{path}/open/x' cannot be read: Not a directory; correct the path or its owner",
    }.items():
        assert problem(flags(secret_file=name)) == f"--secret-file: {rest}"
    assert "fill it with at least 32 random characters" in problem(flags(http_token_file="none"))
    assert problem(flags(secret_file="")) == "--secret-file '' is empty; name a path"


def test_a_managed_secret_that_root_owns_is_only_warned_of() -> None:
    assert checks.exposure("/run/secrets/x", 0o100444, 0) == (
        "'/run/secrets/x' may be read by others than its owner (mode 0444)", True,
    )  # fmt: skip
    assert checks.exposure("/run/secrets/../x", 0o100444, 0)[1] is False
    assert checks.exposure("/run/secrets/x", 0o100444, 1000)[1] is False
    assert checks.exposure("/etc/x", 0o100444, 0)[1] is False
    assert checks.exposure("/etc/x", 0o100400, 1000) == (None, False)


def test_a_secret_is_read_without_the_white_space_around_it() -> None:
    assert read_secret(write("secret", b" \n" + SECRET)) == SECRET.strip()
    with pytest.raises(ConfigError, match="'none' cannot be read: No such file"):
        read_secret("none")


def test_a_directory_that_is_missing_at_the_first_start_is_a_fault(place: Path) -> None:
    assert problem(flags(volumes=["x=gone"])) == (
        f"--volume: volume 'x': directory '{place}/gone' does not exist; create the directory or correct the path"
    )
    write("file", "")
    assert problem(flags(volumes=["x=file"])).endswith(
        "/file' is not a directory; create the directory or correct the path"
    )
    assert problem(flags(volumes=["x=file/x"])).endswith("cannot be opened: Not a directory; correct the path")


def test_a_directory_that_went_away_later_leaves_the_halt_to_the_agent(place: Path) -> None:
    (place / "state").mkdir()
    write("state/index", "")
    assert load(flags(volumes=["x=gone"]), {}).warnings == (
        f"--volume: volume 'x': directory '{place}/gone' does not exist; mount or restore it",
    )


@contextmanager
def without_privilege() -> Iterator[None]:
    """Root may everything, so access is asked for as somebody else: the kernel goes by the real user.

    Who may not change users has no privilege to give up either.
    """
    with suppress(PermissionError):
        os.setresuid(65534, -1, -1)
    try:
        yield
    finally:
        os.setresuid(os.geteuid(), -1, -1)


@pytest.mark.parametrize("refused", ["data", "state"])
def test_a_directory_without_permission_is_a_fault(refused: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)
        monkeypatch.chdir(top)
        for name in ("data", "state"):
            os.mkdir(name)
            os.chmod(name, 0o500 if name == refused else 0o777)
        with without_privilege():
            sentence, user = problem(flags()), os.getuid()
        monkeypatch.undo()
    assert f"{top}/{refused}'" in sentence and f"user {user}" in sentence and "change its owner" in sentence


def test_a_state_directory_below_a_file_is_a_fault(place: Path) -> None:
    write("file", "")
    assert problem(flags(state_dir="file/state")) == (
        f"--state-dir '{place}/file/state': '{place}/file' is not a directory; choose another --state-dir"
    )
