"""What the watcher promises, on real file systems: which hints an operation gives."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contract.watcher_harness import (
    PLACES,
    Hint,
    Volume,
    exchange,
    place,
    relative,
    watched_volume,
    write,
)
from syncagent.ports import DirtyPath, WatchLost


@pytest.fixture(params=PLACES)
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    with place(request.param, tmp_path) as directory:
        yield directory


@pytest.fixture
def volume(base: Path) -> Iterator[Volume]:
    with watched_volume(base) as watched:
        yield watched


def now(path: bytes) -> DirtyPath:
    return DirtyPath(path, is_closed=True)


def later(path: bytes) -> DirtyPath:
    return DirtyPath(path, is_closed=False)


def tree_now(path: bytes) -> DirtyPath:
    return DirtyPath(path, is_closed=True, is_tree=True)


def tree_later(path: bytes) -> DirtyPath:
    return DirtyPath(path, is_closed=False, is_tree=True)


def prepare(root: Path, outside: Path) -> None:
    write(root / "a")
    write(root / "b")
    for top in (root / "d", outside / "d"):
        (top / "sub").mkdir(parents=True)
        write(top / "sub" / "f")
    (root / "empty").mkdir()
    write(outside / "a")


CASES: dict[str, tuple[Callable[[Path, Path], object], list[Hint]]] = {
    "rename in": (lambda r, o: (o / "a").rename(r / "new"), [now(b"new")]),
    "rename in over a file": (lambda r, o: (o / "a").rename(r / "a"), [now(b"a")]),
    "rename out": (lambda r, o: (r / "a").rename(o / "gone"), [now(b"a")]),
    "rename within, new name first": (lambda r, o: (r / "a").rename(r / "c"), [now(b"c"), now(b"a")]),
    "rename to another directory": (lambda r, o: (r / "a").rename(r / "d/a"), [now(b"d/a"), now(b"a")]),
    "replace by rename": (lambda r, o: (r / "a").rename(r / "b"), [now(b"b"), now(b"a")]),
    "rename a directory": (lambda r, o: (r / "d").rename(r / "e"), [tree_now(b"e"), tree_now(b"d")]),
    "move a directory in": (lambda r, o: (o / "d").rename(r / "in"), [tree_now(b"in")]),
    "move a directory out": (lambda r, o: (r / "d").rename(o / "out"), [tree_now(b"d")]),
    "delete a file": (lambda r, o: (r / "a").unlink(), [now(b"a")]),
    "delete a directory": (lambda r, o: (r / "empty").rmdir(), [now(b"empty")]),
    "chmod": (lambda r, o: (r / "a").chmod(0o600), [now(b"a")]),
    "chmod of the root": (lambda r, o: r.chmod(0o750), [now(b"")]),
    "utime": (lambda r, o: os.utime(r / "a", (1, 2)), [now(b"a")]),
    "truncate by name": (lambda r, o: os.truncate(r / "a", 3), [later(b"a")]),
    "symlink": (lambda r, o: (r / "link").symlink_to("d"), [later(b"link")]),
    "hard link": (lambda r, o: os.link(r / "a", r / "d/hard"), [later(b"d/hard")]),
    "fifo": (lambda r, o: os.mkfifo(r / "fifo"), [later(b"fifo")]),
    "mkdir": (lambda r, o: (r / "d/new").mkdir(), [tree_later(b"d/new")]),
    "write and close": (lambda r, o: write(r / "n"), [later(b"n"), later(b"n"), now(b"n")]),
    "names that are not UTF-8": (
        lambda r, o: os.rename(os.fsencode(r / "a"), os.fsencode(r) + b"/d/caf\xe9"),
        [now(b"d/caf\xe9"), now(b"a")],
    ),
    "reading": (lambda r, o: ((r / "a").read_bytes(), os.listdir(r / "d"), os.stat(r / "b")), []),
}


@pytest.mark.parametrize(("act", "expected"), CASES.values(), ids=CASES.keys())
def test_hints_of_one_operation(base: Path, act: Callable[[Path, Path], object], expected: list[Hint]) -> None:
    (base / "volume").mkdir()
    (base / "outside").mkdir()
    prepare(base / "volume", base / "outside")
    with watched_volume(base) as volume:
        act(volume.root, volume.outside)
        happened = volume.happened()
    # Two halves of a rename that a busy machine delivers far apart come in their own order, and that is fine.
    assert sorted(happened, key=str) == sorted(expected, key=str)


def test_a_file_held_open_gives_no_close(volume: Volume) -> None:
    with open(volume.root / "log", "wb", buffering=0) as file:
        for _ in range(3):
            file.write(b"line")
            volume.barrier()
        assert set(volume.happened()) == {later(b"log")}
    assert volume.happened() == [now(b"log")]


def test_a_directory_below_a_name_that_is_not_utf8_is_watched(volume: Volume) -> None:
    os.makedirs(os.fsencode(volume.root) + b"/\xff\xfe/\xe4")
    volume.barrier()
    volume.hints.take()
    with open(os.fsencode(volume.root) + b"/\xff\xfe/\xe4/\xfc", "wb"):
        pass
    assert volume.happened() == [later(b"\xff\xfe/\xe4/\xfc"), now(b"\xff\xfe/\xe4/\xfc")]


def test_an_unpaired_move_does_not_hold_back_what_follows(volume: Volume) -> None:
    write(volume.root / "other")
    waited = []
    for number in range(5):
        write(volume.root / f"leaves-{number}")
        volume.barrier()
        volume.hints.take()
        (volume.root / f"leaves-{number}").rename(volume.outside / f"left-{number}")
        write(volume.root / "other")
        start = time.monotonic()
        volume.hints.wait_for(lambda hints: now(b"other") in hints)
        waited.append(time.monotonic() - start)
    assert min(waited) < 0.2, "the stock observer holds everything back for 0.5 s each time"


class Found:
    """What an engine would know from hints: the paths named, and for trees what a scan at that moment shows."""

    def __init__(self, root: Path) -> None:
        self._root = os.fsencode(root)
        self.paths: set[bytes] = set()

    def __call__(self, hint: Hint) -> None:
        assert isinstance(hint, DirtyPath)
        self.paths.add(hint.path)
        if hint.is_tree:
            for directory, _, names in os.walk(os.path.join(self._root, hint.path)):
                self.paths |= {os.path.relpath(os.path.join(directory, name), self._root) for name in names}


def test_nothing_is_lost_when_directories_appear_and_fill_in_a_tight_loop(volume: Volume) -> None:
    found = volume.hints.on_hint = Found(volume.root)
    wanted: set[bytes] = set()

    def fill() -> None:
        for number in range(150):
            deep = volume.root / f"t{number}" / "a" / "b"
            deep.mkdir(parents=True)
            write(deep / "early")
            renamed = volume.root / f"r{number}"
            (volume.root / f"t{number}").rename(renamed)
            write(renamed / "a" / "b" / "late")
            wanted.update(relative(renamed / "a" / "b" / name, volume.root) for name in ("early", "late"))

    writers = [threading.Thread(target=fill)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    volume.barrier()
    assert wanted - found.paths == set()
    assert volume.watcher.watched_directories == 1 + 3 * 150
    assert volume.watcher.check(1 + 3 * 150) is None


def test_paths_stay_right_through_any_series_of_renames(volume: Volume) -> None:
    """Directories are renamed, exchanged, moved out and in again, deleted and made anew: a write is named rightly."""
    choose = random.Random(7)
    tops = [volume.root / f"top{number}" for number in range(4)]
    names = [*tops, *(top / "x" for top in tops), volume.outside / "o1", volume.outside / "o2"]
    for step in range(150):
        _one_step(choose, names)
        volume.barrier()
        volume.hints.take()
        inside = sorted(path for path in volume.root.rglob("*") if path.is_dir())
        for directory in inside:
            write(directory / "file")
        hints = volume.happened()
        for directory in inside:
            assert now(relative(directory / "file", volume.root)) in hints, f"step {step}: {directory}"
    assert volume.watcher.is_alive


def _one_step(choose: random.Random, names: list[Path]) -> None:
    left, right = choose.sample(names, 2)
    is_nested = left in right.parents or right in left.parents
    if left.exists() and right.exists():
        if not is_nested:
            exchange(left, right)
    elif left.exists() and right.parent.exists() and not is_nested:
        left.rename(right)
    elif left.parent.exists() and not left.exists():
        left.mkdir()
    elif left.exists() and sorted(path.name for path in left.iterdir()) in ([], ["file"]):
        (left / "file").unlink(missing_ok=True)
        left.rmdir()


def test_a_directory_that_left_and_whose_name_is_used_again_does_not_kill_the_watcher(volume: Volume) -> None:
    (volume.root / "d").mkdir()
    volume.barrier()
    (volume.root / "d").rename(volume.outside / "left")
    (volume.root / "d").mkdir()
    volume.barrier()
    (volume.root / "d").rmdir()
    volume.barrier()
    (volume.outside / "left").rmdir()
    volume.barrier()
    volume.hints.take()
    write(volume.root / "after")
    assert now(b"after") in volume.happened()
    assert volume.watcher.watched_directories == 1


def test_the_agents_own_directory_is_neither_watched_nor_reported(volume: Volume) -> None:
    staging = volume.root / ".syncagent" / "staging"
    staging.mkdir(parents=True)
    write(staging / "new")
    write(staging / "old")
    (staging / "new").rename(volume.root / "placed")
    exchange(staging / "old", volume.root / "placed")
    (staging / "old").unlink()
    assert set(volume.happened()) == {now(b"placed")}
    assert volume.watcher.watched_directories == 1
    deeper = volume.root / "d" / ".syncagent"
    deeper.mkdir(parents=True)
    write(deeper / "file")
    assert any(isinstance(hint, DirtyPath) and hint.path.startswith(b"d") for hint in volume.happened())


def test_the_agents_own_directory_is_not_watched_where_it_was_there_before(base: Path) -> None:
    (base / "volume" / ".syncagent" / "staging").mkdir(parents=True)
    with watched_volume(base) as volume:
        assert volume.watcher.watched_directories == 1


def test_ignored_paths_give_no_hint(base: Path) -> None:
    with watched_volume(base, ignore=lambda path: path.endswith(b".tmp")) as volume:
        write(volume.root / "x.tmp")
        (volume.root / "x.tmp").rename(volume.root / "x")
        assert volume.happened() == [now(b"x")]


def test_a_root_that_is_moved_away_is_told_at_once(volume: Volume) -> None:
    volume.root.rename(volume.outside / "elsewhere")
    volume.hints.wait_for(lambda hints: any(isinstance(hint, WatchLost) for hint in hints))
    (volume.outside / "elsewhere").rename(volume.root)
    write(volume.root / "back")
    volume.hints.wait_for(lambda hints: now(b"back") in hints)


def test_a_root_that_is_deleted_ends_the_watching(volume: Volume) -> None:
    volume.root.rmdir()
    volume.hints.wait_for(lambda hints: any(isinstance(hint, WatchLost) for hint in hints))
    volume.hints.wait_for(lambda hints: not volume.watcher.is_alive)
