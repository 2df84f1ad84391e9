"""A machine that refuses: input/output errors and no more open files. It shows, nothing is deleted, and it heals."""

from __future__ import annotations

import itertools
import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from blake3 import blake3

from process.cluster import Node, eventually, tree_of
from process.degraded import (
    arrives,
    cluster_of,
    fill,
    flows,
    metric,
    problems,
    run,
    second_volume,
    shows,
    status,
    vanishes,
)


@contextmanager
def failing(node: Node, calls: str, path: Path | None, log: Path) -> Iterator[None]:
    """The system calls of a running agent, on one path or on all, fail with an input/output error."""
    run("strace", "--version")
    assert node.process is not None
    inject = [f"--trace={calls}", f"--inject={calls}:error=EIO"]
    inject += [f"--trace-path={path}"] if path else []
    command = ["strace", "--follow-forks", "--output", str(log), *inject, f"--attach={node.process.pid}"]
    tracer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert tracer.stderr is not None
        attached = ""
        while "attached" not in attached:
            attached = tracer.stderr.readline()
            assert attached, "strace could not attach"
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate(timeout=20)


@pytest.mark.strace
def test_a_directory_cannot_be_listed_for_an_input_error(tmp_path: Path) -> None:
    with cluster_of(tmp_path, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        fill(a.volume)
        full = cluster.converge()
        with failing(b, "getdents64", b.volume / "d1", tmp_path / "trace"):
            found = shows(b, "unreadable", "cannot be listed", "Input/output error", "check the disk")
            assert [each["path"] for each in found] == ["d1"]
            flows(a, b)
            flows(b, a, name="d2/back")
            flows(a, b, name="d1/into the failing one")
            assert set(full) <= set(tree_of(a.volume))
        vanishes(b, "unreadable")
        assert set(cluster.converge()) == {*full, b"flows", b"d2/back", b"d1/into the failing one"}


@pytest.mark.strace
def test_the_root_cannot_be_listed_for_an_input_error(tmp_path: Path) -> None:
    cluster = cluster_of(tmp_path, "ab")
    places = second_volume(cluster, tmp_path)
    with cluster:
        a, b = cluster["a"], cluster["b"]
        fill(a.volume)
        full = cluster.converge()
        with failing(b, "getdents64", b.volume, tmp_path / "trace"):
            shows(b, "halted", "cannot be read", "Input/output error")
            (a.volume / "meanwhile").write_bytes(b"x")
            (places["a"] / "other").write_bytes(b"other")
            arrives(places["b"] / "other", b"other")
            assert set(full) <= set(tree_of(a.volume))
        vanishes(b, "halted")
        assert set(cluster.converge()) == {*full, b"meanwhile"}


@pytest.mark.strace
def test_a_file_cannot_be_read_for_an_input_error(tmp_path: Path) -> None:
    with cluster_of(tmp_path, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        fill(a.volume)
        full = cluster.converge()
        broken = b.volume / "d1" / "f1"
        with failing(b, "pread64,preadv,read", broken, tmp_path / "trace"):
            broken.write_bytes(b"what b can no longer read")
            found = shows(b, "unreadable", "cannot be read", "Input/output error", "check the disk")
            assert found[0]["path"] == "d1/f1"
            flows(a, b)
            flows(b, a, name="d1/back")
            assert (a.volume / "d1" / "f1").read_bytes() == b"1"
        vanishes(b, "unreadable")
        assert set(cluster.converge()) == {*full, b"flows", b"d1/back"}
        assert (a.volume / "d1" / "f1").read_bytes() == b"what b can no longer read"


@pytest.mark.strace
def test_what_a_peer_lacks_cannot_be_read_for_an_input_error(tmp_path: Path) -> None:
    with cluster_of(tmp_path, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        fill(a.volume)
        full = cluster.converge()
        assert a.stop() == 0
        content = os.urandom(300_000)
        (b.volume / "big").write_bytes(content)
        eventually(lambda: status(b)["entries"] == len(full) + 1)
        with failing(b, "pread64,preadv,read", b.volume / "big", tmp_path / "trace"):
            a.start()
            found = shows(b, "unserved", "cannot be read for a peer", "Input/output error", "check the disk")
            assert found[0]["path"] == "big"
            flows(b, a)
            assert not (a.volume / "big").exists()
        arrives(a.volume / "big", content)
        vanishes(b, "unserved")
        assert set(cluster.converge()) == {*full, b"flows", b"big"}


@pytest.mark.strace
def test_a_content_cannot_be_flushed_for_an_input_error(tmp_path: Path) -> None:
    with cluster_of(tmp_path, "abc") as cluster:
        a, b, c = (cluster[name] for name in "abc")
        fill(a.volume)
        full = cluster.converge()
        content = b"what cannot be flushed at b"
        staged = b.volume / ".syncagent" / "staging" / blake3(content).hexdigest()
        with failing(b, "fsync,fdatasync,syncfs", staged, tmp_path / "trace"):
            (a.volume / "d1" / "f1").write_bytes(content)
            shows(b, "staging", "Input/output error", "check the disk")
            assert (b.volume / "d1" / "f1").read_bytes() == b"1", "what may not be durable is not shown"
            flows(a, c)
        arrives(b.volume / "d1" / "f1", content)
        vanishes(b, "staging")
        assert set(cluster.converge()) == {*full, b"flows"}


@pytest.mark.strace
def test_nothing_can_be_flushed_for_an_input_error(tmp_path: Path) -> None:
    with cluster_of(tmp_path, "abc") as cluster:
        a, b, c = (cluster[name] for name in "abc")
        fill(a.volume)
        full = cluster.converge()
        with failing(b, "fsync,fdatasync,syncfs", None, tmp_path / "trace"):
            (b.volume / "d2" / "own").write_bytes(b"written at b")
            shows(b, "index", "disk I/O error", "look for disk errors", "goes on by itself")
            flows(a, c)
            assert not (a.volume / "d2" / "own").exists(), "what is not durable is not told"
        vanishes(b, "index")
        tree = set(cluster.converge())
        assert tree == {*full, b"flows", b"d2/own"}


def open_files(node: Node) -> int:
    assert node.process is not None
    return len(os.listdir(f"/proc/{node.process.pid}/fd"))


def lowest_free(node: Node) -> int:
    """The lowest number that no open file has: a limit of this leaves none to be opened."""
    assert node.process is not None
    seen = []
    for _ in range(50):
        used = {int(name) for name in os.listdir(f"/proc/{node.process.pid}/fd")}
        seen.append(next(number for number in itertools.count() if number not in used))
        time.sleep(0.01)
    return min(seen)


def limit_open_files(node: Node, count: int) -> None:
    assert node.process is not None
    _, hard = resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, (count, hard))


@pytest.mark.root
def test_no_more_files_can_be_opened(tmp_path: Path) -> None:
    with cluster_of(tmp_path, "abc") as cluster:
        a, b, c = (cluster[name] for name in "abc")
        fill(a.volume)
        full = cluster.converge()
        eventually(lambda: not (b.volume / ".syncagent").exists())
        assert metric(b, "syncagent_volume_halted", volume="data") == 0  # the first answer loads what makes it
        limit_open_files(b, lowest_free(b))  # what is open stays open
        (b.volume / "d1" / "f1").unlink()
        (b.volume / "d2" / "own").write_bytes(b"written at b")
        (a.volume / "new").write_bytes(b"new")
        shows(b, "root", "Too many open files", "raise the agent's limit of open files")
        flows(a, c)
        assert set(full) <= set(tree_of(a.volume)), "nothing that cannot be looked at is deleted"
        limit_open_files(b, 1024)
        vanishes(b, "root", "unreadable", "staging", "apply")
        assert metric(b, "syncagent_volume_halted", volume="data") == 0
        tree = set(cluster.converge())
        assert tree == set(full) - {b"d1/f1"} | {b"d2/own", b"new", b"flows"}


@pytest.mark.root
def test_few_open_files_are_enough(tmp_path: Path) -> None:
    with cluster_of(tmp_path, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        cluster.converge()
        limit_open_files(b, open_files(b) + 16)
        for number in range(300):
            (a.volume / f"f{number}").write_bytes(b"x" * 40_000 + b"%d" % number)
            (a.volume / f"same{number}").write_bytes(b"the same")
        assert len(cluster.converge()) == 600
        assert not problems(b, "staging")
