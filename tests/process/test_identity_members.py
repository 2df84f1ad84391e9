"""Members that were away for long, were forgotten, or are gone for ever with what only they had."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

from process.cluster import Cluster, Node, eventually
from process.dots import Dots, entries_of
from process.test_identity_rollback import contents_of, problems_of

BIG_BYTES = 64 * 1024 * 1024


def tombstones_of(node: Node) -> int:
    return sum(not entry.is_live for entry in entries_of(node.state / "data.index"))


def filled(cluster: Cluster, count: int = 20) -> dict[str, bytes]:
    """Files that all have, written by all."""
    for number in range(count):
        node = list(cluster.nodes.values())[number % len(cluster.nodes)]
        (node.volume / f"f{number}").write_bytes(b"first %d" % number)
    cluster.converge()
    return contents_of(cluster["a"])


def test_a_member_away_beyond_the_tombstone_horizon(tmp_path: Path) -> None:
    """Nobody knows of the deletes any more when it comes back; they hold all the same."""
    with Cluster(tmp_path, "abc") as cluster:
        a, b, c, dots = cluster["a"], cluster["b"], cluster["c"], Dots()
        expected = filled(cluster)
        c.stop()
        dots.read(cluster)
        eventually(lambda: a.ctl("forget", "c").returncode == 0)
        for number in range(5):
            (a.volume / f"f{number}").unlink()
        (b.volume / "f5").write_bytes(b"edited while c was away")
        (c.volume / "f0").write_bytes(b"edited at c, after it was deleted")
        (c.volume / "f6").write_bytes(b"edited at c")
        (c.volume / "new").write_bytes(b"new of c")
        assert a.ctl("wait").returncode == 0
        eventually(lambda: tombstones_of(a) == tombstones_of(b) == 0, 60.0)
        c.start()
        eventually(lambda: len(json.loads(a.ctl("status", "--json").stdout)["volumes"][0]["replicas"]) == 3)
        cluster.converge()
        for number in range(1, 5):
            del expected[f"f{number}"]
        changes = {
            "f0": b"edited at c, after it was deleted",
            "f5": b"edited while c was away",
            "f6": b"edited at c",
            "new": b"new of c",
        }
        assert contents_of(c) == contents_of(a) == expected | changes
        dots.read(cluster)


def test_a_member_forgotten_and_added_again_as_a_new_one(tmp_path: Path) -> None:
    """Its old changes are still known as changes of the past: nothing is in conflict with them."""
    with Cluster(tmp_path, "abc") as cluster:
        a, c, dots = cluster["a"], cluster["c"], Dots()
        expected = filled(cluster)
        dots.read(cluster)
        c.stop()
        eventually(lambda: a.ctl("forget", "c").returncode == 0)
        shutil.rmtree(c.state)
        for number in range(20):
            (a.volume / f"f{number}").write_bytes(b"second %d" % number)
        (c.volume / "f21").write_bytes(b"written while it was no member")
        for path in c.volume.iterdir():
            if path.name != "f21":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        assert a.ctl("wait").returncode == 0
        c.start()
        assert "the index of this volume, which was replicated before, is missing" in problems_of(c)["new-incarnation"]
        eventually(lambda: len(json.loads(a.ctl("status", "--json").stdout)["volumes"][0]["replicas"]) == 3)
        cluster.converge()
        expected = {path: b"second " + path[1:].encode() for path in expected}
        assert contents_of(c) == expected | {"f21": b"written while it was no member"}
        dots.read(cluster)


def test_content_whose_only_holder_died(tmp_path: Path) -> None:
    """It is a named problem, and waiting ends with 5, until its holder is forgotten; then what was there stands."""
    with Cluster(tmp_path, "abc") as cluster:
        a, b, c, dots = cluster["a"], cluster["b"], cluster["c"], Dots()
        expected = filled(cluster)
        offset = b.log.stat().st_size
        (a.volume / "f1").write_bytes(os.urandom(BIG_BYTES))
        deadline = time.monotonic() + 30.0
        while b"1 entries from a" not in b.log.read_bytes()[offset:]:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        a.kill()
        for node in (b, c):
            eventually(lambda node=node: "content-lost" in problems_of(node), 30.0)
            assert "not connected, and may have it: a" in problems_of(node)["content-lost"]
            assert node.ctl("wait", "--timeout", "2").returncode == 5
            assert node.status()["pending"] == 1 and contents_of(node) == expected
        (c.volume / "f2").write_bytes(b"the others work on")
        eventually(lambda: contents_of(b)["f2"] == b"the others work on")
        dots.read(cluster)
        assert b.ctl("forget", "a").returncode == 0
        for node in (b, c):
            eventually(lambda node=node: node.ctl("wait").returncode == 0, 30.0)
            assert "content-lost" not in problems_of(node)
            assert contents_of(node) == expected | {"f2": b"the others work on"}
        dots.read(cluster)


def test_a_lone_survivor_gives_up_what_only_the_other_had(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        expected = filled(cluster)
        offset = b.log.stat().st_size
        (a.volume / "f1").write_bytes(os.urandom(BIG_BYTES))
        deadline = time.monotonic() + 30.0
        while b"1 entries from a" not in b.log.read_bytes()[offset:]:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        a.kill()
        eventually(lambda: "content-lost" in problems_of(b), 30.0)
        assert b.ctl("wait", "--timeout", "2").returncode == 5
        assert b.ctl("forget", "a").returncode == 0
        eventually(lambda: b.ctl("wait", "--members", "1").returncode == 0, 30.0)
        assert contents_of(b) == expected and b.status()["pending"] == 0
