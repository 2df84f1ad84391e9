"""Hard scenarios: whole volumes and whole replicas: mass deletes, swapped roots, joiners, clocks, silent rot."""

from __future__ import annotations

import mmap
import os
import tempfile
from pathlib import Path

from process.cluster import Cluster, contents, eventually, tree_of
from process.degraded import live_elsewhen
from process.scenarios import Apart, below, is_at_rest, later, notices, texts, volume_status

YEAR_SECONDS = 365 * 86_400


def test_e17_nine_tenths_deleted_are_held_and_the_rest_flows(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, "ab")
    for node in cluster.nodes.values():
        node.options = ",brake=5:25%"
    with cluster:
        a, b = cluster["a"], cluster["b"]
        for number in range(40):
            (a.volume / f"f{number}").write_bytes(b"%d" % number)
        full = cluster.converge()
        for number in range(36):
            (a.volume / f"f{number}").unlink()
        eventually(lambda: volume_status(a)["held"] == 36, 60)
        assert "deleted here" in a.ctl("hold").stdout and a.ctl("status", "--check").returncode == 5
        (a.volume / "f38").write_bytes(b"edited at a")
        (a.volume / "new").write_bytes(b"new at a")
        (b.volume / "f39").write_bytes(b"edited at b")
        eventually(lambda: (b.volume / "new").exists() and (b.volume / "f38").read_bytes() == b"edited at a", 60)
        eventually(lambda: (a.volume / "f39").read_bytes() == b"edited at b", 60)
        assert set(tree_of(b.volume)) == {*full, b"new"}
        assert a.ctl("release").returncode == 0
        cluster.converge()
        rest = {"f36": b"36", "f37": b"37", "f38": b"edited at a", "f39": b"edited at b", "new": b"new at a"}
        assert texts(a.volume) == texts(b.volume) == rest
        is_at_rest(cluster)


def test_e19_the_root_of_another_volume(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, "ab")
    for node in cluster.nodes.values():
        (tmp_path / f"other-{node.name}").mkdir()
        node.extra = ["--volume", f"other={tmp_path / f'other-{node.name}'}"]
    with cluster:
        a = cluster["a"]
        other_a, other_b = tmp_path / "other-a", tmp_path / "other-b"
        for number in range(5):
            (a.volume / f"data{number}").write_bytes(b"data %d" % number)
            (other_a / f"other{number}").write_bytes(b"other %d" % number)
        data = cluster.converge()
        eventually(lambda: tree_of(other_a) == tree_of(other_b), 60)
        other = tree_of(other_b)
        for old, new in ((a.volume, tmp_path / "t"), (other_a, a.volume), (tmp_path / "t", other_a)):
            old.rename(new)
        a.kill()
        a.start()
        assert volume_status(a)["state"] == "halted"
        assert "syncctl adopt data" in a.ctl("problems").stdout
        (cluster["b"].volume / "meanwhile").write_bytes(b"x")
        (other_b / "other4").unlink()
        assert a.ctl("wait", "--timeout", "1").returncode == 5
        assert (tree_of(other_a), tree_of(a.volume)) == (data, other)
        assert set(tree_of(cluster["b"].volume)) == {*data, b"meanwhile"}
        for old, new in ((a.volume, tmp_path / "t"), (other_a, a.volume), (tmp_path / "t", other_a)):
            old.rename(new)
        eventually(lambda: volume_status(a)["state"] == "running", 60)
        assert set(cluster.converge()) == {*data, b"meanwhile"}
        eventually(lambda: set(tree_of(other_a)) == set(other) - {b"other4"}, 60)


def test_users_work_on_both_sides_during_the_first_copy(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, "ab")
    a, b = cluster.volumes()
    for number in range(400):
        (a / f"d{number % 20}").mkdir(exist_ok=True)
        (a / f"d{number % 20}" / f"f{number}").write_bytes(b"%d" % number * 200)
    (a / "large").write_bytes(os.urandom(30_000_000))
    with cluster:
        eventually(lambda: len(tree_of(b)) > 20, 60)
        for number in range(0, 100, 4):
            (a / f"d{number % 20}" / f"f{number}").write_bytes(b"edited at a %d" % number)
            (a / f"d{(number + 1) % 20}" / f"f{number + 1}").unlink()
        (a / "d19").rename(a / "moved")
        with (a / "large").open("r+b") as file:
            file.write(b"edited at a")
        (b / "d2").mkdir(exist_ok=True)
        (b / "d2" / "new").write_bytes(b"new at b")
        tree = cluster.converge()
        assert not [path for path in tree if b"~" in path]
        assert len([path for path in tree if b"/f" in path]) == 400 - 25
        assert {b"edited at a %d" % number for number in range(0, 100, 4)} | {b"new at b"} <= contents(b)
        assert b"moved/f399" in tree and b"d19" not in tree and (b / "large").read_bytes().startswith(b"edited at a")


