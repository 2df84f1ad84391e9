"""A replica comes back as it was before: its index, its volume, or both. Nothing is lost, reused, copied or deleted."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from process.cluster import Cluster, Node, eventually
from process.dots import Dots
from process.snapshots import Snapshot
from syncagent.engine.identity import MARK_SECONDS

COUNT = 40


def filled(cluster: Cluster) -> None:
    """Files of all agents, on all agents."""
    for number in range(COUNT):
        node = list(cluster.nodes.values())[number % 3]
        (node.volume / f"f{number}").write_bytes(b"first %d" % number)
    (cluster["a"].volume / "d").mkdir()
    (cluster["b"].volume / "old").mkdir()
    cluster.converge()


def work_on(cluster: Cluster) -> dict[str, bytes]:
    """Edits, deletes and new files of several agents; gives what is to be found then at each path."""
    a, b, c = cluster["a"], cluster["b"], cluster["c"]
    for number in range(10):
        (a.volume / f"f{number}").write_bytes(b"second of a %d" % number)
        (b.volume / f"f{number + 10}").write_bytes(b"second of b %d" % number)
    for number in range(3):
        (a.volume / f"f{number + 20}").unlink()
        (c.volume / f"f{number + 23}").unlink()
    (b.volume / "old").rmdir()
    (a.volume / "new-a").write_bytes(b"new of a")
    (b.volume / "d" / "new-b").write_bytes(b"new of b")
    cluster.converge()
    return contents_of(a)


def contents_of(node: Node) -> dict[str, bytes]:
    """What each file holds."""
    files = [path for path in node.volume.rglob("*") if path.is_file() and ".syncagent" not in path.parts]
    return {str(path.relative_to(node.volume)): path.read_bytes() for path in files}


def incarnation_of(node: Node) -> str:
    replicas = node.status()["replicas"]
    assert isinstance(replicas, list)
    return str(replicas[0]["incarnation"])


def problems_of(node: Node) -> dict[str, str]:
    """The text of each problem, by its code."""
    return {each["code"]: each["text"] for each in json.loads(node.ctl("problems", "--json").stdout)["problems"]}


def ended(cluster: Cluster, expected: dict[str, bytes], dots: Dots) -> None:
    """All have what is expected and nothing else, no dot was used twice, and the members are three."""
    cluster.converge()
    assert contents_of(cluster["a"]) == expected
    dots.read(cluster)
    assert len(dots) > COUNT
    for node in cluster.nodes.values():
        replicas = node.status()["replicas"]
        assert isinstance(replicas, list) and len(replicas) == 3


def test_an_index_restored_from_an_older_copy(tmp_path: Path) -> None:
    with Cluster(tmp_path, "abc") as cluster:
        a, b, dots = cluster["a"], cluster["b"], Dots()
        filled(cluster)
        a.stop()
        snapshot = Snapshot(a, tmp_path / "snapshot")
        a.start()
        expected, before = work_on(cluster), incarnation_of(a)
        dots.read(cluster)
        a.kill()
        snapshot.restore_state()
        (a.volume / "f30").write_bytes(b"edited while its agent was down")
        (a.volume / "made").write_bytes(b"made while its agent was down")
        (b.volume / "f31").write_bytes(b"edited elsewhere meanwhile")
        (b.volume / "f32").unlink()
        a.start()
        assert "the index was restored from an older copy" in problems_of(a)["new-incarnation"]
        assert incarnation_of(a) != before
        del expected["f32"]
        changes = {
            "f30": b"edited while its agent was down",
            "made": b"made while its agent was down",
            "f31": b"edited elsewhere meanwhile",
        }
        ended(cluster, expected | changes, dots)


def test_an_index_copied_from_a_running_agent_and_restored(tmp_path: Path) -> None:
    """The starts do not show it: the volume was marked again in the same start, and peers know changes of it."""
    with Cluster(tmp_path, "abc") as cluster:
        a, b, dots = cluster["a"], cluster["b"], Dots()
        filled(cluster)
        snapshot = Snapshot(a, tmp_path / "snapshot")
        expected, before = work_on(cluster), incarnation_of(a)
        dots.read(cluster)
        a.kill()
        snapshot.restore_state()
        (a.volume / "f30").write_bytes(b"edited while its agent was down")
        (b.volume / "f31").write_bytes(b"edited elsewhere meanwhile")
        a.start()
        eventually(lambda: "new-incarnation" in problems_of(a))
        assert incarnation_of(a) != before
        changes = {"f30": b"edited while its agent was down", "f31": b"edited elsewhere meanwhile"}
        ended(cluster, expected | changes, dots)


@pytest.mark.parametrize("is_running", [False, True], ids=["stopped", "running"])
def test_a_volume_restored_from_an_older_snapshot(is_running: bool, tmp_path: Path) -> None:
    """Also one that was taken since the agent was last started."""
    with Cluster(tmp_path, "abc") as cluster:
        a, b, dots = cluster["a"], cluster["b"], Dots()
        filled(cluster)
        if is_running:
            snapshot = Snapshot(a, tmp_path / "snapshot")
            time.sleep(MARK_SECONDS + 0.5)
        else:
            a.stop()
            snapshot = Snapshot(a, tmp_path / "snapshot")
            a.start()
        expected, before = work_on(cluster), incarnation_of(a)
        dots.read(cluster)
        assert a.stop() == 0
        snapshot.restore_volume()
        (b.volume / "f31").write_bytes(b"edited elsewhere meanwhile")
        (b.volume / "f32").unlink()
        (a.volume / "made").write_bytes(b"made before its agent began")
        a.start()
        assert "the volume was restored from an older copy" in problems_of(a)["new-incarnation"]
        assert incarnation_of(a) != before
        del expected["f32"]
        changes = {"made": b"made before its agent began", "f31": b"edited elsewhere meanwhile"}
        ended(cluster, expected | changes, dots)
        assert not (a.volume / "old").exists()


def test_volume_and_state_rolled_back_together(tmp_path: Path) -> None:
    """As with a snapshot of a machine. Then its users work on before it meets anybody: counters run into used dots."""
    with Cluster(tmp_path, "abc") as cluster:
        a, b, c, dots = cluster["a"], cluster["b"], cluster["c"], Dots()
        filled(cluster)
        a.stop()
        snapshot = Snapshot(a, tmp_path / "snapshot")
        a.start()
        expected, before = work_on(cluster), incarnation_of(a)
        dots.read(cluster)
        for node in (a, b, c):
            node.kill()
        snapshot.restore_volume()
        snapshot.restore_state()
        (b.volume / "f31").write_bytes(b"edited elsewhere meanwhile")
        a.start()
        assert incarnation_of(a) == before, "nothing here shows what happened"
        for number in range(30):
            (a.volume / f"late{number}").write_bytes(b"made after the restore %d" % number)
        (a.volume / "f33").write_bytes(b"edited after the restore")
        (a.volume / "f10").write_bytes(b"edited here after the restore, and by b before it")
        assert a.ctl("wait", "--members", "1").returncode == 0
        for node in (b, c):
            node.start()
        eventually(lambda: "new-incarnation" in problems_of(a))
        assert incarnation_of(a) != before
        cluster.converge()
        found = contents_of(a)
        copies = [path for path in found if "~" in path]
        assert len(copies) == 1 and copies[0].startswith("f10~"), "both have edited f10, and nothing else is disputed"
        both = {found.pop(copies[0]), found.pop("f10")}
        assert both == {expected.pop("f10"), b"edited here after the restore, and by b before it"}
        late = {f"late{number}": b"made after the restore %d" % number for number in range(30)}
        changes = {"f33": b"edited after the restore", "f31": b"edited elsewhere meanwhile"}
        assert found == expected | changes | late
        dots.read(cluster)


def test_a_running_machine_rolled_back_whole(tmp_path: Path) -> None:
    """The snapshot was taken of a running agent: after it the counter jumps, and still no dot is used twice."""
    with Cluster(tmp_path, "abc") as cluster:
        a, b, dots = cluster["a"], cluster["b"], Dots()
        filled(cluster)
        snapshot = Snapshot(a, tmp_path / "snapshot")
        expected, before = work_on(cluster), incarnation_of(a)
        dots.read(cluster)
        a.kill()
        snapshot.restore_volume()
        snapshot.restore_state()
        (b.volume / "f31").write_bytes(b"edited elsewhere meanwhile")
        (a.volume / "f33").write_bytes(b"edited after the restore")
        a.start()
        eventually(lambda: "new-incarnation" in problems_of(a))
        assert incarnation_of(a) != before
        changes = {"f33": b"edited after the restore", "f31": b"edited elsewhere meanwhile"}
        ended(cluster, expected | changes, dots)


def test_ends_at_any_time_are_no_rollback(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a = cluster["a"]
        (a.volume / "x").write_bytes(b"x")
        cluster.converge()
        before = incarnation_of(a)
        for number in range(6):
            a.kill()
            if number % 2:
                a.launch()
                assert a.process is not None
                a.kill()  # most likely before the root is marked
            a.start()
            (a.volume / f"x{number}").write_bytes(b"%d" % number)
        cluster.converge()
        assert incarnation_of(a) == before and "new-incarnation" not in problems_of(a)
