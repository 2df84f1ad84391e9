"""What every watcher does: the real one on real file systems, and its twin; what polling does too is asked of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path as FilePath

import pytest

from contract.watcher_harness import ALL_KINDS, EVENT_KINDS, OUTSIDE, Hint, Volume, made_volume
from syncagent.ports import DirtyPath, WatchLost
from syncproto.model import Kind, Path
from syncproto.paths import is_below, parent


@pytest.fixture(params=EVENT_KINDS)
def unwatched(request: pytest.FixtureRequest, tmp_path: FilePath) -> Iterator[Volume]:
    yield from made_volume(request.param, tmp_path)


@pytest.fixture
def volume(unwatched: Volume) -> Volume:
    unwatched.watch()
    return unwatched


@pytest.fixture(params=ALL_KINDS)
def any_volume(request: pytest.FixtureRequest, tmp_path: FilePath) -> Iterator[Volume]:
    for volume in made_volume(request.param, tmp_path):
        volume.watch()
        yield volume


def now(path: Path) -> DirtyPath:
    return DirtyPath(path, is_closed=True)


def later(path: Path) -> DirtyPath:
    return DirtyPath(path, is_closed=False)


def tree_now(path: Path) -> DirtyPath:
    return DirtyPath(path, is_closed=True, is_tree=True)


def tree_later(path: Path) -> DirtyPath:
    return DirtyPath(path, is_closed=False, is_tree=True)


def is_lost(hints: list[Hint]) -> bool:
    return any(isinstance(hint, WatchLost) for hint in hints)


# -- what polling promises too -------------------------------------------------------------------------


def test_whatever_changes_is_named_or_a_scan_is_asked_for(any_volume: Volume) -> None:
    any_volume.write(b"f", b"content")
    hints = any_volume.happened()
    assert is_lost(hints) or now(b"f") in hints
    assert is_lost(hints) == (any_volume.watcher.mode == "poll")


def test_after_the_stop_nothing_comes_and_it_can_be_started_again(any_volume: Volume) -> None:
    watcher = any_volume.watcher
    assert watcher.is_alive and watcher.check(0) is None
    for name in (b"f", b"g"):
        watcher.stop()
        watcher.stop()
        assert not watcher.is_alive and watcher.watched_directories == 0
        any_volume.hints.take()
        any_volume.write(name, b"while stopped")
        assert any_volume.hints.seen() == []
        watcher.start()
        assert watcher.is_alive
        any_volume.write(name, b"content")
        hints = any_volume.happened()
        assert is_lost(hints) or now(name) in hints


# -- which hints an operation gives --------------------------------------------------------------------


def prepare(volume: Volume) -> None:
    volume.write(b"a", b"a")
    volume.write(b"b", b"b")
    for top in (b"d", OUTSIDE + b"/d"):
        volume.mkdir(top)
        volume.mkdir(top + b"/sub")
        volume.write(top + b"/sub/f", b"f")
    volume.mkdir(b"empty")
    volume.write(OUTSIDE + b"/a", b"outside")


CASES: dict[str, tuple[Callable[[Volume], object], list[Hint]]] = {
    "rename in": (lambda v: v.rename(OUTSIDE + b"/a", b"new"), [now(b"new")]),
    "rename in over a file": (lambda v: v.rename(OUTSIDE + b"/a", b"a"), [now(b"a")]),
    "rename out": (lambda v: v.rename(b"a", OUTSIDE + b"/gone"), [now(b"a")]),
    "rename within": (lambda v: v.rename(b"a", b"c"), [now(b"c"), now(b"a")]),
    "rename to another directory": (lambda v: v.rename(b"a", b"d/a"), [now(b"d/a"), now(b"a")]),
    "replace by rename": (lambda v: v.rename(b"a", b"b"), [now(b"b"), now(b"a")]),
    "exchange": (lambda v: v.exchange(b"a", b"d"), [tree_now(b"a"), tree_now(b"d"), now(b"a"), now(b"d")]),
    "rename a directory": (lambda v: v.rename(b"d", b"e"), [tree_now(b"e"), tree_now(b"d")]),
    "replace an empty directory, which tells that it has no name": (
        lambda v: v.rename(b"d", b"empty"),
        [tree_now(b"empty"), tree_now(b"d"), now(b"empty")],
    ),
    "move a directory in": (lambda v: v.rename(OUTSIDE + b"/d", b"in"), [tree_now(b"in")]),
    "move a directory out": (lambda v: v.rename(b"d", OUTSIDE + b"/out"), [tree_now(b"d")]),
    "delete a file": (lambda v: v.delete(b"a"), [now(b"a")]),
    "delete a directory": (lambda v: v.delete(b"empty"), [now(b"empty")]),
    "delete a tree": (lambda v: v.delete(b"d"), [now(b"d/sub/f"), now(b"d/sub"), now(b"d")]),
    "chmod": (lambda v: v.chmod(b"a", 0o600), [now(b"a")]),
    "chmod of a directory, told by it and by the one above": (lambda v: v.chmod(b"d", 0o700), [now(b"d"), now(b"d")]),
    "chmod of the root": (lambda v: v.chmod(b"", 0o750), [now(b"")]),
    "utime": (lambda v: v.touch(b"a", 2), [now(b"a")]),
    "truncate by name": (lambda v: v.truncate(b"a", 0), [later(b"a")]),
    "append and close": (lambda v: v.append(b"a", b"more"), [later(b"a"), now(b"a")]),
    "symlink": (lambda v: v.symlink(b"link", b"d"), [later(b"link")]),
    "hard link": (lambda v: v.link(b"a", b"d/hard"), [later(b"d/hard")]),
    "fifo": (lambda v: v.fifo(b"fifo"), [later(b"fifo")]),
    "mkdir": (lambda v: v.mkdir(b"d/new"), [tree_later(b"d/new")]),
    "write and close": (lambda v: v.write(b"n", b"content"), [later(b"n"), later(b"n"), now(b"n")]),
    "create an empty file": (lambda v: v.write(b"n", b""), [later(b"n"), now(b"n")]),
    "names that are not UTF-8": (lambda v: v.rename(b"a", b"d/caf\xe9"), [now(b"d/caf\xe9"), now(b"a")]),
    "reading": (lambda v: (v.read(b"a"), v.names(b"d"), v.mtime_ns(b"b")), []),
    "work outside": (lambda v: v.delete(OUTSIDE + b"/d"), []),
}


@pytest.mark.parametrize(("act", "expected"), CASES.values(), ids=CASES.keys())
def test_hints_of_one_operation(unwatched: Volume, act: Callable[[Volume], object], expected: list[Hint]) -> None:
    prepare(unwatched)
    unwatched.watch()
    act(unwatched)
    # Two halves of a rename that a busy machine delivers far apart come in their own order, and that is fine.
    assert sorted(unwatched.happened(), key=str) == sorted(expected, key=str)


def test_of_a_rename_the_new_name_comes_first(unwatched: Volume) -> None:
    prepare(unwatched)
    unwatched.watch()
    with unwatched.lag():
        unwatched.rename(b"a", b"c")
        unwatched.rename(b"d", b"e")
    assert unwatched.happened() == [now(b"c"), now(b"a"), tree_now(b"e"), tree_now(b"d")]


def test_a_file_held_open_gives_no_close(volume: Volume) -> None:
    volume.write(b"log", b"")
    volume.happened()
    writer = volume.open_writer(b"log")
    for _ in range(3):
        writer.write(b"line")
        assert volume.happened() == [later(b"log")]
    volume.rename(b"log", b"log.1")
    volume.happened()
    writer.write(b"line")
    assert volume.happened() == [later(b"log.1")]
    writer.close()
    assert volume.happened() == [now(b"log.1")]


def test_of_a_hard_linked_file_only_the_name_that_was_used_is_told(volume: Volume) -> None:
    volume.write(b"one", b"content")
    volume.link(b"one", b"other")
    volume.happened()
    volume.write(b"other", b"changed")
    assert set(volume.happened()) == {later(b"other"), now(b"other")}


def test_ignored_paths_give_no_hint(unwatched: Volume) -> None:
    unwatched.watch(lambda path: path.endswith(b".tmp"))
    unwatched.write(b"x.tmp", b"content")
    unwatched.rename(b"x.tmp", b"x")
    assert unwatched.happened() == [now(b"x")]


def test_directories_of_ignored_names_are_watched(unwatched: Volume) -> None:
    """The rules may change at any time."""
    unwatched.watch(lambda path: path == b"left-out")
    unwatched.mkdir(b"left-out")
    assert unwatched.happened() == []
    unwatched.write(b"left-out/f", b"content")
    assert set(unwatched.happened()) == {later(b"left-out/f"), now(b"left-out/f")}


# -- directories that appear, fill and move ------------------------------------------------------------


def test_what_happens_in_a_directory_before_it_is_watched_is_told_by_its_tree(volume: Volume) -> None:
    with volume.lag():
        volume.mkdir(b"t")
        volume.mkdir(b"t/deep")
        volume.write(b"t/deep/early", b"content")
        volume.rename(b"t", b"r")
    assert volume.happened() == [tree_later(b"t"), tree_now(b"r"), tree_now(b"t")]
    assert volume.watcher.watched_directories == 3
    volume.write(b"r/deep/late", b"content")
    assert volume.happened() == [later(b"r/deep/late"), later(b"r/deep/late"), now(b"r/deep/late")]


def test_a_directory_below_a_name_that_is_not_utf8_is_watched(volume: Volume) -> None:
    volume.mkdir(b"\xff\xfe")
    volume.mkdir(b"\xff\xfe/\xe4")
    volume.happened()
    volume.write(b"\xff\xfe/\xe4/\xfc", b"")
    assert volume.happened() == [later(b"\xff\xfe/\xe4/\xfc"), now(b"\xff\xfe/\xe4/\xfc")]


class Found:
    """What an engine would know from hints: the paths named, and for trees what a scan at that moment shows."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self.paths: set[Path] = set()

    def __call__(self, hint: Hint) -> None:
        assert isinstance(hint, DirtyPath)
        self.paths.add(hint.path)
        if hint.is_tree:
            self.paths.update(self._volume.paths_below(hint.path))


