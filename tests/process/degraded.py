"""What the tests of degraded states share: a problem shows, with cause, remedy and metric, and goes again."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from process.cluster import Cluster, Node, eventually

WRONG_CLOCK = """
import runpy, sys, time
real, offset = time.time_ns, int(sys.argv[1])
time.time_ns = lambda: real() + offset
sys.argv = ["syncagent", *sys.argv[5:]]  # behind the interpreter, -m and syncagent
runpy.run_module("syncagent", run_name="__main__", alter_sys=True)
"""
"""Starts an agent whose clock is off by so many nanoseconds."""
SCAN_SECONDS = 2.0
SHOWN_SECONDS = 20.0
"""A bound for slow machines: one scan period, and room."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("agent", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(str(self._path))


def fetch(node: Node, path: str) -> bytes:
    """The body of a GET on the agent's socket."""
    connection = _Connection(node.socket)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def status(node: Node, volume: str = "data") -> dict[str, Any]:
    """The status of one volume."""
    volumes = json.loads(fetch(node, "/v1/status"))["volumes"]
    return next(each for each in volumes if each["name"] == volume)


def replica(node: Node, name: str) -> dict[str, Any]:
    """What an agent says of another's replica."""
    return next(each for each in status(node)["replicas"] if each["name"] == name)


def problems(node: Node, code: str) -> list[dict[str, Any]]:
    """The open problems of a code."""
    found = json.loads(fetch(node, "/v1/problems"))["problems"]
    return [each for each in found if each["code"] == code]


def metric(node: Node, name: str, **labels: str) -> float | None:
    """The value of a sample, None without one."""
    wanted = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    start = f"{name}{{{wanted}}} " if wanted else f"{name} "
    for line in fetch(node, "/metrics").decode().splitlines():
        if line.startswith(start):
            return float(line.removeprefix(start))
    return None


def shows(node: Node, code: str, *words: str, volume: str = "data") -> list[dict[str, Any]]:
    """The problem appears: with its cause and remedy in ``syncctl problems``, in the status and in the metrics."""
    found: list[dict[str, Any]] = []

    def is_shown() -> bool:
        found[:] = problems(node, code)
        return bool(found)

    eventually(is_shown, SHOWN_SECONDS)
    assert found[0]["remedy"] and found[0]["since"], found
    said = node.ctl("problems").stdout
    flat = " ".join(said.split())
    assert all(word in flat for word in words), said
    eventually(lambda: code in status(node, volume)["problem_codes"])
    eventually(lambda: metric(node, "syncagent_problems", volume=volume, code=code))
    return found


def vanishes(node: Node, *codes: str) -> None:
    """The problems go by themselves, from the metrics too."""
    eventually(lambda: not any(problems(node, code) for code in codes), SHOWN_SECONDS)
    assert all(metric(node, "syncagent_problems", volume="data", code=code) is None for code in codes)


def arrives(path: Path, content: bytes) -> None:
    """A file has this content before long."""
    eventually(lambda: path.is_file() and path.read_bytes() == content, SHOWN_SECONDS)


def flows(writer: Node, *readers: Node, name: str = "flows") -> None:
    """What is written at one comes to the others."""
    content = f"written at {writer.name} as {name}".encode()
    (writer.volume / name).write_bytes(content)
    for reader in readers:
        arrives(reader.volume / name, content)


def fill(root: Path, count: int = 12) -> None:
    """A few files in a few directories."""
    for number in range(count):
        (root / f"d{number % 3}").mkdir(exist_ok=True)
        (root / f"d{number % 3}" / f"f{number}").write_bytes(b"%d" % number)


def cluster_of(root: Path, names: Sequence[str], links: Sequence[tuple[str, str]] | None = None) -> Cluster:
    """Agents that look at everything every 2 s."""
    cluster = Cluster(root, names, links)
    for node in cluster.nodes.values():
        node.options = f",scan_interval={SCAN_SECONDS:.0f}s"
    return cluster


def second_volume(cluster: Cluster, root: Path) -> dict[str, Path]:
    """Give each agent one more volume, called more."""
    places = {name: root / f"more-{name}" for name in cluster.nodes}
    for name, place in places.items():
        place.mkdir()
        cluster[name].extra += ["--volume", f"more={place},scan_interval={SCAN_SECONDS:.0f}s"]
    return places


def run(*command: str | Path) -> str:
    """Run a tool that must be there and must succeed."""
    name = os.fspath(command[0])
    assert shutil.which(name), f"{name} is missing: .ci/run says which package it is in"
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def mounted(place: Path, *words: str | Path) -> Iterator[None]:
    """Something is mounted on a directory until the end of a ``with`` block."""
    place.mkdir(exist_ok=True)
    run("mount", *words, place)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=False)


@contextmanager
def ext4(image: Path, place: Path, size: str = "24M") -> Iterator[None]:
    """A small ext4 of our own."""
    run("truncate", "-s", size, image)
    run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
    with mounted(place, "-o", "loop", image):
        (place / "lost+found").rmdir()
        yield


def fill_up(place: Path) -> Path:
    """Leave no free block on the file system of a directory; gives the file that takes them."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for block in (1 << 20, 1 << 12, 1 << 9):
            try:
                while file.write(bytes(block)):
                    pass
            except OSError as error:
                assert "space" in str(error)
    return ballast


def live_elsewhen(cluster: Cluster, name: str, seconds: int) -> None:
    """The clock of one agent's process is off."""
    cluster[name].prefix = [sys.executable, "-c", WRONG_CLOCK, str(seconds * 10**9)]
