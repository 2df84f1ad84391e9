"""A disk of a volume that is full, read-only, or refuses a path: it shows, all else flows, and it heals by itself."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from process.cluster import Cluster, tree_of
from process.degraded import (
    arrives,
    cluster_of,
    ext4,
    fill,
    fill_up,
    flows,
    mounted,
    run,
    second_volume,
    shows,
    status,
    vanishes,
)

pytestmark = pytest.mark.root


def heals(cluster: Cluster, before: set[bytes], *more: bytes) -> None:
    """All replicas are equal and hold what there was and what came, without a conflict copy."""
    tree = cluster.converge()
    assert set(tree) == before | set(more)


def test_the_disk_of_a_volume_is_full(tmp_path: Path) -> None:
    cluster = cluster_of(tmp_path, "abc")
    places = second_volume(cluster, tmp_path)
    a, b, c = (cluster[name] for name in "abc")
    with mounted(b.volume, "-t", "tmpfs", "-o", "size=3m", "none"), cluster:
        fill(a.volume)
        full = set(cluster.converge())
        ballast = b.volume / ".syncagent-ballast"
        (b.volume / ".syncignore").write_bytes(b".syncagent-ballast\n")
        cluster.converge()
        fill_up(b.volume).rename(ballast)
        (a.volume / "big").write_bytes(os.urandom(1 << 20))
        (a.volume / "d1" / "f1").write_bytes(b"a new version of 1")
        shows(b, "staging", "free space")
        assert (b.volume / "d1" / "f1").read_bytes() == b"1"
        flows(a, c)
        (places["a"] / "other").write_bytes(b"other")
        arrives(places["b"] / "other", b"other")
        (b.volume / "d2" / "f2").unlink()
        (b.volume / "d0" / "f0").rename(b.volume / "d0" / "renamed")
        arrives(c.volume / "d0" / "renamed", b"0")
        ballast.unlink()
        vanishes(b, "staging", "apply")
        heals(cluster, full - {b"d2/f2", b"d0/f0"}, b"big", b"flows", b"d0/renamed", b".syncignore")
        assert (b.volume / "d1" / "f1").read_bytes() == b"a new version of 1"


def test_no_inode_is_left(tmp_path: Path) -> None:
    cluster = cluster_of(tmp_path, "abc")
    a, b, c = (cluster[name] for name in "abc")
    with mounted(b.volume, "-t", "tmpfs", "-o", "nr_inodes=40", "none"), cluster:
        fill(a.volume)
        full = set(cluster.converge())
        for number in range(40):
            (a.volume / f"new{number}").write_bytes(b"new %d" % number)
        shows(b, "staging", "free space")
        flows(a, c)
        assert status(c)["state"] == "running" and len(tree_of(c.volume)) == len(full) + 41
        run("mount", "-o", "remount,nr_inodes=400", b.volume)
        vanishes(b, "staging", "apply")
        heals(cluster, full, b"flows", *(b"new%d" % number for number in range(40)))


def test_the_file_system_becomes_read_only(tmp_path: Path) -> None:
    cluster = cluster_of(tmp_path, "abc")
    places = second_volume(cluster, tmp_path)
    a, b, c = (cluster[name] for name in "abc")
    with mounted(b.volume, "-t", "tmpfs", "-o", "size=8m", "none"), cluster:
        fill(a.volume)
        full = set(cluster.converge())
        run("mount", "-o", "remount,ro", b.volume)
        (a.volume / "new").write_bytes(b"new")
        shows(b, "staging", "Read-only file system", "mount the volume writable")
        (a.volume / "d1" / "f1").unlink()
        (a.volume / "d2" / "f2").rename(a.volume / "d2" / "renamed")
        shows(b, "apply", "Read-only file system", "mount the volume writable")
        flows(a, c)
        assert (b.volume / "d1" / "f1").read_bytes() == b"1"
        (places["b"] / "other").write_bytes(b"other")
        arrives(places["a"] / "other", b"other")
        run("mount", "-o", "remount,rw", b.volume)
        vanishes(b, "staging", "apply")
        heals(cluster, full - {b"d1/f1", b"d2/f2"}, b"new", b"flows", b"d2/renamed")


def test_a_file_is_immutable(tmp_path: Path) -> None:
    cluster = cluster_of(tmp_path, "ab")
    a, b = cluster["a"], cluster["b"]
    with ExitStack() as stack:
        stack.enter_context(ext4(tmp_path / "image", b.volume))
        stack.enter_context(cluster)
        fill(a.volume)
        full = set(cluster.converge())
        fixed = b.volume / "d1" / "f1"
        run("chattr", "+i", fixed)
        stack.callback(subprocess.run, ["chattr", "-i", str(fixed)], check=False, capture_output=True)
        (a.volume / "d1" / "f1").write_bytes(b"a new version of 1")
        found = shows(b, "apply", "Operation not permitted", "immutable", "lsattr")
        assert found[0]["path"] == "d1/f1" and fixed.read_bytes() == b"1"
        flows(a, b)
        flows(b, a, name="d1/back")
        run("chattr", "-i", fixed)
        vanishes(b, "apply")
        heals(cluster, full, b"flows", b"d1/back")
        assert fixed.read_bytes() == b"a new version of 1"


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that every user may enter: pytest closes its own against others."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o711)
        yield place


def test_a_path_may_not_be_read_nor_written(open_path: Path) -> None:
    cluster = cluster_of(open_path, "ab")
    a, b = cluster["a"], cluster["b"]
    b.prefix = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--reuid=65534", "--regid=65534", "--clear-groups"]
    b.state.mkdir()
    for place in (b.volume, b.state):
        os.chown(place, 65534, 65534)
    with cluster:
        fill(a.volume)
        for place in (a.volume, *a.volume.rglob("*")):
            os.chown(place, 65534, 65534)
        full = set(cluster.converge())
        secret = b.volume / "secret"
        secret.touch()
        os.chown(secret, 0, 0)
        secret.chmod(0o600)
        secret.write_bytes(b"of root")
        locked = b.volume / "d1"
        os.chown(locked, 0, 0)
        locked.chmod(0o700)
        found = shows(b, "unreadable", "Permission denied", "give the agent the permission")
        (a.volume / "d1" / "new").write_bytes(b"new")
        shows(b, "apply", "Permission denied", "give the agent the permission")
        assert {each["path"] for each in found} <= {"secret", "d1"}
        flows(a, b)
        assert (a.volume / "d1" / "f1").read_bytes() == b"1", "what cannot be listed is not deleted"
        os.chown(locked, 65534, 65534)
        os.chown(secret, 65534, 65534)
        vanishes(b, "unreadable", "apply")
        for name in ("flows", "d1/new"):  # b may not give away what root wrote
            os.chown(a.volume / name, 65534, 65534)
        heals(cluster, full, b"flows", b"d1/new", b"secret")
