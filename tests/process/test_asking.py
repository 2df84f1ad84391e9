"""What ``syncctl`` answers: exit codes, the status as JSON, why a path is as it is; and how an agent ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from process.cluster import Cluster, Node, eventually, tree_of

VOLUME_FIELDS = {
    "name": str,
    "state": str,
    "direction": str,
    "watch": str,
    "ready": bool,
    "in_sync": bool,
    "digest": str,
    "entries": int,
    "bytes": int,
    "conflicts": int,
    "problems": int,
    "held": int,
    "replicas": list,
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def code(node: Node, *words: str) -> int:
    done = node.ctl(*words)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode


def test_wait_returns_when_the_others_have_it_and_not_before(tmp_path: Path) -> None:
    with Cluster(tmp_path, "abc") as cluster:
        for around in range(6):
            source = tmp_path / f"source{around}"
            (source / "deeper").mkdir(parents=True)
            for number in range(60):
                (source / f"f{number}").write_bytes(os.urandom(50 * number))
                (source / "deeper" / f"f{number}").write_bytes(b"%d" % number)
            here, there = ("abc"[around % 3], "abc"[(around + 1 + around // 3) % 3])
            subprocess.run(["cp", "-a", str(source), str(cluster[here].volume)], check=True)
            assert code(cluster[there], "wait") == 0
            trees = [tree_of(volume / source.name) for volume in cluster.volumes()]
            assert trees == [tree_of(source)] * 3


def test_exit_codes_of_wait(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        (a.volume / "x").write_bytes(b"x")
        assert code(a, "wait") == 0 and code(a, "wait", "--members", "2") == 0
        assert code(a, "wait", "--members", "3", "--timeout", "0") == 3
        assert code(a, "ready") == 0 and code(a, "status", "--check") == 0
        with (b.volume / "x").open("r+b"):  # whoever has it open may still write: it cannot be replaced now
            (a.volume / "x").write_bytes(b"another")
            assert code(a, "wait", "--timeout", "0.3") in (3, 5)
        assert code(a, "wait") == 0
        b.kill()
        (a.volume / "y").write_bytes(b"y")
        assert code(a, "wait", "--timeout", "0.2") == 4
        assert code(a, "wait", "--members", "1") == 0
        assert code(a, "status", "--check") in (3, 4)
        assert code(b, "wait") == 1
        assert code(a, "wait", "--timeout", "later") == 2


def test_alone_there_is_nothing_to_wait_for(tmp_path: Path) -> None:
    with Cluster(tmp_path, "a") as cluster:
        waited = cluster["a"].ctl("wait")
        assert waited.returncode not in (0, 130) and "--members 1" in waited.stdout + waited.stderr
        assert code(cluster["a"], "wait", "--members", "1") == 0


def test_the_status_as_json(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        (cluster["a"].volume / "x").write_bytes(b"12345")
        cluster.converge()
        status = json.loads(cluster["a"].ctl("status", "--json").stdout)
        assert (status["format"], status["agent"]) == (1, "a") and TIME.fullmatch(status["time"])
        (volume,) = status["volumes"]
        for name, kind in VOLUME_FIELDS.items():
            assert type(volume[name]) is kind, name
        assert (volume["entries"], volume["bytes"], volume["in_sync"]) == (1, 5, True)
        assert volume["digest"] == cluster["b"].status()["digest"]
        own, other = sorted(volume["replicas"], key=lambda replica: not replica["self"])
        assert own["self"] is True and own["name"] == "a" and other["name"] == "b"
        assert (other["entries_behind"], other["bytes_behind"], other["in_sync"]) == (0, 0, True)
        cluster["b"].kill()
        (cluster["a"].volume / "y").write_bytes(b"123")
        eventually(lambda: not replica_b(cluster)["connected"] and replica_b(cluster)["entries_behind"] == 1)
        gone = replica_b(cluster)
        assert gone["bytes_behind"] == 3 and gone["in_sync"] is False and TIME.fullmatch(str(gone["last_seen"]))


def replica_b(cluster: Cluster) -> dict[str, object]:
    replicas = cluster["a"].status()["replicas"]
    assert isinstance(replicas, list)
    return next(dict(replica) for replica in replicas if replica["name"] == "b")


def test_why_a_path_is_as_it_is(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a = cluster["a"]
        for number in range(4):
            (a.volume / f"f{number}").write_bytes(b"%d" % number)
        (a.volume / ".syncignore").write_bytes(b"*.log\n")
        (a.volume / "x.log").write_bytes(b"1")
        assert code(a, "wait") == 0
        assert "ignored" in a.ctl("why", "x.log").stdout
        assert a.ctl("why", "f1").returncode == 0 and a.ctl("why", "absent").returncode == 1
        assert a.ctl("why", str(a.volume / "f1")).returncode == 0
        for path in list(a.volume.glob("f*")) + [a.volume / ".syncignore", a.volume / "x.log"]:
            path.unlink()
        eventually(lambda: a.status()["held"] == 5)
        assert "held" in a.ctl("why", "f1").stdout
        assert a.ctl("release").returncode == 0
        cluster.converge()


def test_a_clean_stop_hands_over_what_was_just_written(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        (a.volume / "first").write_bytes(b"first")
        cluster.converge()
        for number in range(150):
            (a.volume / f"f{number}").write_bytes(os.urandom(3000))
        (a.volume / "large").write_bytes(os.urandom(5_000_000))
        assert a.stop() == 0
        assert code(b, "wait", "--members", "1") == 0
        assert tree_of(a.volume) == tree_of(b.volume)


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        (a.volume / "x").write_bytes(b"x")
        cluster.converge()
        b.kill()
        (a.volume / "y").write_bytes(b"y")
        assert a.process is not None
        a.process.send_signal(signal.SIGTERM)
        eventually(lambda: "stopping" in a.log.read_text())
        time.sleep(0.3)
        assert a.process.poll() is None
        a.process.send_signal(signal.SIGTERM)
        a.process.wait(timeout=3)
        assert "ending at once" in a.log.read_text()
        a.process = None
        a.start()
        b.start()
        assert set(cluster.converge()) == {b"x", b"y"}


def test_a_hangup_reads_the_peers_anew(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, "ab", [])
    a, b = cluster["a"], cluster["b"]
    config = tmp_path / "a.toml"
    config.write_text("peers = []\n")
    a.extra = ["--config", str(config)]
    with cluster:
        (a.volume / "x").write_bytes(b"x")
        config.write_text(f'peers = ["{b.address}"]\nlog-level = "info"\n')
        assert a.process is not None
        a.process.send_signal(signal.SIGHUP)
        eventually(lambda: (b.volume / "x").exists())
        config.write_text("peers = 7\n")
        a.process.send_signal(signal.SIGHUP)
        eventually(lambda: "was not taken over" in a.log.read_text())
        (b.volume / "y").write_bytes(b"y")
        assert set(cluster.converge()) == {b"x", b"y"}


def test_the_agent_is_found_without_being_told(tmp_path: Path) -> None:
    with Cluster(tmp_path, "a") as cluster:
        environment = {**os.environ, "SYNCCTL_AGENT": str(cluster["a"].state)}
        command = [sys.executable, "-m", "syncagent.cli", "status"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0 and "data: " in done.stdout
