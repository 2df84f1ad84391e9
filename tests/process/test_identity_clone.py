"""Two that say they are one: clones that are online at once, or one after the other, and two agents on one volume."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from process.cluster import Cluster, Node, eventually
from process.dots import Dots
from process.snapshots import clone
from process.test_identity_rollback import contents_of, incarnation_of, problems_of


def sessions_of(node: Node) -> int:
    """How many sessions it has had."""
    return node.log.read_text().count("connected to agent")


def remedies_of(node: Node) -> dict[str, str]:
    return {each["code"]: each["remedy"] for each in json.loads(node.ctl("problems", "--json").stdout)["problems"]}


@pytest.mark.parametrize("name", ["copy", "original"])
def test_a_clone_is_refused_while_the_original_is_online(name: str, tmp_path: Path) -> None:
    """Whatever its name is: both are told, nothing is taken from it, and no session is begun again and again."""
    links = [("original", "hub"), ("copy", "hub")]
    cluster, dots = Cluster(tmp_path, ["hub", "original", "copy"], links), Dots()
    hub, original, copy = (cluster[each] for each in ("hub", "original", "copy"))
    copy.name = name
    (original.volume / "x").write_bytes(b"x")
    hub.start()
    original.start()
    try:
        eventually(lambda: (hub.volume / "x").exists())
        original.stop()
        clone(original, copy)
        original.start()
        (original.volume / "of-original").write_bytes(b"of the original")
        eventually(lambda: (hub.volume / "of-original").exists())
        copy.start()
        (copy.volume / "of-copy").write_bytes(b"of the copy")
        eventually(lambda: "told-clone" in problems_of(copy))
        assert incarnation_of(copy) == incarnation_of(original)
        assert "refused: hub is connected to original, which has the same identity" in problems_of(copy)["told-clone"]
        assert "has the same identity as original" in problems_of(hub)["clone"]
        assert f"{name} at " in problems_of(original)["told-original"]
        for node, code in ((copy, "told-clone"), (hub, "clone"), (original, "told-original")):
            assert "empty its state directory, and start it again" in remedies_of(node)[code]
        assert copy.ctl("wait", "--timeout", "1").returncode == 5
        before = sessions_of(hub)
        (original.volume / "later").write_bytes(b"later")
        eventually(lambda: (hub.volume / "later").exists())
        time.sleep(3.0)
        assert sessions_of(hub) == before
        assert not (hub.volume / "of-copy").exists() and not (copy.volume / "later").exists()
        dots.read(cluster["hub"], original)

        copy.stop()  # the remedy
        for each in copy.state.iterdir():
            each.unlink()
        copy.name = "copy"
        copy.start()
        tree = cluster.converge()
        assert set(tree) == {b"x", b"of-original", b"of-copy", b"later"}
        for node, code in ((copy, "told-clone"), (hub, "clone"), (original, "told-original")):
            assert code not in problems_of(node)
        dots.read(cluster)
    finally:
        cluster.kill_all()


def test_clones_that_meet_refuse_each_other(tmp_path: Path) -> None:
    with Cluster(tmp_path, ["one", "two"]) as cluster:
        one, two = cluster["one"], cluster["two"]
        (one.volume / "x").write_bytes(b"x")
        cluster.converge()
        one.stop()
        two.stop()
        clone(one, two)
        one.start()
        two.start()
        (two.volume / "of-two").write_bytes(b"two")
        for node in (one, two):
            eventually(lambda node=node: "clone" in problems_of(node))
            assert "the same identity as this replica" in problems_of(node)["clone"]
            assert node.ctl("wait", "--timeout", "1").returncode == 5
        assert not (one.volume / "of-two").exists()


def test_a_clone_begins_anew_by_itself_when_the_original_is_gone(tmp_path: Path) -> None:
    """Also one that was refused before; and the original may come back."""
    links = [("original", "hub"), ("copy", "hub")]
    cluster, dots = Cluster(tmp_path, ["hub", "original", "copy"], links), Dots()
    hub, original, copy = (cluster[each] for each in ("hub", "original", "copy"))
    (original.volume / "x").write_bytes(b"x")
    hub.start()
    original.start()
    try:
        eventually(lambda: (hub.volume / "x").exists())
        original.stop()
        clone(original, copy)
        original.start()
        (original.volume / "of-original").write_bytes(b"of the original")
        (original.volume / "x").write_bytes(b"edited at the original")
        eventually(lambda: contents_of(hub).get("x") == b"edited at the original")
        copy.start()
        eventually(lambda: "told-clone" in problems_of(copy))
        (copy.volume / "of-copy").write_bytes(b"of the copy")
        dots.read(hub, original)
        original.kill()
        eventually(lambda: "new-incarnation" in problems_of(copy))
        eventually(lambda: (hub.volume / "of-copy").exists())
        assert "told-clone" not in problems_of(copy) and "clone" not in problems_of(hub)
        original.start()
        cluster.converge()
        expected = {"x": b"edited at the original", "of-original": b"of the original", "of-copy": b"of the copy"}
        assert contents_of(hub) == expected
        dots.read(cluster)
        assert incarnation_of(copy) != incarnation_of(original)
    finally:
        cluster.kill_all()


def test_two_agents_on_one_volume(tmp_path: Path) -> None:
    """The second does not start, with another state directory or with the same; the first goes on."""
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        (a.volume / "x").write_bytes(b"x")
        cluster.converge()
        dots = Dots()
        second = Node("second", a.volume, tmp_path / "other", a.port, tmp_path / "second.log", listens=False)
        for state, cause in (
            (tmp_path / "other", "another agent already has"),
            (a.state, "another agent already uses"),
        ):
            second.state = state
            ended = subprocess.run(second.command(), capture_output=True, text=True, timeout=60, check=False)
            assert ended.returncode == 1 and cause in ended.stderr and "stop" in ended.stderr
        (a.volume / "y").write_bytes(b"y")
        (b.volume / "z").write_bytes(b"z")
        assert set(cluster.converge()) == {b"x", b"y", b"z"}
        dots.read(cluster)
