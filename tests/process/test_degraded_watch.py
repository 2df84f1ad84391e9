"""A watcher that loses events or may not watch everything: it shows, all changes come through, and it heals."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from process.cluster import eventually, tree_of
from process.degraded import cluster_of, fill, metric, run, second_volume, shows, status, vanishes

LIMITS = Path("/proc/sys/fs/inotify")


def test_more_changes_than_the_kernel_remembers(tmp_path: Path) -> None:
    cluster = cluster_of(tmp_path, "ab")
    places = second_volume(cluster, tmp_path)
    with cluster:
        a, b = cluster["a"], cluster["b"]
        fill(a.volume)
        full = cluster.converge()
        assert a.process is not None
        a.process.send_signal(signal.SIGSTOP)
        left, right = a.volume / "d0" / "f0", a.volume / "d1" / "f1"
        for number in range(int((LIMITS / "max_queued_events").read_text()) // 2 + 100):
            left.chmod(0o600 + number % 2)  # two names in turn, so that the kernel does not join the events
            right.chmod(0o600 + number % 2)
        (a.volume / "unseen" / "below").mkdir(parents=True)
        (a.volume / "unseen" / "below" / "new").write_bytes(b"new")
        (a.volume / "d2" / "f2").unlink()
        (places["a"] / "other").write_bytes(b"other")
        a.process.send_signal(signal.SIGCONT)
        shows(a, "events-lost", "overflowed", "max_queued_events", "everything is looked at")
        eventually(lambda: (metric(a, "syncagent_watch_losses_total") or 0) >= 1)
        eventually(lambda: (b.volume / "unseen" / "below" / "new").exists())
        vanishes(a, "events-lost")
        (a.volume / "unseen" / "below" / "after").write_bytes(b"watched")
        tree = cluster.converge()
        new = {b"unseen", b"unseen/below", b"unseen/below/new", b"unseen/below/after"}
        assert set(tree) == set(full) - {b"d2/f2"} | new


def allow_watches(pid: int, count: int) -> None:
    """Set the limit of the user namespace that a process is in."""
    script = f"echo {count} > /proc/sys/user/max_inotify_watches"
    run("nsenter", "--user", f"--target={pid}", "sh", "-c", script)


@pytest.mark.root
def test_not_everything_may_be_watched(tmp_path: Path) -> None:
    cluster = cluster_of(tmp_path, "ab")
    a, b = cluster["a"], cluster["b"]
    script = 'echo 8 > /proc/sys/user/max_inotify_watches && exec "$@"'
    a.prefix = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"]
    for number in range(12):
        (a.volume / f"d{number}").mkdir()
    with cluster:
        shows(a, "watch", "only", "are watched", "used up", "sysctl -w user.max_inotify_watches=")
        assert status(a)["watch"] == "events"
        for number in range(12):
            (a.volume / f"d{number}" / "file").write_bytes(b"%d" % number)
        eventually(lambda: len(tree_of(b.volume)) == 24)  # by the periodic scan
        assert a.process is not None
        allow_watches(a.process.pid, 1000)
        vanishes(a, "watch")
        assert len(cluster.converge()) == 24


@pytest.mark.root
def test_nothing_may_be_watched(tmp_path: Path) -> None:
    cluster = cluster_of(tmp_path, "ab")
    a, b = cluster["a"], cluster["b"]
    script = 'echo 0 > /proc/sys/user/max_inotify_watches && exec "$@"'
    a.prefix = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"]
    with cluster:
        shows(a, "watch", "cannot be watched", "used up", "sysctl -w user.max_inotify_watches=")
        assert status(a)["watch"] == "poll"
        fill(a.volume)
        eventually(lambda: len(tree_of(b.volume)) == 15)
        assert a.process is not None
        allow_watches(a.process.pid, 1000)
        vanishes(a, "watch")
        assert status(a)["watch"] == "events"
        (a.volume / "after").write_bytes(b"seen at once")
        assert len(cluster.converge()) == 16
