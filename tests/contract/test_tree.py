"""What every tree does when something arrives or goes: the real one on real file systems, and its twin."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path as FilePath

import pytest

from contract.tree_steps import MTIME, OURS, OURS_TO_ENTER, applied, place, stat_of
from contract.volume_harness import KINDS, Volume, made_volume
from syncagent.core.plan import (
    Keep,
    MakeDirectory,
    MakeSymlink,
    Move,
    Place,
    Remove,
)
from syncagent.ports import (
    OPEN_FOR_WRITING,
    Applied,
    NotEmpty,
    Observation,
    Scanner,
    Stale,
    Tree,
    Unchanged,
)
from syncproto.model import Attributes, Kind


@pytest.fixture(params=KINDS)
def volume(request: pytest.FixtureRequest, tmp_path: FilePath) -> Iterator[Volume]:
    yield from made_volume(request.param, tmp_path)


@pytest.fixture
def ports(volume: Volume) -> tuple[Scanner, Tree]:
    return volume.open()


@pytest.fixture
def scanner(ports: tuple[Scanner, Tree]) -> Scanner:
    return ports[0]


@pytest.fixture
def tree(ports: tuple[Scanner, Tree]) -> Tree:
    return ports[1]


# -- arrivals ----------------------------------------------------------------------------------------


def test_a_placed_file_has_content_time_and_attributes(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    wanted = Attributes(0o640, os.getuid(), os.getgid(), ((b"user.a", b"1"), (b"user.b", b"\0")))
    (outcome,) = applied(tree, place(tree, b"f", b"new", None, wanted))
    assert (volume.read(b"f"), volume.mtime_ns(b"f")) == (b"new", MTIME)
    assert outcome.path == b"f" and outcome.attributes == wanted and outcome.displaced is None
    finding = scanner.examine(b"f", None)
    assert isinstance(finding, Observation) and finding.attributes == wanted


def test_what_was_applied_is_what_the_next_look_finds(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    volume.write(b"moving", b"m")
    outcomes = applied(
        tree,
        MakeDirectory(b"d", None, Attributes(0o711, os.getuid(), os.getgid()), None),
        place(tree, b"f", b"new"),
        MakeSymlink(b"l", None, b"target", OURS, MTIME),
        Move(b"moving", stat_of(scanner, b"moving"), b"d/moved"),
    )
    tree.flush()
    for outcome in outcomes[1:]:
        assert scanner.examine(outcome.path, outcome.stat) == Unchanged(outcome.path)
    assert outcomes[3].path == b"d/moved"


def test_a_replacement_needs_the_expected_file(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    volume.write(b"f", b"old")
    expect = stat_of(scanner, b"f")
    (outcome,) = applied(tree, place(tree, b"f", b"new", expect))
    assert volume.read(b"f") == b"new"
    assert scanner.examine(b"f", outcome.stat) == Unchanged(b"f")
    volume.append(b"f", b" and edited")
    step = place(tree, b"f", b"newer", outcome.stat)
    assert isinstance(tree.apply([step])[-1], Stale)
    assert volume.read(b"f") == b"new and edited" and tree.is_staged(step.digest)


@pytest.mark.parametrize("change", ["append", "chmod", "touch", "replace", "delete", "directory"])
def test_nothing_that_changed_is_replaced(volume: Volume, scanner: Scanner, tree: Tree, change: str) -> None:
    volume.write(b"f", b"old")
    step = place(tree, b"f", b"new", stat_of(scanner, b"f"))
    match change:
        case "append":
            volume.append(b"f", b"+")
        case "chmod":
            volume.chmod(b"f", 0o600)
        case "touch":
            volume.touch(b"f", MTIME)
        case "replace":
            volume.write(b"other", b"old")
            volume.rename(b"other", b"f")
        case "delete":
            volume.delete(b"f")
        case "directory":
            volume.delete(b"f")
            volume.mkdir(b"f")
    before = list(volume.walk())
    outcome = tree.apply([step])[-1]
    assert isinstance(outcome, Stale) and outcome.path == b"f"
    assert list(volume.walk()) == before and tree.is_staged(step.digest)


def test_nothing_arrives_where_something_is(volume: Volume, tree: Tree) -> None:
    volume.write(b"file", b"theirs")
    volume.mkdir(b"directory")
    for path in (b"file", b"directory"):
        for step in (
            place(tree, path, b"new"),
            MakeDirectory(path, None, OURS_TO_ENTER, None),
            MakeSymlink(path, None, b"t", OURS, MTIME),
        ):
            assert isinstance(tree.apply([step])[-1], Stale)
    assert volume.read(b"file") == b"theirs" and volume.names(b"directory") == []


def test_an_arrival_needs_its_directory(volume: Volume, tree: Tree) -> None:
    volume.write(b"file", b"")
    volume.mkdir(b"real")
    volume.symlink(b"link", b"real")
    for path in (b"gone/f", b"file/f", b"link/f"):
        for step in (
            place(tree, path, b"new"),
            MakeDirectory(path, None, OURS_TO_ENTER, None),
            MakeSymlink(path, None, b"t", OURS, MTIME),
        ):
            outcome = tree.apply([step])[-1]
            assert isinstance(outcome, Stale) and outcome.path == path[:-2]
    assert volume.names(b"real") == []


def test_a_content_is_placed_once(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    step = place(tree, b"one", b"same")
    (outcome,) = applied(tree, step)
    again = Place(b"two", None, step.digest, 4, OURS, MTIME)
    assert isinstance(tree.apply([again])[-1], Stale) and not tree.is_staged(step.digest)
    assert outcome.stat is not None and tree.stage_copy(step.digest, b"one", outcome.stat, sparse=False)
    applied(tree, again)
    assert volume.read(b"one") == volume.read(b"two") == b"same"


def test_a_file_that_is_open_for_writing_is_not_replaced_nor_removed(
    volume: Volume, scanner: Scanner, tree: Tree
) -> None:
    volume.write(b"f", b"old")
    expect = stat_of(scanner, b"f")
    step = place(tree, b"f", b"new", expect)
    writer = volume.open_writer(b"f")
    for refused in (step, Remove(b"f", expect, Kind.FILE), Keep(b"f", expect, b"kept")):
        assert tree.apply([refused])[-1] == Stale(b"f", OPEN_FOR_WRITING)
    writer.close()
    applied(tree, step)
    assert volume.read(b"f") == b"new"


def test_without_attributes_a_file_and_a_directory_are_as_made_by_anybody(volume: Volume, tree: Tree) -> None:
    applied(tree, MakeDirectory(b"d", None, None, None), place(tree, b"d/f", b"", None, None))
    modes = {path: attributes.mode for path, _, _, attributes in volume.walk()}
    assert modes == {b"d": 0o755, b"d/f": 0o644}


def test_names_that_are_not_utf_8(volume: Volume, tree: Tree) -> None:
    applied(tree, MakeDirectory(b"\xff", None, OURS_TO_ENTER, None), place(tree, b"\xff/\xfe\n", b"x"))
    assert [path for path, *_ in volume.walk()] == [b"\xff", b"\xff/\xfe\n"]


def test_a_symlink_arrives_and_replaces_leaves(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    volume.write(b"f", b"old")
    applied(
        tree,
        MakeSymlink(b"l", None, b"\xff/../..", OURS, MTIME),
        MakeSymlink(b"f", stat_of(scanner, b"f"), b"instead", None, MTIME),
    )
    assert (volume.read(b"l"), volume.read(b"f"), volume.mtime_ns(b"l")) == (b"\xff/../..", b"instead", MTIME)
    applied(tree, place(tree, b"l", b"a file", stat_of(scanner, b"l")))
    assert volume.read(b"l") == b"a file"


# -- directories -------------------------------------------------------------------------------------


def test_a_directory_gets_its_time_after_what_is_put_into_it(volume: Volume, tree: Tree) -> None:
    applied(
        tree,
        MakeDirectory(b"d", None, Attributes(0o700, os.getuid(), os.getgid(), ((b"user.k", b"v"),)), MTIME),
        MakeDirectory(b"d/e", None, OURS_TO_ENTER, MTIME + 1),
        place(tree, b"d/e/f", b""),
        place(tree, b"d/g", b"1"),
    )
    tree.flush()
    assert (volume.mtime_ns(b"d"), volume.mtime_ns(b"d/e")) == (MTIME, MTIME + 1)
    attributes = {path: attributes for path, _, _, attributes in volume.walk()}
    assert attributes[b"d"] == Attributes(0o700, os.getuid(), os.getgid(), ((b"user.k", b"v"),))


def test_a_directory_goes_when_it_is_empty(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    volume.mkdir(b"d")
    expect = stat_of(scanner, b"d")
    volume.write(b"d/f", b"")
    assert tree.apply([Remove(b"d", expect, Kind.DIRECTORY)]) == [NotEmpty(b"d")]
    applied(tree, Remove(b"d/f", stat_of(scanner, b"d/f"), Kind.FILE), Remove(b"d", expect, Kind.DIRECTORY))
    assert list(volume.walk()) == []


def test_a_directory_with_another_mode_is_stale(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    volume.mkdir(b"d")
    expect = stat_of(scanner, b"d")
    volume.chmod(b"d", 0o700)
    assert isinstance(tree.apply([Remove(b"d", expect, Kind.DIRECTORY)])[-1], Stale)


def test_a_leaf_and_a_directory_make_room_for_each_other(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    volume.write(b"a", b"leaf")
    volume.mkdir(b"b")
    applied(
        tree,
        MakeDirectory(b"a", stat_of(scanner, b"a"), OURS_TO_ENTER, None),
        place(tree, b"b", b"leaf", stat_of(scanner, b"b")),
    )
    assert [(path, kind) for path, kind, *_ in volume.walk()] == [(b"a", Kind.DIRECTORY), (b"b", Kind.FILE)]
    volume.write(b"a/child", b"")
    step = place(tree, b"a", b"another", stat_of(scanner, b"a"))
    assert tree.apply([step])[-1] == NotEmpty(b"a")
    assert volume.names(b"a") == [b"child"]


# -- removals ----------------------------------------------------------------------------------------


def test_leaves_are_removed(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    volume.write(b"f", b"")
    volume.symlink(b"l", b"f")
    outcomes = applied(
        tree,
        Remove(b"f", stat_of(scanner, b"f"), Kind.FILE),
        Remove(b"l", stat_of(scanner, b"l"), Kind.SYMLINK),
        Remove(b"never-there", None, Kind.FILE),
    )
    assert outcomes == [Applied(path, None, None) for path in (b"f", b"l", b"never-there")]
    assert list(volume.walk()) == []


def test_what_changed_or_is_gone_is_not_removed(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    volume.write(b"f", b"")
    volume.write(b"g", b"")
    expect, gone = stat_of(scanner, b"f"), stat_of(scanner, b"g")
    volume.append(b"f", b"edited")
    volume.delete(b"g")
    for step in (
        Remove(b"f", expect, Kind.FILE),
        Remove(b"f", None, Kind.FILE),
        Remove(b"g", gone, Kind.FILE),
        Remove(b"f/below", expect, Kind.FILE),
    ):
        assert isinstance(tree.apply([step])[-1], Stale)
    assert volume.read(b"f") == b"edited"
