"""What of a tree is kept: owners, modes, attributes, holes, links, odd names; and what is reported instead."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from process.cluster import Cluster, eventually, tree_of

ODD_NAMES = [
    b"not-utf8-\xff\xfe",
    b"new\nline",
    b"control\x01\x1b[31m",
    b"L" * 255,
    b" space at both ends ",
    b"-dash",
    b"back\\slash",
    b"*glob?[a]",
    b"#hash",
    b"!bang",
    b"...",
    b"tilde~",
    "composed \u00e9, decomposed e\u0301".encode(),
]


def make_odd_tree(root: Path) -> None:
    """Names, modes, links and holes of every kind."""
    for name in ODD_NAMES:
        with open(os.path.join(os.fsencode(root), name), "wb") as file:
            file.write(name)
    deep = root.joinpath(*[f"deep{level:02}" for level in range(40)])
    deep.mkdir(parents=True)
    (deep / "leaf").write_bytes(b"leaf")
    (root / "empty" / "nested").mkdir(parents=True)
    (root / "nothing").write_bytes(b"")
    for link, target in (
        ("relative", "deep00"),
        ("absolute", "/etc/hosts"),
        ("dangling", "no/where"),
        ("l", "x" * 3000),
    ):
        (root / link).symlink_to(target)
    for number in range(80):
        (root / f"same{number}").write_bytes(b"the same")
        (root / f"void{number}").write_bytes(b"")
    os.setxattr(root / "nothing", "user.note", b"binary \0 value")
    os.setxattr(root / "empty", "user.of-a-directory", b"kept")
    os.utime(root / "nothing", ns=(0, 1_234_567_890_123_456_789))
    make_modes(root)


def make_modes(root: Path) -> None:
    for mode in (0o000, 0o400, 0o444, 0o555, 0o600, 0o777):
        (root / f"mode{mode:o}").write_bytes(b"%o" % mode)
        (root / f"mode{mode:o}").chmod(mode)
    (root / "read-only").mkdir()
    (root / "read-only" / "file").write_bytes(b"x")
    (root / "read-only").chmod(0o555)


def make_sparse(path: Path, size: int, island: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)
        if island:
            file.seek(island)
            file.write(b"island" * 100)


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    make_odd_tree(source)
    make_sparse(source / "sparse", 60_000_000, 20_000_000)
    make_sparse(source / "hole", 20_000_000, 0)
    make_sparse(source / "small-sparse", 300_000, 200_000)
    return source


def directory_times(root: Path) -> dict[Path, int]:
    below = [path.relative_to(root) for path in root.rglob("*") if is_directory(path)]
    return {path: (root / path).stat().st_mtime_ns for path in below if path.parts[0] != ".syncagent"}


def is_directory(path: Path) -> bool:
    return stat.S_ISDIR(path.lstat().st_mode)


def test_a_joiner_gets_an_exact_copy_also_of_directory_times(tmp_path: Path, odd: Path) -> None:
    cluster = Cluster(tmp_path, "ab")
    a, b = cluster["a"], cluster["b"]
    subprocess.run(["cp", "-a", f"{odd}/.", str(a.volume)], check=True)
    times = directory_times(a.volume)
    with cluster:
        assert cluster.converge() == tree_of(odd)
        assert directory_times(b.volume) == times == directory_times(a.volume)
        for name in ("sparse", "hole", "small-sparse"):
            assert (b.volume / name).stat().st_blocks <= (odd / name).stat().st_blocks + 8
        assert b.ctl("problems").returncode == 0


def test_it_changes_in_place_and_away(tmp_path: Path, odd: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster.volumes()
        subprocess.run(["cp", "-a", f"{odd}/.", str(a)], check=True)
        assert cluster.converge() == tree_of(odd)
        (b / "read-only" / "file").write_bytes(b"changed at b")
        (b / "mode444").chmod(0o640)
        os.removexattr(b / "nothing", "user.note")
        os.setxattr(b / "same1", "user.new", b"1")
        os.utime(b / "same2", ns=(5, 1_000_000_000_000_000_005))
        (a / "relative").unlink()
        (a / "relative").symlink_to("elsewhere")
        with (a / "sparse").open("r+b") as file:
            file.seek(40_000_000)
            file.write(b"another island")
        tree = cluster.converge()
        assert (a / "read-only" / "file").read_bytes() == b"changed at b"
        assert (a / "same2").stat().st_mtime_ns == 1_000_000_000_000_000_005
        assert not any(b"~" in path for path in tree if path != b"tilde~")
        shutil.rmtree(a / "deep00")
        (b / "read-only").rename(b / "moved")
        assert b"moved/file" in cluster.converge()


@pytest.mark.root
def test_owners_are_kept(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster.volumes()
        for number in range(30):
            (a / f"f{number}").write_bytes(b"%d" % number)
            os.chown(a / f"f{number}", 1000 + number, 2000 + number)
        (a / "d").mkdir()
        os.chown(a / "d", 33, 34)
        (a / "l").symlink_to("f1")
        os.chown(a / "l", 5, 6, follow_symlinks=False)
        cluster.converge()
        subprocess.run(["chown", "-R", "77:78", str(b)], check=True)
        cluster.converge()
        assert {(p.lstat().st_uid, p.lstat().st_gid) for p in a.iterdir()} == {(77, 78)}


def test_what_is_not_replicated_is_reported_and_nothing_is_dropped(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster.volumes()
        (a / "name1").write_bytes(b"two names")
        os.link(a / "name1", a / "name2")
        os.mkfifo(a / "fifo")
        (a / "setuid").write_bytes(b"#!")
        (a / "setuid").chmod(0o4755)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(os.path.relpath(a / "socket"))
        assert cluster["a"].ctl("wait").returncode == 0
        said = cluster["a"].ctl("problems")
        assert said.returncode == 0
        for word in ("name1: hard link", "name2: hard link", "fifo: FIFO", "socket: socket", "setuid: setuid"):
            assert word in said.stdout
        assert {p.name for p in b.iterdir()} - {".syncagent"} == {"name1", "name2", "setuid"}
        assert cluster["a"].status()["in_sync"] is True


def test_hard_links_are_files_of_one_content(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster.volumes()
        (a / "name1").write_bytes(b"one")
        os.link(a / "name1", a / "name2")
        cluster["a"].ctl("wait")
        with (a / "name1").open("ab") as file:
            file.write(b" and more")
        eventually(lambda: (b / "name1").read_bytes() == (b / "name2").read_bytes() == b"one and more")
        (a / "name1").unlink()
        assert set(cluster.converge()) == {b"name2"}
        eventually(lambda: "hard link" not in cluster["a"].ctl("problems").stdout)


def test_a_file_that_becomes_a_fifo_stays_with_the_others_until_it_goes(tmp_path: Path) -> None:
    with Cluster(tmp_path, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        (a.volume / "f").write_bytes(b"content")
        (a.volume / "other").write_bytes(b"other")
        cluster.converge()
        (a.volume / "f").unlink()
        os.mkfifo(a.volume / "f")
        eventually(lambda: a.ctl("problems").returncode == 5)
        assert (b.volume / "f").read_bytes() == b"content"
        assert a.ctl("wait", "--timeout", "0.5").returncode == 5
        (a.volume / "f").unlink()
        assert set(cluster.converge()) == {b"other"}
        assert a.ctl("problems").stdout == "no problems\n"
