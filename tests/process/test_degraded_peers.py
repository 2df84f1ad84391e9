"""Peers that are away, slow, or live in another time: it shows on the others, which go on, and it heals."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from contract.proxy import Proxy
from process.cluster import eventually
from process.degraded import (
    arrives,
    cluster_of,
    fetch,
    fill,
    flows,
    live_elsewhen,
    metric,
    problems,
    replica,
    shows,
    vanishes,
)

YEAR = 365 * 86400


def test_a_peer_that_nobody_listens_for(tmp_path: Path) -> None:
    cluster = cluster_of(tmp_path, "abc")
    a, b, c = (cluster[name] for name in "abc")
    with cluster:
        fill(a.volume)
        full = cluster.converge()
        b.kill()
        (a.volume / "d1" / "f1").unlink()
        flows(a, c)
        eventually(lambda: not replica(a, "b")["connected"])
        assert metric(a, "syncagent_replica_connected", replica="b", volume="data") == 0
        eventually(lambda: metric(a, "syncagent_peer_trouble", address=b.address) == 1)
        said = a.ctl("status").stdout
        assert f"trouble: {b.address}: nothing listens there" in said and "start the agent" in said
        assert a.ctl("status", "--check").returncode == 4 and a.ctl("wait", "--timeout", "0").returncode in (3, 4)
        b.start()
        eventually(lambda: metric(a, "syncagent_peer_trouble", address=b.address) is None)
        assert set(cluster.converge()) == set(full) - {b"d1/f1"} | {b"flows"}
        assert json.loads(fetch(a, "/v1/status"))["troubles"] == []


def test_a_peer_that_hangs(tmp_path: Path) -> None:
    cluster = cluster_of(tmp_path, "abc")
    a, b, c = (cluster[name] for name in "abc")
    with cluster:
        fill(a.volume)
        full = cluster.converge()
        assert b.process is not None
        b.process.send_signal(signal.SIGSTOP)
        flows(a, c)
        eventually(lambda: not replica(a, "b")["connected"], 30)
        assert a.ctl("status", "--check").returncode == 4
        flows(c, a, name="d1/f1")
        b.process.send_signal(signal.SIGCONT)
        eventually(lambda: replica(a, "b")["connected"], 30)
        tree = cluster.converge()
        assert set(tree) == {*full, b"flows"}


def test_a_slow_peer_holds_nobody_up(tmp_path: Path) -> None:
    cluster = cluster_of(tmp_path, "abc", [("b", "a")])
    a, b, c = (cluster[name] for name in "abc")
    with Proxy(a.address) as proxy:
        c.peers.append(proxy.address)
        with cluster:
            fill(a.volume)
            full = cluster.converge()
            proxy.bytes_per_second = 100_000
            (a.volume / "big").write_bytes(os.urandom(4_000_000))
            for number in range(20):
                flows(a, b, name=f"quick{number}")
            eventually(lambda: (replica(a, "c")["bytes_behind"] or 0) > 0)
            shows(a, "behind", "behind for more than", ": c", "its link and disk")
            slow = replica(a, "c")
            assert slow["connected"] and slow["lag_seconds"] > 5 and not slow["in_sync"]
            assert (metric(a, "syncagent_replica_lag_seconds", replica="c", volume="data") or 0) > 5
            arrives(b.volume / "big", (a.volume / "big").read_bytes())
            proxy.bytes_per_second = None
            vanishes(a, "behind")
            tree = cluster.converge()
            assert set(tree) == {*full, b"big", *(b"quick%d" % number for number in range(20))}


@pytest.mark.parametrize("years", [-10, 10])
def test_a_clock_that_is_years_off(tmp_path: Path, years: int) -> None:
    cluster = cluster_of(tmp_path, "abc")
    a, b, c = (cluster[name] for name in "abc")
    live_elsewhen(cluster, "b", years * YEAR)
    with cluster:
        fill(a.volume)
        full = cluster.converge()
        direction, own = ("ahead of", "behind") if years > 0 else ("behind", "ahead of")
        for node in (a, c):
            shows(node, "clock", f"that of b is 3650.0 d {direction} this machine's", "set the clocks", "NTP")
        shows(b, "clock", f"this machine's clock is 3650.0 d {direction} those of a, c", "set the clocks")
        assert own not in problems(b, "clock")[0]["text"]
        flows(a, b, c)
        flows(b, a, c)  # over what a wrote: the later edit wins, whatever its clock says
        flows(a, b, c)
        (c.volume / "d1" / "f1").unlink()
        cluster.converge()
        b.stop()
        b.prefix = []
        b.start()
        for node in (a, b, c):
            vanishes(node, "clock")
        assert set(cluster.converge()) == set(full) - {b"d1/f1"} | {b"flows"}
