"""Real agents: what peers' changes replace is kept, shown, and brought back everywhere."""

from __future__ import annotations

import json
import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from process.cluster import Cluster, Node, contents, eventually, tree_of
from process.degraded import ext4


def changes_of(node: Node, *path: str) -> list[dict[str, Any]]:
    """What it remembers, newest first."""
    volume = json.loads(node.ctl("history", "--json", *path).stdout)["volumes"][0]
    changes: list[dict[str, Any]] = volume["changes"]
    return changes


def moment() -> str:
    """The time now."""
    return datetime.now(UTC).isoformat()


def kept_in(node: Node) -> list[bytes]:
    """The names in its store."""
    store = os.fsencode(node.volume / ".syncagent" / "history")
    return sorted(os.listdir(store)) if os.path.isdir(store) else []


def done(node: Node, *words: str) -> str:
    """A command that must succeed."""
    result = node.ctl(*words)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def write_tree(volume: Path) -> None:
    (volume / "docs" / "deep").mkdir(parents=True)
    for number in range(4):
        (volume / "docs" / "deep" / f"f{number}").write_bytes(b"first %d" % number)
    (volume / "docs" / "large").write_bytes(os.urandom(1_500_000))
    (volume / "docs" / "link").symlink_to("deep")
    (volume / "moves").write_bytes(b"stays the same")


