"""An index that cannot be written or is damaged: one volume halts and says so, the rest goes on, and it heals."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from process.cluster import eventually, tree_of
from process.degraded import (
    arrives,
    cluster_of,
    fill,
    fill_up,
    flows,
    metric,
    mounted,
    second_volume,
    shows,
    status,
    vanishes,
)

pytestmark = pytest.mark.root


def test_the_disk_of_the_index_is_full(tmp_path: Path) -> None:
    cluster = cluster_of(tmp_path, "abc")
    a, b, c = (cluster[name] for name in "abc")
    with mounted(b.state, "-t", "tmpfs", "-o", "size=3m", "none"), cluster:
        fill(a.volume)
        full = cluster.converge()
        ballast = fill_up(b.state)
        for number in range(400):  # more than what is left of the last page
            (a.volume / f"new{number}").write_bytes(b"new %d" % number)
        (a.volume / "d1" / "f1").unlink()
        shows(b, "index", "disk is full", "free space", "goes on by itself")
        assert status(b)["state"] == "halted" and metric(b, "syncagent_volume_halted", volume="data") == 1
        assert b.ctl("status", "--check").returncode == 5 and b.ctl("wait", "--timeout", "0").returncode == 5
        flows(a, c)
        (b.volume / "meanwhile").write_bytes(b"written while the index was full")
        (b.volume / "d2" / "f2").unlink()
        ballast.unlink()
        vanishes(b, "index")
        tree = cluster.converge()
        assert set(full) - set(tree) == {b"d1/f1", b"d2/f2"} and len(tree) == len(full) - 2 + 402
        assert not [path for path in tree if b"~" in path]


def damage(path: Path) -> None:
    """Flip bits all over a database, but for its first page."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        for offset in range(4096 + 100, size, 512):
            file.seek(offset)
            old = file.read(64)
            file.seek(offset)
            file.write(bytes(byte ^ 0x55 for byte in old))


def test_the_index_was_damaged_while_the_agent_was_stopped(tmp_path: Path) -> None:
    with cluster_of(tmp_path, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        fill(a.volume, 300)
        full = cluster.converge()
        assert b.stop() == 0
        (a.volume / "meanwhile").write_bytes(b"x")
        damage(b.state / "data.index")
        b.start()
        shows(b, "index-replaced", "data.index.damaged-1", "remove it")
        assert set(cluster.converge()) == {*full, b"meanwhile"}
        (b.state / "data.index.damaged-1").unlink()
        vanishes(b, "index-replaced")


def test_the_index_is_damaged_while_the_agent_runs(tmp_path: Path) -> None:
    cluster = cluster_of(tmp_path, "ab")
    places = second_volume(cluster, tmp_path)
    with cluster:
        a, b = cluster["a"], cluster["b"]
        fill(a.volume, 300)
        full = cluster.converge()
        pid = b.process.pid if b.process else 0
        damage(b.state / "data.index")
        damage(b.state / "data.index-wal")  # where the latest pages still are
        (a.volume / "meanwhile").write_bytes(b"x")
        for number in range(100):
            (b.volume / "d1" / f"own{number}").write_bytes(b"own %d" % number)
        (places["a"] / "other").write_bytes(b"the other volume goes on")
        arrives(places["b"] / "other", b"the other volume goes on")
        shows(b, "index-replaced", "data.index.damaged-1", "remove it")
        eventually(lambda: status(b)["state"] == "running")
        tree = cluster.converge()
        assert len(tree) == len(full) + 101 and not [path for path in tree if b"~" in path]
        assert b.process is not None and b.process.pid == pid
        for name in os.listdir(b.state):
            if "damaged" in name:
                (b.state / name).unlink()
        vanishes(b, "index-replaced", "index")
        assert tree_of(a.volume) == tree