def test_nothing_is_lost_when_directories_appear_and_fill_in_a_tight_loop(volume: Volume) -> None:
    found = volume.hints.on_hint = Found(volume)
    wanted: set[Path] = set()
    for number in range(150):
        top, renamed = b"t%d" % number, b"r%d" % number
        for directory in (top, top + b"/a", top + b"/a/b"):
            volume.mkdir(directory)
            volume.breathe()
        volume.write(top + b"/a/b/early", b"content")
        volume.breathe()
        volume.rename(top, renamed)
        volume.breathe()
        volume.write(renamed + b"/a/b/late", b"content")
        wanted |= {renamed + b"/a/b/" + name for name in (b"early", b"late")}
    volume.happened()
    assert wanted - found.paths == set()
    assert volume.watcher.watched_directories == 1 + 3 * 150
    assert volume.watcher.check(1 + 3 * 150) is None


def test_paths_stay_right_through_any_series_of_renames(volume: Volume) -> None:
    """Directories are renamed, exchanged, moved out and in again, deleted and made anew: a write is named rightly."""
    choose = random.Random(7)
    tops = [b"top%d" % number for number in range(4)]
    names = [*tops, *(top + b"/x" for top in tops), OUTSIDE + b"/o1", OUTSIDE + b"/o2"]
    for step in range(150):
        _one_step(choose, volume, names)
        volume.happened()
        inside = [path for path, kind, _, _ in volume.walk() if kind == Kind.DIRECTORY]
        for directory in inside:
            volume.write(directory + b"/file", b"content")
        hints = volume.happened()
        for directory in inside:
            assert now(directory + b"/file") in hints, f"step {step}: {directory!r}"
    assert volume.watcher.is_alive