def test_three_edits_meet_one_pair_after_the_other(tmp_path: Path) -> None:
    with Apart(tmp_path, "abc") as cluster:
        for number in range(3):
            (cluster["a"].volume / f"f{number}.txt").write_bytes(b"base")
        cluster.converge()
        copies: dict[str, list[str]] = {}
        with cluster.cut("ac", "bc"):
            with cluster.cut("ab"):
                for turn in range(3):  # each of the three is once the last
                    order = "abc"[turn:] + "abc"[:turn]
                    for name in order:
                        (cluster[name].volume / f"f{turn}.txt").write_bytes(f"edited at {name}".encode())
                        notices(cluster[name], f"f{turn}.txt")
                        later()
                    copies[order] = [cluster.copy_of(name, f"f{turn}.txt") for name in order[:2]]
            a, b, _ = cluster.volumes()
            eventually(lambda: len(tree_of(a)) == len(tree_of(b)) == 6, 60)
        cluster.converge()
        expected: dict[str, bytes] = {}
        for turn, (order, (first, second)) in enumerate(copies.items()):
            names = f"f{turn}.txt", second, first
            expected |= {n: f"edited at {w}".encode() for n, w in zip(names, reversed(order), strict=True)}
        for volume in cluster.volumes():
            assert texts(volume) == expected and len(expected) == 9
        is_at_rest(cluster)


def test_a_clock_that_is_a_year_behind(tmp_path: Path) -> None:
    with Apart(tmp_path, "ab") as cluster:
        a, b = cluster.volumes()
        for name in ("edited.txt", "both.txt", "gone"):
            (b / name).write_bytes(b"base at b")
        cluster.converge()
        assert cluster["b"].stop() == 0
        live_elsewhen(cluster, "b", -YEAR_SECONDS)
        cluster["b"].start()
        (b / "edited.txt").write_bytes(b"edited at b")  # it has seen what is there, and wins everywhere
        (b / "gone").unlink()
        cluster.converge()
        assert texts(a) == texts(b) == {"edited.txt": b"edited at b", "both.txt": b"base at b"}
        with cluster.cut():
            for name, side in (("a", a), ("b", b)):
                (side / "both.txt").write_bytes(b"edited at " + name.encode())
                notices(cluster[name], "both.txt")
            copies = {
                cluster.copy_of("a", "both.txt"): b"edited at a",
                cluster.copy_of("b", "both.txt"): b"edited at b",
            }
        tree = cluster.converge()
        (copy,) = {os.fsdecode(path) for path in tree if b"~" in path}
        assert {texts(a)["both.txt"], copies[copy]} == {b"edited at a", b"edited at b"}
        assert texts(a) == texts(b) and texts(b)[copy] == copies[copy]
        is_at_rest(cluster)


def test_what_rots_on_one_disk_reaches_nobody(tmp_path: Path) -> None:
    content = os.urandom(200_000)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as root:  # where stores through a map leave all times alone
        cluster = Cluster(Path(root), "abc")
        a, b, c = cluster.volumes()
        try:
            cluster["a"].start()
            cluster["b"].start()
            (a / "f").write_bytes(content)
            eventually(lambda: (b / "f").exists() and cluster["b"].ctl("wait", "--members", "2").returncode == 0, 60)
            with (b / "f").open("r+b") as file, mmap.mmap(file.fileno(), 0) as rotten:
                rotten[:1] = rotten[:1]  # this one is told by the time, and changes nothing
                assert cluster["b"].ctl("rescan").returncode == 0
                assert cluster["b"].ctl("wait", "--members", "2").returncode == 0
                stat = (b / "f").stat()
                rotten[1000:1010] = b"rotten bits"[:10]
                assert (b / "f").stat() == stat and (b / "f").read_bytes() != content
                cluster["c"].start()
                eventually(lambda: (c / "f").exists(), 60)
                assert (c / "f").read_bytes() == (a / "f").read_bytes() == content
        finally:
            cluster.kill_all()
        assert below({b"x/" + path: () for path in tree_of(c)}, "x") == {"f"}
