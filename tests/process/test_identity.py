"""Who is who: agents that join with files of their own, lose their index, are copied, forgotten, or share a name."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from process.cluster import Cluster, eventually, tree_of


def test_a_joiner_with_files_of_its_own_is_united(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, "ab")
    a, b = cluster["a"], cluster["b"]
    for volume in (a.volume, b.volume):
        for number in range(30):
            (volume / f"same{number}").write_bytes(b"%d" % number)
            os.utime(volume / f"same{number}", ns=(0, 1_500_000_000_000_000_000))
    for number in range(5):
        (a.volume / f"differs{number}").write_bytes(b"a%d" % number)
        (b.volume / f"differs{number}").write_bytes(b"b%d" % number)
    (b.volume / "only-b").write_bytes(b"b")
    with cluster:
        tree = cluster.converge()
        copies = [path for path in tree if b"~" in path]
        assert len(copies) == 5 and len(tree) == 30 + 5 + 5 + 1
        assert a.status()["conflicts"] == 5
        listed = a.ctl("conflicts")
        assert listed.returncode == 0 and all(os.fsdecode(path) in listed.stdout for path in copies)


def test_a_lost_index_loses_no_file_and_makes_no_copy(tmp_path: Path) -> None:
    with Cluster(tmp_path, "abc") as cluster:
        a, b = cluster["a"], cluster["b"]
        for number in range(40):
            (a.volume / f"f{number}").write_bytes(b"%d" % number)
        full = cluster.converge()
        b.kill()
        shutil.rmtree(b.state)
        (a.volume / "f1").unlink()
        (a.volume / "f2").write_bytes(b"edited while b had no index")
        (b.volume / "f3").write_bytes(b"edited at b")
        b.start()
        tree = cluster.converge()
        assert set(full) <= set(tree)  # who lost his index cannot know that f1 was deleted: what lives survives
        assert (b.volume / "f2").read_bytes() == b"edited while b had no index"
        kept = [(a.volume / os.fsdecode(path)).read_bytes() for path in tree if path.startswith(b"f3")]
        assert b"edited at b" in kept
        replicas = a.status()["replicas"]
        assert isinstance(replicas, list) and len(replicas) == 3


def test_a_copied_state_directory_is_told_from_the_original(tmp_path: Path) -> None:
    with Cluster(tmp_path, "abc", [("a", "b"), ("a", "c"), ("b", "c")]) as cluster:
        b, c = cluster["b"], cluster["c"]
        (cluster["a"].volume / "x").write_bytes(b"x")
        full = cluster.converge()
        for node in (b, c):
            assert node.stop() == 0
        shutil.rmtree(c.state)
        shutil.rmtree(c.volume)
        shutil.copytree(b.state, c.state)
        shutil.copytree(b.volume, c.volume)
        b.start()
        c.start()
        (b.volume / "from-b").write_bytes(b"b")
        (c.volume / "from-c").write_bytes(b"c")
        assert set(cluster.converge()) == {*full, b"from-b", b"from-c"}


def test_an_index_that_was_rolled_back_begins_anew(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a = cluster["a"]
        (a.volume / "x").write_bytes(b"x")
        cluster.converge()
        a.stop()
        shutil.copytree(a.state, tmp_path / "backup")
        a.start()
        (a.volume / "y").write_bytes(b"y")
        (a.volume / "x").write_bytes(b"x2")
        cluster.converge()
        a.kill()
        shutil.rmtree(a.state)
        (tmp_path / "backup").rename(a.state)
        (a.volume / "z").write_bytes(b"z")
        a.start()
        tree = cluster.converge()
        assert set(tree) == {b"x", b"y", b"z"}
        assert (a.volume / "x").read_bytes() == b"x2"


def test_a_forgotten_member_comes_back(tmp_path: Path) -> None:
    with Cluster(tmp_path, "abc") as cluster:
        a, c = cluster["a"], cluster["c"]
        for number in range(10):
            (a.volume / f"f{number}").write_bytes(b"%d" % number)
        cluster.converge()
        c.stop()
        eventually(lambda: a.ctl("forget", "c").returncode == 0)
        (a.volume / "f1").unlink()
        (a.volume / "f2").write_bytes(b"new")
        (c.volume / "f3").write_bytes(b"written while away")
        assert a.ctl("wait").returncode == 0
        c.start()
        eventually(lambda: len(replicas_of(cluster)) == 3)
        tree = cluster.converge()
        assert b"f1" not in tree and (c.volume / "f2").read_bytes() == b"new"
        assert (a.volume / "f3").read_bytes() == b"written while away"


def replicas_of(cluster: Cluster) -> list[object]:
    replicas = cluster["a"].status()["replicas"]
    assert isinstance(replicas, list)
    return replicas


def test_two_agents_of_one_name_are_told_apart(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, "abc")
    cluster["c"].name = "b"
    with cluster:
        (cluster["c"].volume / "x").write_bytes(b"x")
        cluster.converge()
        names = {replica["name"] for replica in replicas_of(cluster) if isinstance(replica, dict)}
        assert len(names) == 3 and "a" in names
        assert "two members are called b" in cluster["a"].ctl("problems").stdout


@pytest.mark.root
def test_without_rights_nothing_is_lost(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, "abc")
    b = cluster["b"]
    b.prefix = ["setpriv", "--bounding-set=-chown,-fowner,-dac_override,-dac_read_search,-lease"]
    with cluster:
        for number in range(5):
            (cluster["a"].volume / f"f{number}").write_bytes(b"%d" % number)
            os.chown(cluster["a"].volume / f"f{number}", 1000, 1000)
        eventually(lambda: len(tree_of(b.volume)) == 5)
        assert "kept for the others" in b.ctl("problems").stdout
        eventually(lambda: (cluster["c"].volume / "f4").exists())
        assert (cluster["c"].volume / "f4").stat().st_uid == 1000
        os.chown(b.volume / "f1", 1000, 1000)
        (b.volume / "f1").chmod(0)
        (b.volume / "flows").write_bytes(b"on")
        eventually(lambda: (cluster["a"].volume / "flows").exists())
        eventually(lambda: "f1: cannot be read" in b.ctl("problems").stdout)
        b.kill()
        b.start()
        eventually(lambda: "f1: cannot be read" in b.ctl("problems").stdout)
        assert (cluster["a"].volume / "f1").read_bytes() == b"1"
        assert (cluster["a"].volume / "f2").stat().st_uid == 1000