def _is_there(volume: Volume, path: Path) -> bool:
    return path in (b"", OUTSIDE) or (
        _is_there(volume, parent(path)) and path.rpartition(b"/")[2] in volume.names(parent(path))
    )


def _one_step(choose: random.Random, volume: Volume, names: list[Path]) -> None:
    left, right = choose.sample(names, 2)
    is_nested = is_below(left, right) or is_below(right, left)
    is_left = _is_there(volume, left)
    if is_left and _is_there(volume, right):
        if not is_nested:
            volume.exchange(left, right)
    elif is_left and _is_there(volume, parent(right)) and not is_nested:
        volume.rename(left, right)
    elif _is_there(volume, parent(left)) and not is_left:
        volume.mkdir(left)
    elif is_left and volume.names(left) in ([], [b"file"]):
        volume.delete(left)


def test_a_directory_that_left_and_whose_name_is_used_again_does_not_kill_the_watcher(volume: Volume) -> None:
    left = OUTSIDE + b"/left"
    volume.mkdir(b"d")
    volume.happened()
    volume.rename(b"d", left)
    volume.mkdir(b"d")
    volume.happened()
    volume.delete(b"d")
    volume.happened()
    volume.delete(left)
    volume.happened()
    volume.write(b"after", b"content")
    assert now(b"after") in volume.happened()
    assert volume.watcher.watched_directories == 1


