"""Real agents, real sockets, real directories: replicas end equal."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from process.cluster import Cluster, contents, eventually, tree_of


def make_tree(root: Path, count: int = 60) -> None:
    """Files of many sizes, directories (one empty), links, holes, attributes, a name that is not UTF-8."""
    for number in range(count):
        directory = root / f"d{number % 5}" / f"e{number % 3}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"f{number}").write_bytes(os.urandom(number * 17 % 5000))
    (root / "empty").mkdir()
    (root / "empty-file").write_bytes(b"")
    (root / "same1").write_bytes(b"same")
    (root / "same2").write_bytes(b"same")
    (root / "link").symlink_to("d1/e0")
    (root / "dangling").symlink_to("/nowhere/at/all")
    (root / "big").write_bytes(os.urandom(3_000_000))
    with (root / "sparse").open("wb") as file:
        file.truncate(8_000_000)
        file.seek(5_000_000)
        file.write(b"island")
    (root / "script").write_bytes(b"#!/bin/sh\n")
    (root / "script").chmod(0o755)
    os.setxattr(root / "script", "user.note", b"kept")
    with open(os.fsencode(root) + b"/name-\xff\xfe", "wb") as odd:
        odd.write(b"odd")
    os.utime(root / "script", ns=(1_000_000_000_123_456_789, 1_000_000_000_987_654_321))


def test_a_tree_arrives_whole_with_attributes_and_holes(tmp_path: Path) -> None:
    with Cluster(tmp_path, "abc") as cluster:
        make_tree(cluster["a"].volume)
        tree = cluster.converge()
        assert len(tree) > 80
        sparse = os.stat(cluster["c"].volume / "sparse")
        assert sparse.st_blocks * 512 < 1_000_000
        eventually(lambda: not (cluster["b"].volume / ".syncagent").exists(), 40)


def test_all_sides_write_at_the_same_time(tmp_path: Path) -> None:
    with Cluster(tmp_path, "abc") as cluster:
        make_tree(cluster["a"].volume, 30)
        cluster.converge()
        a, b, c = cluster.volumes()
        for number in range(40):
            (a / f"from-a-{number}").write_bytes(os.urandom(100))
            (b / f"from-b-{number}").write_bytes(os.urandom(100))
            (c / "d1" / f"from-c-{number}").write_bytes(os.urandom(100))
        (a / "d2").rename(a / "moved")
        shutil.rmtree(b / "d3" / "e0")
        (c / "script").chmod(0o700)
        (c / "link").unlink()
        (c / "link").write_bytes(b"a file now")
        (a / "empty-file").unlink()
        (a / "empty-file").mkdir()
        with (b / "big").open("ab") as file:
            file.write(b"more")
        tree = cluster.converge()
        assert b"moved/e1/f7" in tree and b"d2" not in tree
        assert not any(b"~" in path for path in tree), [p for p in tree if b"~" in p]
        assert (b / "link").read_bytes() == b"a file now"
        assert (c / "empty-file").is_dir()
        assert (a / "big").read_bytes().endswith(b"more")


def test_concurrent_edits_keep_both_contents_everywhere(tmp_path: Path) -> None:
    with Cluster(tmp_path, "abc") as cluster:
        (cluster["a"].volume / "x.txt").write_bytes(b"base")
        cluster.converge()
        for around in (1, 2):
            cluster["b"].kill()
            (cluster["a"].volume / "x.txt").write_bytes(b"from a %d" % around)
            (cluster["b"].volume / "x.txt").write_bytes(b"from b %d" % around)
            cluster["b"].start()
            tree = cluster.converge()
            for volume in cluster.volumes():
                assert {b"from a %d" % around, b"from b %d" % around} <= contents(volume)
            assert sum(b"~" in path for path in tree) == around, list(tree)


def test_chmod_meets_edit_without_a_copy(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster.volumes()
        for number in range(5):
            (a / f"f{number}").write_bytes(b"base")
        cluster.converge()
        cluster["b"].kill()
        for number in range(5):
            (a / f"f{number}").write_bytes(b"edited")
            (b / f"f{number}").chmod(0o600)
        cluster["b"].start()
        tree = cluster.converge()
        assert len(tree) == 5
        for volume in (a, b):
            for number in range(5):
                assert (volume / f"f{number}").read_bytes() == b"edited"
                assert (volume / f"f{number}").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("links", [[("a", "b"), ("b", "c")], [("a", "b"), ("c", "b")]], ids=["chain", "star"])
def test_any_topology_and_one_sided_dialling(tmp_path: Path, links: list[tuple[str, str]]) -> None:
    with Cluster(tmp_path, "abc", links) as cluster:
        (cluster["a"].volume / "from-a").write_bytes(b"a" * 300_000)
        cluster.converge()
        (cluster["c"].volume / "from-c").write_bytes(b"c")
        (cluster["b"].volume / "from-b").write_bytes(b"b")
        waited = cluster["a"].ctl("wait")
        assert waited.returncode == 0, waited.stderr
        assert set(cluster.converge()) == {b"from-a", b"from-b", b"from-c"}
        status = cluster["a"].status()
        assert status["in_sync"] is True, status


def test_who_was_away_or_joins_late_catches_up(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, "abc")
    with cluster:
        make_tree(cluster["a"].volume, 20)
        cluster.converge()
        cluster["c"].stop()
        (cluster["a"].volume / "new").write_bytes(b"new")
        (cluster["b"].volume / "big").unlink()
        shutil.rmtree(cluster["b"].volume / "d1")
        assert cluster["a"].ctl("wait", "--timeout", "1").returncode == 4
        cluster["c"].start()
        tree = cluster.converge()
        assert b"new" in tree and b"big" not in tree and b"d1" not in tree


def test_kill_at_any_time_leaves_no_trace(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        for number in range(6):
            for part in range(25):
                (a.volume / f"{number}-{part}").write_bytes(os.urandom(2000 + part))
            (a.volume / "large").write_bytes(os.urandom(4_000_000))
            time.sleep(0.05 * number)
            victim = (a, b)[number % 2]
            victim.kill()
            victim.start()
        tree = cluster.converge()
        assert not [path for path in tree if b"~" in path]
        assert len(tree) == 151
        for volume in cluster.volumes():
            eventually(lambda volume=volume: not (volume / ".syncagent" / "staging").exists(), 30)


def test_rename_moves_no_content(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster.volumes()
        (a / "dir").mkdir()
        for number in range(20):
            (a / "dir" / f"f{number}").write_bytes(os.urandom(50_000))
        before = tree_of(a)
        cluster.converge()
        inodes = {os.stat(b / "dir" / f"f{number}").st_ino for number in range(20)}
        (a / "dir").rename(a / "other")
        cluster.converge()
        assert {os.stat(b / "other" / f"f{number}").st_ino for number in range(20)} == inodes
        assert len(tree_of(b)) == len(before)


def test_ignored_paths_stay_and_delete_nothing(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster.volumes()
        (a / "keep.log").write_bytes(b"1")
        (a / "build").mkdir()
        (a / "build" / "out").write_bytes(b"2")
        cluster.converge()
        (a / ".syncignore").write_bytes(b"*.log\nbuild/\n")
        cluster.converge()
        (a / "keep.log").unlink()
        shutil.rmtree(a / "build")
        (a / "new.log").write_bytes(b"3")
        (a / "seen").write_bytes(b"4")
        eventually(lambda: (b / "seen").exists())
        assert cluster["a"].ctl("wait").returncode == 0
        assert (b / "keep.log").exists() and (b / "build" / "out").exists() and not (b / "new.log").exists()
        assert cluster["a"].status()["in_sync"] is True


def test_a_volume_that_vanishes_halts_and_no_replica_loses_a_file(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        make_tree(a.volume, 10)
        full = cluster.converge()
        away = tmp_path / "moved-away"
        a.volume.rename(away)
        eventually(lambda: a.status()["state"] == "halted")
        a.volume.mkdir()
        time.sleep(0.5)
        assert a.status()["state"] == "halted"
        a.kill()
        a.start()
        assert a.status()["state"] == "halted"
        assert a.ctl("wait", "--timeout", "1").returncode == 5
        assert tree_of(b.volume) == full
        assert a.ctl("adopt", "data").returncode == 0
        assert a.ctl("adopt", "data").returncode == 1  # it runs: nothing is doubled by asking twice
        assert cluster.converge() == full


def test_a_mass_of_deletes_is_held_until_released_or_reverted(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        for number in range(8):
            (a.volume / f"f{number}").write_bytes(b"%d" % number)
        full = cluster.converge()
        for number in range(8):
            (a.volume / f"f{number}").unlink()
        eventually(lambda: a.status()["held"] == 8)
        assert tree_of(b.volume) == full
        assert a.ctl("wait", "--timeout", "1").returncode == 5
        assert a.ctl("revert").returncode == 0
        assert cluster.converge() == full
        for number in range(8):
            (a.volume / f"f{number}").unlink()
        eventually(lambda: a.status()["held"] == 8)
        assert a.ctl("release").returncode == 0
        assert cluster.converge() == {}


def test_members_are_listed_and_forgotten(tmp_path: Path) -> None:
    with Cluster(tmp_path, "abc") as cluster:
        (cluster["a"].volume / "x").write_bytes(b"x")
        cluster.converge()
        assert cluster["a"].ctl("forget", "c").returncode != 0
        cluster["c"].stop()
        eventually(lambda: cluster["a"].ctl("forget", "c").returncode == 0)
        assert cluster["a"].ctl("wait").returncode == 0
        replicas = cluster["b"].status()["replicas"]
        assert isinstance(replicas, list)
        assert {replica["name"] for replica in replicas} == {"a", "b"}
        cluster["c"].start()
        cluster.converge()


def test_a_second_agent_on_the_same_volume_or_state_refuses_to_start(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a = cluster["a"]
        (a.volume / "x").write_bytes(b"x")
        cluster.converge()
        a.kill()
        a.start()
        command = a.command()
        elsewhere = [str(tmp_path / "other-state") if word == str(a.state) else word for word in command]
        for words, cause in ((elsewhere, "another agent already has"), (command, "already uses the state directory")):
            second = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
            assert second.returncode == 1
            assert cause in second.stderr and "Traceback" not in second.stderr
        cluster.converge()


def test_wait_and_ready_tell_of_a_member_that_is_not_there(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        (a.volume / "x").write_bytes(b"x")
        cluster.converge()
        assert a.ctl("ready").returncode == 0
        b.volume.rename(tmp_path / "away")
        eventually(lambda: a.ctl("wait", "--timeout", "1").returncode == 5)
        a.kill()
        b.kill()
        a.start()
        assert a.ctl("ready").returncode == 1


def test_the_roots_mode_and_owner_travel_too(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster.volumes()
        (a / "x").write_bytes(b"x")
        cluster.converge()
        a.chmod(0o750)
        eventually(lambda: b.stat().st_mode & 0o777 == 0o750)
        b.chmod(0o711)
        eventually(lambda: a.stat().st_mode & 0o777 == 0o711)
        if os.geteuid() == 0:
            os.chown(a, 1234, 1234)
            eventually(lambda: (b.stat().st_uid, b.stat().st_gid) == (1234, 1234))
        cluster.converge()


def test_a_new_replica_takes_over_the_root_of_one_with_files(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, "ab")
    a, b = cluster.volumes()
    (a / "x").write_bytes(b"x")
    a.chmod(0o700)
    b.chmod(0o755)
    with cluster:
        cluster.converge()
        eventually(lambda: b.stat().st_mode & 0o777 == 0o700)
        assert a.stat().st_mode & 0o777 == 0o700


def test_what_is_left_out_by_its_name_is_shown_at_once(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        for name in ("lost+found", ".snapshot"):
            (a.volume / name).mkdir()
            (a.volume / name / "inside").write_bytes(b"never")
        (a.volume / ".nfs0001").write_bytes(b"never")
        (a.volume / "seen").write_bytes(b"always")

        def shown() -> set[str]:
            return {problem["path"] for problem in json.loads(a.ctl("problems", "--json").stdout)["problems"]}

        eventually(lambda: shown() == {"lost+found", ".snapshot", ".nfs0001"})
        assert a.ctl("wait").returncode == 0
        assert list(tree_of(b.volume)) == [b"seen"]
        (a.volume / ".nfs0001").unlink()
        eventually(lambda: shown() == {"lost+found", ".snapshot"})
