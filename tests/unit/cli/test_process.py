"""What only shows in a process of its own: signals, pipes, terminals, tracebacks."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from syncagent.http import HttpServer
from twins.control import MemoryControl, MemoryMember
from unit.cli.test_client import answering

COMMAND = [sys.executable, "-m", "syncagent.cli.main"]


@contextmanager
def spawned(api: HttpServer, *arguments: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has ended, and its pipes too, whatever the test comes to."""
    assert api.address is not None
    with subprocess.Popen([*COMMAND, "--agent", api.address, *arguments], **options) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def on_terminal(api: HttpServer, *arguments: str, until: bytes) -> Iterator[tuple[subprocess.Popen[bytes], bytes, int]]:
    """Run on a terminal of 80 columns until it has written ``until``."""
    leader, follower = pty.openpty()
    try:
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
        with spawned(api, *arguments, stdin=follower, stdout=follower, stderr=follower, env=environment) as process:
            os.close(follower)  # reading ends when the process does
            yield process, read_until(leader, until), leader
    finally:
        os.close(leader)


def read_until(leader: int, until: bytes) -> bytes:
    seen, deadline = b"", time.monotonic() + 20
    while until not in seen and time.monotonic() < deadline:
        if select.select([leader], [], [], 0.1)[0]:
            try:
                part = os.read(leader, 65536)
            except OSError:
                break
            if not part:
                break
            seen += part
    assert until in seen, seen
    return seen


def test_a_reader_that_goes_away_is_no_traceback(api: HttpServer) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe, spawned(api, "status", stdout=pipe, stderr=subprocess.PIPE) as process:
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (1, b"")


def test_closed_standard_output_is_no_traceback(api: HttpServer) -> None:
    process = subprocess.run(
        ["/bin/sh", "-c", '"$@" >&-', "sh", *COMMAND, "--agent", str(api.address), "status"],
        capture_output=True,
        timeout=20,
    )
    assert b"Traceback" not in process.stderr


def test_a_full_disk_is_told(api: HttpServer) -> None:
    with open("/dev/full", "wb") as full, spawned(api, "status", stdout=full, stderr=subprocess.PIPE) as process:
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert err.startswith(b"syncctl: ")
    assert b"No space left" in err
    assert err.count(b"\n") == 1


def test_an_interrupted_wait(api: HttpServer, control: MemoryControl) -> None:
    control.change("data")
    with spawned(api, "wait", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 20
        while control.checks < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err.strip()) == (130, b"", b"")


def test_the_table_on_a_terminal_fits_80_columns(api: HttpServer, control: MemoryControl) -> None:
    control.volumes["data"].members["a-name-" * 9] = MemoryMember(0, connected=False)
    with on_terminal(api, "status", until=b"\xe2\x80\xa6") as (process, seen, _):
        assert process.wait(timeout=20) == 0
    plain = re.sub(rb"\x1b\[[0-9;]*m", b"", seen).decode()
    assert plain.encode() != seen
    assert max(len(line.rstrip()) for line in plain.splitlines()) <= 80


def test_watch_shows_changes_until_ctrl_c(api: HttpServer, control: MemoryControl) -> None:
    with on_terminal(api, "status", "--watch", until=b"in sync") as (process, _, leader):
        control.change("data")
        read_until(leader, b"behind")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130


def test_wait_tells_a_person_what_is_missing(api: HttpServer, control: MemoryControl) -> None:
    control.change("data")
    with on_terminal(api, "wait", until=b"b lacks 1 entry, 1.0 kB") as (process, _, leader):
        control.apply_all("data", "b")
        control.apply_all("data", "c")
        read_until(leader, b"in sync: all 3 members")
        assert process.wait(timeout=20) == 0


@pytest.mark.parametrize(("variable", "traceback"), [("", False), ("1", True)])
def test_a_traceback_only_on_request(variable: str, traceback: bool) -> None:
    with answering(b"HTTP/1.1 200 OK\r\n\r\n{}") as odd:  # an answer that no agent gives
        process = subprocess.run(
            [*COMMAND, "--agent", str(odd.address), "ready"],
            capture_output=True,
            timeout=20,
            env={**os.environ, "SYNCCTL_DEBUG": variable},
        )
    assert process.returncode == 1
    assert (b"Traceback" in process.stderr) is traceback
    assert process.stderr.startswith(b"Traceback" if traceback else b"syncctl: unexpected KeyError")


def test_what_it_does_not_need_it_does_not_import(api: HttpServer) -> None:
    code = (
        "import sys; from syncagent.cli.main import main; code = main(sys.argv[1:]);"
        "heavy = {'rich', 'msgspec', 'zmq', 'asyncio', 'http.client', 'ssl', 'logging'} & set(sys.modules);"
        "sys.exit(f'imports {heavy}' if heavy else code)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, "--agent", str(api.address), "status"], capture_output=True, timeout=20
    )
    assert (process.returncode, process.stderr) == (0, b"")
