"""A root that is not what it was: nobody loses a file, the agent says so, and goes on by itself when it can."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from process.cluster import Cluster, Node, eventually, tree_of


def fill(root: Path) -> None:
    for number in range(12):
        (root / f"d{number % 3}").mkdir(exist_ok=True)
        (root / f"d{number % 3}" / f"f{number}").write_bytes(b"%d" % number)


def state(node: Node) -> object:
    return node.status()["state"]


def restart(node: Node) -> None:
    node.kill()
    node.start()


def halts(node: Node, word: str) -> None:
    """The agent halts, says why and what ends it, and does so after a restart too."""
    eventually(lambda: state(node) == "halted")
    restart(node)
    assert state(node) == "halted"
    said = node.ctl("problems")
    assert said.returncode == 5 and word in said.stdout and "syncctl adopt data" in said.stdout
    assert node.ctl("wait", "--timeout", "0").returncode == 5


def test_moved_away_and_back(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        fill(a.volume)
        full = cluster.converge()
        a.volume.rename(tmp_path / "away")
        halts(a, "is gone")
        (b.volume / "meanwhile").write_bytes(b"written at b")
        assert len(tree_of(b.volume)) == len(full) + 1
        (tmp_path / "away").rename(a.volume)
        eventually(lambda: state(a) == "running")
        (a.volume / "after").write_bytes(b"written at a")
        assert set(cluster.converge()) == {*full, b"meanwhile", b"after"}


def test_replaced_by_an_empty_one_nothing_is_put_into_it(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        fill(a.volume)
        full = cluster.converge()
        a.volume.rename(tmp_path / "away")
        a.volume.mkdir()
        halts(a, "without this volume's marker")
        (b.volume / "meanwhile").write_bytes(b"x")
        assert b.ctl("wait", "--timeout", "0.5").returncode in (3, 5)
        assert os.listdir(a.volume) == [] and len(tree_of(b.volume)) == len(full) + 1
        a.volume.rmdir()
        (tmp_path / "away").rename(a.volume)
        eventually(lambda: state(a) == "running")
        assert set(cluster.converge()) == {*full, b"meanwhile"}


def test_adopt_is_a_union(tmp_path: Path) -> None:
    with Cluster(tmp_path, "abc") as cluster:
        a = cluster["a"]
        fill(a.volume)
        full = cluster.converge()
        shutil.move(a.volume, tmp_path / "away")
        a.volume.mkdir()
        (a.volume / "mine").write_bytes(b"mine")
        (a.volume / "d1").mkdir()
        (a.volume / "d1" / "f1").write_bytes(b"other than theirs")
        shutil.copy2(tmp_path / "away" / "d2" / "f2", a.volume / "f2-again")
        halts(a, "without this volume's marker")
        assert a.ctl("adopt", "data").returncode == 0
        tree = cluster.converge()
        copies = [path for path in tree if b"~" in path]
        assert len(copies) == 1 and {*full, b"mine", b"f2-again"} == set(tree) - set(copies)
        assert {(a.volume / "d1" / "f1").read_bytes(), (a.volume / os.fsdecode(copies[0])).read_bytes()} == {
            b"1",
            b"other than theirs",
        }


def test_emptied_is_held_also_after_a_restart(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        fill(a.volume)
        full = cluster.converge()
        for path in list(a.volume.iterdir()):
            shutil.rmtree(path)
        eventually(lambda: a.status()["held"] == len(full))
        restart(a)
        eventually(lambda: state(a) == "running")
        time.sleep(0.3)
        assert a.status()["held"] == len(full) and tree_of(b.volume) == full
        assert a.ctl("wait", "--timeout", "0").returncode == 5
        assert "deleted here" in a.ctl("hold").stdout
        assert a.ctl("revert").returncode == 0
        assert cluster.converge() == full


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A directory of its own on the volume's path, until it is unmounted."""
    real = tmp_path / "real"
    real.mkdir()
    yield real
    while subprocess.run(["umount", "--lazy", str(tmp_path / "a")], capture_output=True, check=False).returncode == 0:
        pass


def mount(real: Path, place: Path) -> None:
    subprocess.run(["mount", "--bind", str(real), str(place)], check=True)


def unmount(place: Path) -> None:
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.root
def test_unmounted_and_mounted_again(tmp_path: Path, mounted: Path) -> None:
    cluster = Cluster(tmp_path, "ab")
    a, b = cluster["a"], cluster["b"]
    mount(mounted, a.volume)
    with cluster:
        fill(a.volume)
        full = cluster.converge()
        unmount(a.volume)
        halts(a, "not mounted")
        (b.volume / "meanwhile").write_bytes(b"x")
        (b.volume / "d1" / "f1").unlink()
        assert os.listdir(a.volume) == []
        mount(mounted, a.volume)
        eventually(lambda: state(a) == "running")
        (a.volume / "after").write_bytes(b"y")
        waited = b.ctl("wait", "--timeout", "5")
        assert waited.returncode == 0, waited.stderr
        assert set(cluster.converge()) == {*full, b"meanwhile", b"after"} - {b"d1/f1"}


@pytest.mark.root
def test_an_empty_mount_is_refilled_only_where_that_is_wished(tmp_path: Path, mounted: Path) -> None:
    cluster = Cluster(tmp_path, "ab")
    a = cluster["a"]
    mount(mounted, a.volume)
    with cluster:
        fill(a.volume)
        full = cluster.converge()
        a.kill()
        unmount(a.volume)
        (tmp_path / "fresh").mkdir()
        mount(tmp_path / "fresh", a.volume)
        a.start()
        assert state(a) == "halted" and os.listdir(a.volume) == []
        a.kill()
        plain = f"data={a.volume}"
        command = [f"{plain},on_empty=refill" if word == plain else word for word in a.command()]
        with a.log.open("ab") as log:
            a.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        eventually(lambda: a.ctl("status").returncode == 0)
        assert cluster.converge() == full
