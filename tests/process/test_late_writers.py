"""Real agents: who has a file open for writing while a peer's version arrives loses nothing, on ext4 and on tmpfs."""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import pytest

from process.cluster import Cluster, contents, eventually

OLD = b"old content of 28 bytes here"
LATE = b"LATE"
SOMEBODY = 1234
WITHOUT_LEASES = ["setpriv", "--bounding-set=-lease,-setuid"]
"""For a file of another owner the kernel gives no lease then."""


class Writer(Protocol):
    """Has a file open for writing."""

    def __init__(self, path: Path) -> None: ...

    def write(self) -> None:
        """Put LATE in its beginning."""

    def close(self) -> None: ...


class Descriptor:
    """By a plain descriptor."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR)

    def write(self) -> None:
        os.pwrite(self._fd, LATE, 0)

    def close(self) -> None:
        os.close(self._fd)


class Mapping:
    """By a writable mapping, whose descriptor is closed."""

    def __init__(self, path: Path) -> None:
        fd = os.open(path, os.O_RDWR)
        self._map = mmap.mmap(fd, 0)
        os.close(fd)

    def write(self) -> None:
        self._map[: len(LATE)] = LATE
        self._map.flush()

    def close(self) -> None:
        self._map.close()


WRITERS = [Descriptor, Mapping]


@pytest.fixture(params=["ext4", "tmpfs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A directory of a file system that is on a disk, and of one that is in memory."""
    if request.param == "ext4":
        yield tmp_path
        return
    with TemporaryDirectory(dir="/dev/shm") as directory:
        yield Path(directory)


@pytest.mark.parametrize("open_writer", WRITERS)
def test_a_writer_that_holds_a_file_open_loses_nothing(place: Path, open_writer: type[Writer]) -> None:
    with Cluster(place, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        (a.volume / "f").write_bytes(OLD)
        (a.volume / "gone").write_bytes(OLD + b" too")
        cluster.converge()
        writers = [open_writer(b.volume / name) for name in ("f", "gone")]
        (a.volume / "f").write_bytes(b"new")
        (a.volume / "gone").unlink()
        (a.volume / "marker").write_bytes(b"arrives")
        eventually(lambda: (b.volume / "marker").exists())
        assert (b.volume / "f").read_bytes() == OLD and (b.volume / "gone").exists()
        for writer in writers:
            writer.write()
            writer.close()
        cluster.converge()
        late = LATE + OLD[len(LATE) :]
        for volume in cluster.volumes():
            assert contents(volume) >= {b"new", late, late + b" too", b"arrives"}
            assert (volume / "gone").read_bytes() == late + b" too"
        assert len(json.loads(a.ctl("conflicts", "--json").stdout)["conflicts"]) == 1


@pytest.mark.root
@pytest.mark.parametrize("open_writer", WRITERS)
def test_late_bytes_become_a_conflict_copy_where_nobody_can_ask(place: Path, open_writer: type[Writer]) -> None:
    with Cluster(place, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        b.stop()
        b.prefix = WITHOUT_LEASES
        b.start()
        (a.volume / "f").write_bytes(OLD)
        os.chown(a.volume / "f", SOMEBODY, SOMEBODY)
        cluster.converge()
        writer = open_writer(b.volume / "f")
        (a.volume / "f").write_bytes(b"new")
        eventually(lambda: (b.volume / "f").read_bytes() == b"new")
        writer.write()
        eventually(lambda: (b.volume / "f~displaced-1").exists())
        cluster.converge()
        writer.close()
        late = LATE + OLD[len(LATE) :]
        for node in (a, b):
            assert (node.volume / "f").read_bytes() == b"new"
            assert (node.volume / "f~displaced-1").read_bytes() == late
            (conflict,) = json.loads(node.ctl("conflicts", "--json").stdout)["conflicts"]
            assert (conflict["path"], conflict["of"], conflict["origin"]) == ("f~displaced-1", "f", "b")
        assert a.ctl("conflicts", "resolve", "f", "--keep", "b").returncode == 0
        cluster.converge()
        for volume in cluster.volumes():
            assert (volume / "f").read_bytes() == late and not (volume / "f~displaced-1").exists()
