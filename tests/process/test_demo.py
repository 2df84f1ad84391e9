"""``syncctl demo`` as a user runs it: what it proves, and that it leaves nothing behind however it ends."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NO_AGENT = """\
import os, sys
if "run" in sys.orig_argv:
    os.write(2, b"no agent today")
    os._exit(3)
"""

COMMAND = [sys.executable, "-m", "syncagent.cli.main", "demo", "--quick"]


def processes(place: Path) -> list[int]:
    """Those with a path below ``place`` on their command line."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if os.fsencode(place) in (directory / "cmdline").read_bytes():
                found.append(int(directory.name))
        except OSError:
            continue
    return found


def until_none_runs(place: Path) -> None:
    deadline = time.monotonic() + 10
    while processes(place):
        assert time.monotonic() < deadline, f"left behind: {processes(place)}"
        time.sleep(0.02)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for pid in processes(tmp_path):
        os.kill(pid, signal.SIGKILL)


@contextmanager
def running(place: Path, *flags: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "TMPDIR": str(place), "SYNCAGENT_NAME": "not ours"}
    pipe = subprocess.PIPE
    with subprocess.Popen([*COMMAND, *flags], stdout=pipe, stderr=pipe, text=True, env=environment) as demo:
        try:
            yield demo
        finally:
            demo.kill()


def read_until(demo: subprocess.Popen[str], text: str) -> None:
    assert demo.stdout is not None
    for line in demo.stdout:
        if text in line:
            return
    raise AssertionError(f"the demo ended before it said {text!r}: {demo.communicate()[1]}")


def check_proof(lines: list[str]) -> None:
    heads = [line.partition(":")[0] for line in lines[-5:]]
    assert heads == ["Equal", "Nothing lost", "Conflicts", "Killed", "Times to converge"]
    assert re.match(r"Equal: 3 trees byte for byte, each \d+ files, \d+ directories, \d+ symlinks, ", lines[-5])
    assert "4 in conflict copies" in lines[-4]
    for step in ("first copy", "edits", "rename", "deletion", "conflict", "kill"):
        assert re.search(rf"{step} \d+\.\d\d s", lines[-1])


def test_it_proves_that_all_is_equal_and_leaves_nothing(place: Path) -> None:
    with running(place) as demo:
        out, err = demo.communicate(timeout=100)
    assert (demo.returncode, err) == (0, "")
    check_proof(out.splitlines())
    assert processes(place) == []
    assert os.listdir(place) == []


def test_kept_agents_go_on_and_can_be_asked_and_ended(place: Path) -> None:
    with running(place, "--keep") as demo:
        out, err = demo.communicate(timeout=100)
    assert (demo.returncode, err) == (0, "")
    check_proof(out.splitlines())
    for agent in re.findall(r"syncctl --agent (\S+) status", out):
        asked = [sys.executable, "-m", "syncagent.cli.main", "--agent", agent, "wait"]
        assert subprocess.run(asked, capture_output=True, timeout=70).returncode == 0
    ended = re.search(r"to end them: kill ([0-9 ]+); rm -r (\S+)", out)
    assert ended is not None
    pids = [int(pid) for pid in ended[1].split()]
    assert sorted(processes(place)) == sorted(pids)
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    until_none_runs(place)
    shutil.rmtree(ended[2])
    assert os.listdir(place) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing(place: Path, number: signal.Signals) -> None:
    with running(place) as demo:
        read_until(demo, "agent c runs")
        demo.send_signal(number)
        _, err = demo.communicate(timeout=30)
    assert (demo.returncode, err.strip()) == (130, "")
    assert processes(place) == []
    assert os.listdir(place) == []


def test_killed_it_takes_its_agents_along(place: Path) -> None:
    with running(place) as demo:
        read_until(demo, "agent c runs")
        assert len(processes(place)) == 3
        demo.kill()
    until_none_runs(place)


def test_an_agent_that_does_not_start_is_named_with_its_log(place: Path) -> None:
    (place / "sitecustomize.py").write_text(NO_AGENT)
    environment = {**os.environ, "TMPDIR": str(place), "PYTHONPATH": str(place)}
    demo = subprocess.run(COMMAND, capture_output=True, text=True, timeout=60, env=environment)
    assert demo.returncode == 1
    assert "agent a did not start" in demo.stderr
    assert "no agent today" in demo.stderr
    assert "Traceback" not in demo.stderr
    assert re.search(r"are kept in \S+/syncagent-demo-", demo.stderr)
