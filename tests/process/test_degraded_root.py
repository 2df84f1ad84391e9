"""A volume that is not where it was: one volume halts and says so everywhere, the rest goes on, and it heals."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from process.cluster import Cluster, Node, tree_of
from process.degraded import arrives, cluster_of, fill, flows, metric, mounted, run, second_volume, shows, vanishes


def halts(cluster: Cluster, node: Node, places: dict[str, Path], *words: str) -> None:
    """The node's volume halts, its other volume goes on, and the other agents too."""
    a, c = cluster["a"], cluster["c"]
    shows(node, "halted", *words, "syncctl adopt data")
    assert metric(node, "syncagent_volume_halted", volume="data") == 1
    assert f"halted: {node.volume}" in node.ctl("status").stdout
    assert node.ctl("status", "--check").returncode == 5
    (places["a"] / "other").write_bytes(b"other")
    arrives(places[node.name] / "other", b"other")
    flows(a, c)
    waited = a.ctl("wait", "--timeout", "5")
    assert waited.returncode == 5 and "b is halted" in waited.stderr


@pytest.fixture
def prepared(tmp_path: Path) -> Iterator[tuple[Cluster, dict[str, Path]]]:
    cluster = cluster_of(tmp_path, "abc")
    yield cluster, second_volume(cluster, tmp_path)


Prepared = tuple[Cluster, dict[str, Path]]


@pytest.mark.root
def test_the_mount_is_gone(prepared: Prepared, tmp_path: Path) -> None:
    cluster, places = prepared
    b = cluster["b"]
    real = tmp_path / "real"
    real.mkdir()
    with mounted(b.volume, "--bind", real), cluster:
        fill(cluster["a"].volume)
        full = set(cluster.converge())
        run("umount", "--lazy", b.volume)
        halts(cluster, b, places, "unmounted")
        assert os.listdir(b.volume) == [] and full <= set(tree_of(cluster["a"].volume))
        run("mount", "--bind", real, b.volume)
        vanishes(b, "halted")
        assert set(cluster.converge()) == full | {b"flows"}


@pytest.mark.root
def test_another_file_system_is_mounted_over_it(prepared: Prepared, tmp_path: Path) -> None:
    cluster, places = prepared
    a, b = cluster["a"], cluster["b"]
    with cluster:
        fill(a.volume)
        full = set(cluster.converge())
        run("mount", "-t", "tmpfs", "none", b.volume)
        try:
            (b.volume / "strange").write_bytes(b"not of this volume")
            halts(cluster, b, places, "another directory")
            assert os.listdir(b.volume) == ["strange"] and full <= set(tree_of(a.volume))
        finally:
            subprocess.run(["umount", "--lazy", str(b.volume)], check=True)
        vanishes(b, "halted")
        tree = cluster.converge()
        assert set(tree) == full | {b"flows"} and not (a.volume / "strange").exists()


def test_the_root_is_replaced(prepared: Prepared, tmp_path: Path) -> None:
    cluster, places = prepared
    a, b = cluster["a"], cluster["b"]
    with cluster:
        fill(a.volume)
        full = set(cluster.converge())
        b.volume.rename(tmp_path / "away")
        b.volume.mkdir()
        (b.volume / "strange").write_bytes(b"not of this volume")
        halts(cluster, b, places, "another directory")
        assert os.listdir(b.volume) == ["strange"] and full <= set(tree_of(a.volume))
        b.volume.rename(tmp_path / "strange")
        (tmp_path / "away").rename(b.volume)
        vanishes(b, "halted")
        assert set(cluster.converge()) == full | {b"flows"}


def test_the_root_is_gone(prepared: Prepared, tmp_path: Path) -> None:
    cluster, places = prepared
    a, b = cluster["a"], cluster["b"]
    with cluster:
        fill(a.volume)
        full = set(cluster.converge())
        b.volume.rename(tmp_path / "away")
        halts(cluster, b, places, "is gone")
        (tmp_path / "away").rename(b.volume)
        vanishes(b, "halted")
        assert set(cluster.converge()) == full | {b"flows"}
