"""Hard scenarios: users and programs whose work collides with the agent's, in the very moment."""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from process.cluster import Cluster, Node, contents, eventually
from process.scenarios import Apart, is_at_rest, texts

DEBOUNCE_SECONDS = 0.02
"""What lasts longer than this may be published; a busy machine can make any two acts be so far apart."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    with Apart(tmp_path_factory.mktemp("pair"), "ab") as cluster:
        yield cluster


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory beside the volumes, that no agent may ever touch, with a file."""
    place = tmp_path / "outside"
    place.mkdir()
    (place / "f").write_bytes(b"outside of every volume")
    return place


@contextlib.contextmanager
def stopped(node: Node) -> Iterator[None]:
    """The agent does nothing, and is told nothing, as long as the block lasts."""
    assert node.process is not None
    node.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        node.process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def meanwhile(work: Callable[[], object]) -> Iterator[None]:
    """Repeat ``work`` in a thread as long as the block lasts; it is always done whole, at least once."""
    is_over = threading.Event()

    def run() -> None:
        work()
        while not is_over.wait(0.002):
            work()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def is_untouched(outside: Path) -> bool:
    return os.listdir(outside) == ["f"] and (outside / "f").read_bytes() == b"outside of every volume"


def test_e14_a_file_replaced_by_a_symlink_while_an_edit_arrives(pair: Apart, outside: Path) -> None:
    a, b = pair.folder("e14")
    for number in range(6):
        (a / f"f{number}").write_bytes(b"base")
    pair.converge()
    with stopped(pair["b"]):
        for number in range(6):
            (a / f"f{number}").write_bytes(b"edited at a %d" % number)
        for number in range(6):
            (b / f"f{number}").unlink()
            (b / f"f{number}").symlink_to(outside / "f")
        time.sleep(0.3)  # what A sends is there before B can look
    pair.converge()
    kept = texts(b).values()
    assert sorted(kept) == [b"edited at a %d" % number for number in range(6)]
    assert all((side / f"f{number}").readlink() == outside / "f" for number in range(6) for side in (a, b))
    assert is_untouched(outside)


def test_e14_a_file_that_keeps_becoming_a_symlink(pair: Apart, outside: Path) -> None:
    a, b = pair.folder("e14-race")
    (a / "f").write_bytes(b"base")
    pair.converge()

    def swap() -> None:
        (b / "link").symlink_to(outside / "f")
        os.replace(b / "link", b / "f")
        (b / "file").write_bytes(b"written at b")
        os.replace(b / "file", b / "f")

    with meanwhile(swap):
        for number in range(30):
            (a / "f").unlink(missing_ok=True)
            (a / "f").write_bytes(b"edited at a %d" % number)
            time.sleep(0.02)
    pair.converge()
    assert {b"edited at a 29", b"written at b"} & contents(a)
    assert is_untouched(outside)


def test_e15_a_directory_replaced_by_a_symlink_while_files_arrive_in_it(pair: Apart, outside: Path) -> None:
    a, b = pair.folder("e15")
    (a / "d").mkdir()
    (a / "d" / "f").write_bytes(b"base")
    pair.converge()
    with stopped(pair["b"]):
        (a / "d" / "f").write_bytes(b"edited at a")
        (a / "d" / "new").write_bytes(b"new at a")
        (b / "d").rename(b / "aside")
        (b / "d").symlink_to(outside)
        time.sleep(0.3)
    pair.converge()
    assert texts(a / "d") == texts(b / "d") == {"f": b"edited at a", "new": b"new at a"}
    assert (b / "aside" / "f").read_bytes() in (b"base", b"edited at a")
    links = [path.name for path in b.iterdir() if path.is_symlink()]
    assert len(links) == 1 and links[0].startswith("d~b.")
    assert is_untouched(outside)


def test_e15_a_directory_that_keeps_becoming_a_symlink(pair: Apart, outside: Path) -> None:
    a, b = pair.folder("e15-race")
    (a / "d").mkdir()
    pair.converge()

    def swap() -> None:
        with contextlib.suppress(FileNotFoundError, FileExistsError, NotADirectoryError, OSError):
            os.rename(b / "d", b / "aside")
            (b / "d").symlink_to(outside)
            (b / "d").unlink()
            os.rename(b / "aside", b / "d")

    with meanwhile(swap):
        for number in range(60):
            (a / "d").mkdir(exist_ok=True)
            (a / "d" / f"f{number}").write_bytes(b"new at a %d" % number)
            time.sleep(0.01)
    pair.converge()
    assert {b"new at a %d" % number for number in range(60)} <= contents(b)
    assert is_untouched(outside)


def by_rename(path: Path, data: bytes) -> float:
    path.with_name("4913~").write_bytes(data)
    path.with_name("4913~").rename(path)
    return 0.0


def in_place(path: Path, data: bytes) -> float:
    began = time.monotonic()
    path.write_bytes(data)
    return time.monotonic() - began


def anew(path: Path, data: bytes) -> float:
    began = time.monotonic()
    path.unlink()
    with path.open("wb") as file:
        time.sleep(DEBOUNCE_SECONDS / 5)  # here a look may come, which the delete has called for
        file.write(data)
    return time.monotonic() - began


@pytest.mark.parametrize("save", [by_rename, in_place, anew])
def test_e16_a_save_is_one_edit(pair: Apart, save: Callable[[Path, bytes], float]) -> None:
    folder = f"e16-{save.__name__}"
    a, b = pair.folder(folder)
    (a / "f").write_bytes(b"version 0")
    pair.converge()
    seen: set[bytes | None] = set()

    def look() -> None:
        try:
            seen.add((b / "f").read_bytes())
        except FileNotFoundError:
            seen.add(None)

    slowest, before = 0.0, pair.writer("a", f"{folder}/f")[1]
    with meanwhile(look):
        for number in range(1, 6):
            slowest = max(slowest, save(a / "f", b"version %d" % number))
            eventually(lambda number=number: (b / "f").read_bytes() == b"version %d" % number, 20)
    pair.converge()
    versions: set[bytes | None] = {b"version %d" % number for number in range(6)}
    assert seen <= versions or slowest > DEBOUNCE_SECONDS / 2, seen - versions
    assert seen <= versions | {b"", None}
    if save is not by_rename and slowest <= DEBOUNCE_SECONDS / 2:
        assert pair.writer("a", f"{folder}/f")[1] == before + 5
    assert texts(a) == texts(b) == {"f": b"version 5"}


def test_of_all_these_nothing_moves_any_more(pair: Apart) -> None:
    is_at_rest(pair)


@pytest.mark.parametrize("place", ["disk", "memory"])
def test_e29_stores_through_a_map(tmp_path: Path, place: str) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if place == "memory" else tmp_path) as root:
        cluster = Cluster(Path(root), "ab")
        cluster["a"].options = ",scan_interval=1s"
        with cluster:
            a, b = cluster.volumes()
            (a / "f").write_bytes(b"0" * 8192)
            cluster.converge()
            with (a / "f").open("r+b") as file, mmap.mmap(file.fileno(), 8192) as stored:
                stored[:] = b"1" * 8192  # no event tells of this, but the time does
                eventually(lambda: (b / "f").read_bytes() == b"1" * 8192, 20)
                stored[:] = b"2" * 8192  # the page was not clean yet: not even the time tells
            eventually(lambda: (b / "f").read_bytes() == b"2" * 8192, 20)
            assert set(cluster.converge()) == {b"f"}
