"""Much at once: changes of type, of names, on both sides, by editors and loops, and kills at random moments."""

from __future__ import annotations

import http.client
import os
import random
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from process.cluster import Cluster, contents, eventually, tree_of


def both(*works: Callable[[], object]) -> None:
    """Do these at the same time."""
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def copies(tree: dict[bytes, tuple[object, ...]]) -> list[bytes]:
    return [path for path in tree if b"~" in path]


def fill(root: Path, directories: int, files: int) -> None:
    """Directories with files of few and of many bytes, many of them equal, many empty."""
    for number in range(directories):
        for part in range(files):
            path = root / f"d{number}" / f"e{part % 3}" / f"f{part}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes([b"", b"the same", b"%d-%d" % (number, part), os.urandom(5000)][part % 4])


def test_changes_of_type_make_no_copies(tmp_path: Path) -> None:
    with Cluster(tmp_path, "abc") as cluster:
        a, b, _ = cluster.volumes()
        for number in range(12):
            (a / f"x{number}").write_bytes(b"base %d" % number)
            (a / f"dir{number}" / "below").mkdir(parents=True)
            (a / f"dir{number}" / "below" / "f").write_bytes(b"%d" % number)
        cluster.converge()
        for number in range(12):
            change_type(a, number)
        assert not copies(cluster.converge())
        for number in range(12):
            (b / f"dir{number}").unlink()
            (b / f"dir{number}").mkdir()
            (b / f"dir{number}" / "below").write_bytes(b"a file now")
        tree = cluster.converge()
        assert not copies(tree) and b"dir3/below" in tree


def change_type(root: Path, number: int) -> None:
    """From file over directory and symlink to something else; from directory to symlink or file."""
    path, directory = root / f"x{number}", root / f"dir{number}"
    path.unlink()
    path.mkdir()
    (path / "in").write_bytes(b"in")
    shutil.rmtree(path)
    path.symlink_to("nowhere")
    path.unlink()
    if number % 2:
        path.mkdir()
    else:
        path.write_bytes(b"again")
    if number % 3:
        shutil.rmtree(directory)
    else:
        directory.rename(root / f"moved{number}")
    if number % 3 == 1:
        directory.symlink_to(f"x{number}")
    else:
        directory.write_bytes(b"was a directory")


def save(path: Path, way: int, data: bytes) -> None:
    """As editors do: over a temporary name, in place, anew, or over a backup."""
    beside = path.with_name(f".{path.name}.new")
    if way == 0:
        beside.write_bytes(data)
        beside.rename(path)
    elif way == 1:
        with path.open("r+b") as file:
            file.truncate()
            file.write(data)
    elif way == 2:
        path.unlink()
        path.write_bytes(data)
    else:
        path.rename(beside)
        path.write_bytes(data)
        beside.unlink()


