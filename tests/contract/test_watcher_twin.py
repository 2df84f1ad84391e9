"""The twin beside the real watcher: the same random work gives the same hints, however far both are behind."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path as FilePath
from random import Random

import pytest

from contract.watcher_harness import OUTSIDE, Hints, MemoryWatched, RealWatched, Volume, never
from syncagent.ports import WatchLost
from syncagent.watcher import WatchRefused
from syncproto.model import Path
from syncproto.paths import is_below, parent
from twins.disk import MemoryVolume
from twins.inode import Node
from twins.watcher import MemoryWatcher

TOPS = [b"a", b"b", b"d", OUTSIDE + b"/o", b".syncagent"]
PLACES = [*TOPS, *(top + b"/x" for top in TOPS), b"d/x/y", b"a/x/y"]
ROUNDS = 40

Act = Callable[[Volume], object]


@pytest.fixture
def pair(tmp_path: FilePath) -> Iterator[tuple[RealWatched, MemoryWatched]]:
    real, twin = RealWatched(os.fsencode(tmp_path)), MemoryWatched()
    real.watch()
    twin.watch()
    yield real, twin
    real.close()


def is_directory(node: Node | None) -> bool:
    return node is not None and node.is_directory


def acts_on(twin: MemoryVolume, path: Path, other: Path) -> list[Act]:
    """What a user can do at these paths now."""
    node, there = twin.look(path), twin.look(other)
    has_room = is_directory(twin.look(parent(other))) and not is_below(other, path)
    if node is None:
        makes: list[Act] = [lambda v: v.mkdir(path), lambda v: v.write(path, b"new"), lambda v: v.symlink(path, b"to")]
        return makes if is_directory(twin.look(parent(path))) else []
    acts: list[Act] = [lambda v: v.delete(path)]
    if not stat.S_ISLNK(node.mode):
        acts += [lambda v: v.chmod(path, 0o700), lambda v: v.touch(path, 10**18)]
    if stat.S_ISREG(node.mode):
        acts += [lambda v: v.write(path, b"anew"), lambda v: v.append(path, b"+"), lambda v: v.truncate(path, 1)]
    if has_room and there is None:
        acts += [lambda v: v.rename(path, other)] * 3
        acts += [] if node.is_directory else [lambda v: v.link(path, other)]
    if has_room and there is not None and there is not node and not is_below(path, other):
        acts.append(lambda v: v.exchange(path, other))
        if node.is_directory == there.is_directory and not there.children:
            acts.append(lambda v: v.rename(path, other))
    return acts


@pytest.mark.parametrize("seed", range(5))
def test_random_work_gives_the_hints_that_the_real_watcher_gives(
    pair: tuple[RealWatched, MemoryWatched], seed: int
) -> None:
    random, (real, twin), done = Random(seed), pair, 0
    for number in range(ROUNDS):
        with real.lag(), twin.lag():
            for _ in range(random.choice([1, 2, 5, 20])):
                if acts := acts_on(twin, *random.sample(PLACES, 2)):
                    act = random.choice(acts)
                    act(real)
                    act(twin)
                    done += 1
        # As sets: whether the kernel joins two equal events depends on when the first was taken out of its queue.
        assert set(real.happened()) == set(twin.happened()), f"round {number}"
        assert real.watcher.watched_directories == twin.watcher.watched_directories, f"round {number}"
    assert done > ROUNDS


def test_a_directory_that_may_not_be_read_is_told_and_watched_later() -> None:
    volume = MemoryWatched()
    for path in (b"open", b"locked", b"locked/below"):
        volume.mkdir(path)
    volume.find(b"locked").is_unreadable = True
    volume.watch()
    sentence = volume.watcher.check(4) or ""
    assert sentence.startswith("only 2 of 4 directories of ")
    assert "locked: Permission denied; give the agent's user the right to read it" in sentence
    volume.find(b"locked").is_unreadable = False
    assert volume.watcher.check(4) is None and volume.watcher.watched_directories == 4
    assert volume.happened() == [WatchLost("directories that were not watched are watched now")]


def test_a_nested_mount_is_not_watched() -> None:
    volume = MemoryWatched()
    volume.mkdir(b"mounted")
    volume.find(b"mounted").is_mount = True
    volume.watch()
    assert volume.watcher.watched_directories == 1 and volume.watcher.check(1) is None


def test_a_root_that_is_missing_is_refused_in_a_sentence() -> None:
    volume = MemoryVolume()
    volume.remove_root()
    watcher = MemoryWatcher(volume, Hints(), ignore=never)
    with pytest.raises(WatchRefused, match="cannot be watched: No such file or directory; check that"):
        watcher.start()
    assert not watcher.is_alive