def test_directories_that_were_replaced_or_deleted_are_not_counted(volume: Volume) -> None:
    for path in (b"d", b"d/sub", b"empty", b"gone", b"gone/sub"):
        volume.mkdir(path)
    volume.happened()
    assert volume.watcher.watched_directories == 6
    volume.rename(b"d", b"empty")
    volume.delete(b"gone")
    volume.happened()
    assert volume.watcher.watched_directories == 3


# -- the agent's own directory -------------------------------------------------------------------------


def test_the_agents_own_directory_is_neither_watched_nor_reported(volume: Volume) -> None:
    volume.mkdir(b".syncagent")
    volume.mkdir(b".syncagent/staging")
    volume.write(b".syncagent/staging/new", b"content")
    volume.write(b".syncagent/staging/old", b"content")
    volume.rename(b".syncagent/staging/new", b"placed")
    volume.exchange(b".syncagent/staging/old", b"placed")
    volume.delete(b".syncagent/staging/old")
    assert set(volume.happened()) == {now(b"placed")}
    assert volume.watcher.watched_directories == 1


def test_only_at_the_top_is_that_name_the_agents(volume: Volume) -> None:
    volume.mkdir(b"d")
    volume.mkdir(b"d/.syncagent")
    volume.happened()
    assert volume.watcher.watched_directories == 3
    volume.write(b"d/.syncagent/file", b"content")
    assert now(b"d/.syncagent/file") in volume.happened()


def test_the_agents_own_directory_is_not_watched_where_it_was_there_before(unwatched: Volume) -> None:
    unwatched.mkdir(b".syncagent")
    unwatched.mkdir(b".syncagent/staging")
    unwatched.watch()
    assert unwatched.watcher.watched_directories == 1


# -- when not all can be told --------------------------------------------------------------------------


def test_an_overflow_of_the_queue_is_told_and_repaired(volume: Volume) -> None:
    volume.write(b"left", b"content")
    volume.write(b"right", b"content")
    volume.happened()
    with volume.lag():
        # Two names in turn, as the kernel joins equal events; some more, as a reader takes many at once.
        for _ in range(volume.queue_max // 2 + 2000):
            volume.chmod(b"left", 0o600)
            volume.chmod(b"right", 0o600)
        volume.mkdir(b"unseen")
        volume.mkdir(b"unseen/below")
    volume.wait_for(is_lost)
    lost = [hint for hint in volume.happened() if isinstance(hint, WatchLost)]
    assert len(lost) == 1 and "fs.inotify.max_queued_events" in lost[0].reason
    assert volume.watcher.watched_directories >= 3
    volume.write(b"unseen/below/after", b"content")
    assert now(b"unseen/below/after") in volume.happened()


def test_check_finds_a_fully_watched_tree_in_order(volume: Volume) -> None:
    volume.mkdir(b"d")
    volume.happened()
    assert volume.watcher.check(2) is None
    assert volume.watcher.check(99) is None, "the scan counted what is gone by now: no directory lacks a watch"
    volume.watcher.stop()
    assert "is not watched: the watcher is stopped" in (volume.watcher.check(2) or "")


def test_a_root_that_is_moved_away_is_told_at_once(volume: Volume) -> None:
    volume.remove_root()
    volume.wait_for(is_lost)
    volume.bring_back_root()
    volume.write(b"back", b"content")
    volume.wait_for(lambda hints: now(b"back") in hints)


def test_a_root_that_is_deleted_ends_the_watching(volume: Volume) -> None:
    volume.delete_root()
    volume.wait_for(is_lost)
    volume.wait_for(lambda hints: not volume.watcher.is_alive)