def test_saves_swaps_and_cycles_of_names(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster.volumes()
        for number in range(16):
            (a / f"f{number}").write_bytes(b"first %d" % number)
        for name in "pqr":
            (a / name).mkdir()
            for number in range(5):
                (a / name / f"{number}").write_bytes(name.encode() * number)
        cluster.converge()
        for around in range(5):
            for number in range(16):
                save(a / f"f{number}", (number + around) % 4, b"%d of %d" % (around, number))
            time.sleep(0.02 * around)
        for number in range(0, 16, 2):
            os.rename(a / f"f{number}", a / "t")
            os.rename(a / f"f{number + 1}", a / f"f{number}")
            os.rename(a / "t", a / f"f{number + 1}")
        for old, new in (("p", "t"), ("q", "p"), ("r", "q"), ("t", "r")):
            os.rename(a / old, a / new)
        tree = cluster.converge()
        assert not copies(tree) and len(tree) == 16 + 3 * 6
        assert (b / "f0").read_bytes() == b"4 of 1" and (b / "r" / "2").read_bytes() == b"pp"


def test_a_directory_moved_into_one_that_is_deleted_elsewhere_survives(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster.volumes()
        for name in ("moved", "goes"):
            (a / name).mkdir()
            for number in range(5):
                (a / name / f"{number}").write_bytes(b"%s %d" % (name.encode(), number))
        cluster.converge()
        cluster["b"].kill()
        os.rename(a / "moved", a / "goes" / "moved")
        shutil.rmtree(b / "goes")
        cluster["b"].start()
        tree = cluster.converge()
        assert {b"moved %d" % number for number in range(5)} <= contents(b)
        assert not copies(tree)


def test_both_sides_create_rename_and_delete(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster.volumes()
        fill(a, 24, 24)
        full = cluster.converge()

        def at_a() -> None:
            for number in range(100):
                (a / f"new-a{number}").write_bytes(b"a%d" % number)
            for number in range(6):
                os.rename(a / f"d{number}", a / f"moved{number}")
            shutil.rmtree(a / "d6")

        def at_b() -> None:
            for number in range(100):
                (b / f"new-b{number}").write_bytes(b"b%d" % number)
            for number in range(8, 14):
                os.rename(b / f"d{number}", b / f"moved{number}")
            shutil.rmtree(b / "d14")
            for path in sorted((b / "d16").rglob("f*")):
                path.write_bytes(b"edited at b")

        both(at_a, at_b)
        tree = cluster.converge()
        assert not copies(tree) and len(tree) == len(full) + 200 - 2 * 28
        assert b"moved3/e0/f3" in tree and b"d3" not in tree and b"d14" not in tree


def test_conflicts_in_two_rounds(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster.volumes()
        for around in range(2):
            both(
                lambda around=around: write_all(a, b"a%d" % around),  # type: ignore[misc]
                lambda around=around: write_all(b, b"b%d" % around),  # type: ignore[misc]
            )
            tree = cluster.converge()
            kept = contents(a)
            assert {b"%s%d same" % (b"x", number) for number in range(10)} <= kept
            for number in range(10):
                assert {b"a%d %d" % (around, number), b"b%d %d" % (around, number)} & kept
        found = sorted(copies(tree))
        (a / os.fsdecode(found[0])).write_bytes(b"an edited copy")
        (b / os.fsdecode(found[1])).unlink()
        both(
            lambda: os.replace(a / os.fsdecode(found[2]), a / "f1"),
            lambda: (b / "f1").write_bytes(b"resolved at b"),
        )
        tree = cluster.converge()
        assert found[0] in tree and found[1] not in tree
        assert b"resolved at b" in contents(a) and b"an edited copy" in contents(b)


def write_all(root: Path, who: bytes) -> None:
    for number in range(10):
        (root / f"f{number}").write_bytes(b"%s %d" % (who, number))
        (root / f"same{number}").write_bytes(b"x%d same" % number)


def test_what_grows_is_never_seen_mixed(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster.volumes()
        line, seen = b"a line of the log %05d\n", set[bytes]()
        whole = b"".join(line % number for number in range(40))
        with (a / "log").open("wb") as log:
            for number in range(40):
                log.write(line % number)
                log.flush()
                time.sleep(0.05)
                if (b / "log").exists():
                    seen.add((b / "log").read_bytes())
        assert len(seen) > 3 and all(whole.startswith(found) for found in seen)
        is_over = threading.Event()
        writer = threading.Thread(target=rewrite, args=(a / "block", is_over))
        writer.start()
        try:
            for _ in range(60):
                time.sleep(0.02)
                found = (b / "block").read_bytes() if (b / "block").exists() else b""
                assert found == found[:8] * (len(found) // 8)
        finally:
            is_over.set()
            writer.join()
        cluster.converge()
        assert (b / "log").read_bytes() == whole


def rewrite(path: Path, is_over: threading.Event) -> None:
    number = 0
    while not is_over.is_set():
        number += 1
        path.write_bytes(b"%08d" % number * 20_000)


def test_who_has_a_file_open_loses_nothing(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster.volumes()
        (a / "f").write_bytes(b"first" * 100)
        cluster.converge()
        with (b / "f").open("r+b") as late:
            (a / "f").write_bytes(b"from a")
            time.sleep(0.5)
            late.write(b"late")
        cluster.converge()
        kept = contents(a)
        assert b"from a" in kept and any(found.startswith(b"latet") for found in kept)


def test_kills_at_random_moments(tmp_path: Path) -> None:
    chance = random.Random(1)
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster.volumes()
        fill(tmp_path / "source", 20, 30)
        shutil.copytree(tmp_path / "source", a, dirs_exist_ok=True)
        expected = tree_of(a)
        kill_some(cluster, chance)
        assert cluster.converge() == expected
        for number in range(8):
            os.rename((a, b)[number % 2] / f"d{number}", (a, b)[number % 2] / f"moved{number}")
        kill_some(cluster, chance)
        tree = cluster.converge()
        assert len(tree) == len(expected) and not copies(tree)
        shutil.rmtree(a / "moved0")
        for path in sorted((b / "d10").rglob("f*")):
            save(path, chance.randrange(4), os.urandom(100))
        with (a / "d11" / "large").open("wb") as file:
            file.write(os.urandom(20_000_000))
        kill_some(cluster, chance)
        tree = cluster.converge()
        assert not copies(tree) and len(tree) == len(expected) + 1 - 34
        for volume in (a, b):
            eventually(lambda volume=volume: not (volume / ".syncagent" / "staging").exists(), 30)


def kill_some(cluster: Cluster, chance: random.Random) -> None:
    for _ in range(2):
        time.sleep(chance.uniform(0, 0.5))
        victim = cluster[chance.choice("ab")]
        victim.kill()
        time.sleep(chance.uniform(0, 0.1))
        victim.start()


def test_a_broken_transfer_goes_on_where_it_was(tmp_path: Path) -> None:
    size = 60_000_000
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        (a.volume / "large").write_bytes(os.urandom(size))
        part = b.volume / ".syncagent" / "staging"
        eventually(lambda: part.exists() and sum(p.stat().st_blocks * 512 for p in part.iterdir()) > size // 3)
        b.kill()
        assert not (b.volume / "large").exists()
        before = sum(path.stat().st_blocks * 512 for path in part.iterdir())
        b.start()
        cluster.converge()
        fetched = counter(cluster, "bytes_fetched")
        assert fetched < size - before // 2


def counter(cluster: Cluster, name: str) -> float:
    """A counter of agent b."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(os.fspath(cluster["b"].socket))
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return float(next(line for line in lines if line.startswith(f"syncagent_{name}_total ")).split()[1])