def test_a_replaced_file_is_shown_and_restored(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        (a.volume / "report.txt").write_bytes(b"one")
        cluster.converge()
        before_two = moment()
        time.sleep(0.05)
        (a.volume / "report.txt").write_bytes(b"two!")
        cluster.converge()
        (a.volume / "report.txt").unlink()
        cluster.converge()
        newest, replaced, created = changes_of(b, "report.txt")
        assert [each["what"] for each in (newest, replaced, created)] == ["deleted", "replaced", "created"]
        assert [each["size"] for each in (newest, replaced, created)] == [4, 3, 0]
        assert [each["is_kept"] for each in (newest, replaced, created)] == [True, True, False]
        assert {each["by"] for each in (newest, replaced, created)} == {"a"}
        assert [each["is_kept"] for each in changes_of(a, "report.txt")] == [False] * 3
        assert os.stat(b.volume / ".syncagent" / "history").st_mode & 0o777 == 0o700
        assert len(kept_in(b)) == 2 and not kept_in(a)
        assert "report.txt" in done(b, "history") and "2 files kept" in done(b, "history")

        assert "1 path brought back" in done(b, "history", "restore", "report.txt")
        cluster.converge()
        assert (a.volume / "report.txt").read_bytes() == b"two!"
        done(a, "history", "restore", str(a.volume / "report.txt"), "--at", before_two)  # which only b keeps
        cluster.converge()
        for volume in cluster.volumes():
            assert (volume / "report.txt").read_bytes() == b"one"
        refused = a.ctl("history", "restore", "never.txt")
        assert refused.returncode == 1 and "no change of never.txt is remembered" in refused.stderr
        assert a.ctl("history", "restore", "report.txt", "--at", "noon").returncode == 2


def test_undo_reverts_edits_deletes_and_creations_everywhere(tmp_path: Path) -> None:
    with Cluster(tmp_path, "abc", [("b", "a"), ("c", "b")]) as cluster:
        a, b, c = (cluster[name] for name in "abc")
        write_tree(a.volume)
        before = cluster.converge()
        time.sleep(0.1)
        since = moment()
        (a.volume / "docs" / "deep" / "f0").write_bytes(b"scrambled")
        (a.volume / "docs" / "deep" / "f0").write_bytes(b"scrambled twice")
        (c.volume / "docs" / "deep" / "f1").unlink()
        (a.volume / "new").mkdir()
        (a.volume / "new" / "ransom.txt").write_bytes(b"pay")
        (c.volume / "moves").rename(c.volume / "moved")
        with (a.volume / "docs" / "large").open("r+b") as large:
            large.write(b"scrambled")
        cluster.converge()
        shutil.rmtree(b.volume / "docs" / "deep")
        (b.volume / "docs" / "link").unlink()
        cluster.converge()
        told = done(a, "undo", "--since", since)
        assert "reverted" in told, told
        after = cluster.converge()
        assert _payloads(after) == _payloads(before)
        assert not [path for path in after if b"~" in path]
        assert "0 paths reverted" in done(a, "undo", "--since", since)
        assert {b"pay", b"scrambled twice"} <= _kept_contents(b) | _kept_contents(c)


def _payloads(tree: dict[bytes, tuple[object, ...]]) -> dict[bytes, object]:
    """Kind and content of each path; the times of directories are nobody's."""
    return {path: (facts[0], facts[-1] if len(facts) > 5 else None) for path, facts in tree.items()}


def _kept_contents(node: Node) -> set[bytes]:
    store = os.fsencode(node.volume / ".syncagent" / "history")
    paths = [os.path.join(store, name) for name in kept_in(node)]
    return {Path(os.fsdecode(path)).read_bytes() for path in paths if not os.path.islink(path)}


def test_undo_of_one_path_and_of_what_nobody_keeps(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        b.options = ",history_size=off"
        b.stop()
        b.start()
        beginning = moment()
        for name in ("one", "two"):
            (a.volume / name).write_bytes(b"old " + name.encode())
        cluster.converge()
        time.sleep(0.1)
        edits = moment()
        for name in ("one", "two"):
            (a.volume / name).write_bytes(b"new " + name.encode())
        cluster.converge()
        assert not (b.volume / ".syncagent" / "history").exists()
        refused = b.ctl("undo", "--since", edits, "--path", "one", "--json")
        assert refused.returncode == 1
        assert json.loads(refused.stdout) == {
            "reverted": 0,
            "unchanged": 0,
            "lacking": ["one"],
            "unsure": [],
            "silent": [],
        }
        done(b, "undo", "--since", beginning, "--path", "one")
        cluster.converge()
        for volume in cluster.volumes():
            assert not (volume / "one").exists() and (volume / "two").read_bytes() == b"new two"


def test_a_lost_index_finds_what_is_kept(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        (a.volume / "dir").mkdir()
        (a.volume / "dir" / "f").write_bytes(b"precious")
        (a.volume / "big").write_bytes(bytes(range(256)) * 4000)
        cluster.converge()
        (a.volume / "dir" / "f").unlink()
        (a.volume / "big").write_bytes(b"small")
        cluster.converge()
        b.kill()
        shutil.rmtree(b.state)
        b.start()
        eventually(lambda: sum(each["is_kept"] for each in changes_of(b)) >= 2)
        cluster.converge()
        done(b, "history", "restore", "dir/f")
        done(b, "history", "restore", "big")
        cluster.converge()
        assert (a.volume / "dir" / "f").read_bytes() == b"precious"
        assert (a.volume / "big").read_bytes() == bytes(range(256)) * 4000


def test_the_store_stays_within_its_size_and_goes_when_it_is_empty(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        b.options = ",history_size=300K,history_age=10s"
        b.stop()
        b.start()
        for number in range(12):
            (a.volume / "f").write_bytes(os.urandom(100_000))
            cluster.converge()
            assert number < 3 or len(kept_in(b)) <= 12
        eventually(lambda: len(kept_in(b)) <= 3, 30)
        eventually(lambda: not (b.volume / ".syncagent").exists(), 60)
        assert not any(each["is_kept"] for each in changes_of(b))


def test_a_conflict_is_resolved_either_way(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        for name in ("x.txt", "y.txt", "z.txt"):
            (a.volume / name).write_bytes(b"base")
        cluster.converge()
        b.stop()
        for name in ("x.txt", "y.txt", "z.txt"):
            (a.volume / name).write_bytes(b"from a")
            (b.volume / name).write_bytes(b"from b")
        b.start()
        cluster.converge()
        listed = json.loads(a.ctl("conflicts", "--json").stdout)["conflicts"]
        assert [each["of"] for each in listed] == ["x.txt", "y.txt", "z.txt"]
        assert {each["origin"] for each in listed} | {each["stands"] for each in listed} == {"a", "b"}
        wrong = a.ctl("conflicts", "resolve", "x.txt", "--keep", "nobody")
        assert wrong.returncode == 2 and "wrote no content" in wrong.stderr
        done(a, "conflicts", "resolve", "x.txt", "--keep", "a")
        done(b, "conflicts", "resolve", listed[1]["path"], "--keep", "b")
        done(b, "conflicts", "resolve", "z.txt", "--keep", "both")
        cluster.converge()
        for node in (a, b):
            names = sorted(os.listdir(node.volume))
            names = [name for name in names if name != ".syncagent"]
            assert [name for name in names if "~" in name] == []
            assert (node.volume / "x.txt").read_bytes() == b"from a"
            assert (node.volume / "y.txt").read_bytes() == b"from b"
            assert {b"from a", b"from b"} == {(node.volume / name).read_bytes() for name in names if name[0] == "z"}
            assert json.loads(node.ctl("conflicts", "--json").stdout)["conflicts"] == []
        assert len(tree_of(a.volume)) == 4
        assert _kept_contents(a) | _kept_contents(b) >= {b"from a", b"from b"}
        assert a.ctl("conflicts", "resolve", "x.txt", "--keep", "a").returncode == 1
        assert contents(a.volume) == contents(b.volume)


@pytest.mark.root
def test_a_full_disk_takes_the_history_first(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, "ab")
    with ext4(tmp_path / "image", cluster["b"].volume, "32M"), cluster:
        a, b = cluster["a"], cluster["b"]
        for number in range(6):
            (a.volume / "f").write_bytes(os.urandom(6_000_000))
            (a.volume / "small").write_bytes(b"%d" % number)
            cluster.converge()
        changes = [each for each in changes_of(b) if each["what"] == "replaced" and each["path"] == "f"]
        assert len(changes) == 5
        assert not changes[-1]["is_kept"] and changes[0]["is_kept"]
        assert "kept files are let go" in b.log.read_text()
        assert json.loads(b.ctl("problems", "--json").stdout)["problems"] == []
