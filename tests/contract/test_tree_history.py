"""What every tree does with what it replaces and removes, where that is kept: the real one, and its twin."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path as FilePath

import pytest

from contract.tree_steps import MTIME, OURS_TO_ENTER, applied, only, place, stat_of
from contract.volume_harness import KINDS, Volume, made_volume
from syncagent.core.chunking import digest_of
from syncagent.core.plan import Keep, MakeDirectory, MakeSymlink, Move, Remove
from syncagent.ports import OPEN_FOR_WRITING, KeptFile, Observation, Recovered, Scanner, Stale, Tree
from syncproto.model import Kind

KEEP_BYTES = 1000


@pytest.fixture(params=KINDS)
def volume(request: pytest.FixtureRequest, tmp_path: FilePath) -> Iterator[Volume]:
    yield from made_volume(request.param, tmp_path)


@pytest.fixture
def ports(volume: Volume) -> tuple[Scanner, Tree]:
    return volume.open(KEEP_BYTES)


@pytest.fixture
def scanner(ports: tuple[Scanner, Tree]) -> Scanner:
    return ports[0]


@pytest.fixture
def tree(ports: tuple[Scanner, Tree]) -> Tree:
    return ports[1]


def kept_in(tree: Tree) -> tuple[KeptFile, ...]:
    """Everything in the store, as a process without an index finds it."""
    return tree.recover_kept(()).found


def test_a_replaced_file_is_kept(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    volume.write(b"f", b"old")
    volume.touch(b"f", MTIME)
    before = time.time_ns()
    (done,) = applied(tree, place(tree, b"f", b"new", stat_of(scanner, b"f")))
    tree.flush()
    assert volume.read(b"f") == b"new" and volume.names() == [b".syncagent", b"f"]
    assert tree.read_kept(done.kept, 0, 10) == b"old"
    assert tree.read_kept(done.kept, 1, 1) == b"l"
    seen = tree.examine_kept(done.kept)
    assert isinstance(seen, Observation)
    assert (seen.path, seen.kind, seen.content) == (b"f", Kind.FILE, digest_of(b"old"))
    assert (seen.stat.mtime_ns, seen.stat.size) == (MTIME, 3)
    (file,) = kept_in(tree)
    assert (file.name, file.path, file.kept_bytes) == (done.kept, b"f", done.kept_bytes)
    assert before - 10**6 <= file.at_ns <= time.time_ns()


def test_a_removed_file_and_symlink_are_kept(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    volume.mkdir(b"d")
    volume.write(b"d/f%2F", b"old")
    volume.symlink(b"link", b"target")
    file, link, directory = applied(
        tree,
        Remove(b"d/f%2F", stat_of(scanner, b"d/f%2F"), Kind.FILE),
        Remove(b"link", stat_of(scanner, b"link"), Kind.SYMLINK),
        Remove(b"d", stat_of(scanner, b"d"), Kind.DIRECTORY),
    )
    tree.flush()
    assert volume.names() == [b".syncagent"] and not directory.kept
    assert tree.read_kept(file.kept, 0, 9) == b"old"
    seen = tree.examine_kept(link.kept)
    assert seen is not None and (seen.path, seen.kind, seen.content) == (b"link", Kind.SYMLINK, b"target")
    assert {kept.path for kept in kept_in(tree)} == {b"d/f%2F", b"link"}


def test_what_makes_room_is_kept(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    volume.write(b"x", b"old")
    volume.write(b"y", b"old too")
    directory, link = applied(
        tree,
        MakeDirectory(b"x", stat_of(scanner, b"x"), OURS_TO_ENTER, None),
        MakeSymlink(b"y", stat_of(scanner, b"y"), b"x", None, MTIME),
    )
    assert tree.read_kept(directory.kept, 0, 9) == b"old"
    assert tree.read_kept(link.kept, 0, 9) == b"old too"


def test_what_stays_under_another_name_is_not_kept(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    volume.write(b"f", b"old")
    volume.write(b"g", b"moved")
    stat = stat_of(scanner, b"f")
    outcomes = applied(
        tree,
        Keep(b"f", stat, b"copy"),
        place(tree, b"f", b"new", stat),
        Move(b"g", stat_of(scanner, b"g"), b"h"),
    )
    tree.unstage(None)
    assert [outcome.kept for outcome in outcomes] == [b""] * 3
    assert kept_in(tree) == () and volume.names() == [b"copy", b"f", b"h"]


def test_what_is_too_large_is_not_kept(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    volume.write(b"f", bytes(KEEP_BYTES))
    volume.write(b"g", bytes(KEEP_BYTES + 1))
    fits, large = applied(tree, *(Remove(name, stat_of(scanner, name), Kind.FILE) for name in (b"f", b"g")))
    assert fits.kept and not large.kept
    tree.drop_kept([fits.kept])
    tree.flush()
    tree.unstage(None)
    assert volume.names() == []


def test_nothing_is_kept_where_that_is_off(volume: Volume) -> None:
    scanner, tree = volume.open()
    volume.write(b"f", b"old")
    (done,) = applied(tree, place(tree, b"f", b"new", stat_of(scanner, b"f")))
    tree.flush()
    tree.unstage(None)
    assert not done.kept and volume.names() == [b"f"]


def test_a_refused_step_keeps_nothing(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    volume.write(b"f", b"old")
    volume.write(b"open", b"old")
    stale = stat_of(scanner, b"f")
    volume.write(b"f", b"newer")
    writer = volume.open_writer(b"open")
    for step in (
        place(tree, b"f", b"new", stale),
        Remove(b"f", stale, Kind.FILE),
        place(tree, b"open", b"new", stat_of(scanner, b"open")),
        Remove(b"open", stat_of(scanner, b"open"), Kind.FILE),
    ):
        outcome = only(tree.apply([step]))
        assert isinstance(outcome, Stale)
        assert (outcome.reason == OPEN_FOR_WRITING) == (step.path == b"open")
    writer.close()
    tree.unstage(None)
    assert volume.names() == [b"f", b"open"]


def test_what_is_kept_is_staged_again(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    volume.write(b"f", b"old")
    (gone,) = applied(tree, Remove(b"f", stat_of(scanner, b"f"), Kind.FILE))
    assert tree.stage_kept(digest_of(b"other"), gone.kept, False) is False
    assert tree.stage_kept(digest_of(b"old"), b"none", False) is False
    assert tree.stage_kept(digest_of(b"old"), gone.kept, False, 2) is True
    assert tree.is_staged(digest_of(b"old"))
    for path in (b"f", b"g"):
        applied(tree, place(tree, path, b"old"))
    assert (volume.read(b"f"), volume.read(b"g")) == (b"old", b"old")
    assert tree.read_kept(gone.kept, 0, 9) == b"old"


def test_what_is_dropped_is_gone_with_its_directory(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    for name in (b"f", b"g"):
        volume.write(name, b"old")
    first, second = applied(tree, *(Remove(name, stat_of(scanner, name), Kind.FILE) for name in (b"f", b"g")))
    assert tree.drop_kept([first.kept, b"none"]) == []
    assert tree.examine_kept(first.kept) is None and tree.read_kept(first.kept, 0, 1) is None
    assert tree.recover_kept([first.kept, second.kept]) == Recovered(missing=frozenset([first.kept]))
    assert tree.drop_kept([second.kept]) == []
    tree.flush()
    tree.unstage(None)
    assert volume.names() == []
    assert tree.recover_kept([second.kept]) == Recovered(missing=frozenset([second.kept]))


def test_another_process_finds_it_again(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    paths = [b"short", b"p" * 255, b"a" * 200 + b"/" + b"%\xff\n" * 60]
    volume.mkdir(b"a" * 200)
    for path in paths:
        volume.write(path, path)
    done = applied(tree, *(Remove(path, stat_of(scanner, path), Kind.FILE) for path in paths))
    tree.flush()
    _, again = volume.open(KEEP_BYTES)
    assert [(kept.name, kept.path) for kept in kept_in(again)] == [
        (outcome.kept, path) for outcome, path in zip(done, paths, strict=True)
    ]
    known = {done[1].kept}
    assert {kept.path for kept in again.recover_kept(known).found} == {paths[0], paths[2]}
    assert [again.read_kept(outcome.kept, 0, 999) for outcome in done] == paths
    again.drop_kept([outcome.kept for outcome in done])
    again.unstage(None)
    assert volume.names() == [b"a" * 200]


def test_one_path_is_kept_many_times(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    volume.write(b"f", b"0")
    kept = []
    for number in range(1, 6):
        (done,) = applied(tree, place(tree, b"f", b"%d" % number, stat_of(scanner, b"f")))
        kept.append(done.kept)
    assert len(set(kept)) == 5
    assert [tree.read_kept(name, 0, 9) for name in kept] == [b"%d" % number for number in range(5)]
    assert os.path.basename(kept[0]) == kept[0]
