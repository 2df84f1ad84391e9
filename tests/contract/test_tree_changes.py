"""What every tree does to what is there already, and with batches, names and roots."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path as FilePath

import pytest

from contract.tree_steps import MTIME, OURS, OURS_TO_ENTER, applied, place, stat_of
from contract.volume_harness import KINDS, Volume, made_volume
from syncagent.core.chunking import digest_of
from syncagent.core.plan import (
    Keep,
    MakeDirectory,
    Move,
    Remove,
    SetAttributes,
    Step,
)
from syncagent.ports import (
    Applied,
    Failed,
    Marker,
    Observation,
    Scanner,
    Stale,
    Tree,
    Unchanged,
)
from syncproto.model import Attributes, Kind, Path


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


# -- attributes --------------------------------------------------------------------------------------


def test_attributes_are_replaced_as_a_whole(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    volume.write(b"f", b"content")
    volume.set_xattr(b"f", b"user.old", b"1")
    volume.set_xattr(b"f", b"user.syncagent.own", b"stays")
    volume.touch(b"f", MTIME)
    wanted = Attributes(0o400, os.getuid(), os.getgid(), ((b"user.new", b"2"),))
    (outcome,) = applied(tree, SetAttributes(b"f", stat_of(scanner, b"f"), Kind.FILE, wanted, None))
    assert outcome.attributes == wanted and volume.mtime_ns(b"f") == MTIME
    assert scanner.examine(b"f", outcome.stat) == Unchanged(b"f")
    again = Attributes(0o640, os.getuid(), os.getgid(), ((b"user.new", b"3"),))
    applied(tree, SetAttributes(b"f", outcome.stat, Kind.FILE, again, None))
    finding = scanner.examine(b"f", None)
    assert isinstance(finding, Observation) and finding.attributes == again


def test_a_time_alone_is_set(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    volume.write(b"f", b"content")
    volume.chmod(b"f", 0o600)
    volume.symlink(b"l", b"f")
    outcomes = applied(
        tree,
        SetAttributes(b"f", stat_of(scanner, b"f"), Kind.FILE, None, MTIME),
        SetAttributes(b"l", stat_of(scanner, b"l"), Kind.SYMLINK, None, MTIME + 1),
    )
    assert (volume.mtime_ns(b"f"), volume.mtime_ns(b"l")) == (MTIME, MTIME + 1)
    assert all(scanner.examine(outcome.path, outcome.stat) == Unchanged(outcome.path) for outcome in outcomes)


def test_a_directory_is_restyled_though_its_children_changed(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    volume.mkdir(b"d")
    volume.chmod(b"d", 0o1755)
    expect = stat_of(scanner, b"d")
    volume.write(b"d/new", b"")
    wanted = Attributes(0o750, os.getuid(), os.getgid(), ((b"user.k", b"v"),))
    (outcome,) = applied(tree, SetAttributes(b"d", expect, Kind.DIRECTORY, wanted, None))
    assert outcome.attributes == wanted
    assert outcome.stat is not None and outcome.stat.mode & 0o7777 == 0o1750


def test_attributes_of_what_changed_are_left_alone(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    volume.write(b"f", b"")
    expect = stat_of(scanner, b"f")
    volume.append(b"f", b"edited")
    for step in (
        SetAttributes(b"f", expect, Kind.FILE, OURS, None),
        SetAttributes(b"f", None, Kind.FILE, OURS, None),
        SetAttributes(b"f", stat_of(scanner, b"f"), Kind.DIRECTORY, OURS, None),
        SetAttributes(b"gone", expect, Kind.FILE, OURS, None),
    ):
        assert isinstance(tree.apply([step])[-1], Stale)


def test_the_other_name_of_a_hard_link_keeps_its_attributes(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    volume.write(b"f", b"content")
    volume.touch(b"f", MTIME)
    volume.set_xattr(b"f", b"user.k", b"v")
    volume.link(b"f", b"other")
    wanted = Attributes(0o600, os.getuid(), os.getgid(), ((b"user.k", b"w"),))
    (outcome,) = applied(tree, SetAttributes(b"f", stat_of(scanner, b"f"), Kind.FILE, wanted, None))
    assert outcome.attributes == wanted and volume.mtime_ns(b"f") == MTIME
    held = {path: (content, attributes) for path, _, content, attributes in volume.walk()}
    assert held[b"f"] == (b"content", wanted)
    assert held[b"other"] == (b"content", Attributes(0o644, os.getuid(), os.getgid(), ((b"user.k", b"v"),)))


# -- second names ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Kind.FILE, Kind.SYMLINK])
def test_what_is_replaced_is_kept_under_a_second_name(volume: Volume, scanner: Scanner, tree: Tree, kind: Kind) -> None:
    if kind == Kind.FILE:
        volume.write(b"f", b"old")
    else:
        volume.symlink(b"f", b"old")
    expect = stat_of(scanner, b"f")
    outcomes = applied(tree, Keep(b"f", expect, b"copy"), place(tree, b"f", b"new", expect))
    tree.flush()
    assert (volume.read(b"f"), volume.read(b"copy")) == (b"new", b"old")
    assert [outcome.path for outcome in outcomes] == [b"copy", b"f"]
    assert all(scanner.examine(outcome.path, outcome.stat) == Unchanged(outcome.path) for outcome in outcomes)


def test_a_kept_file_makes_room_for_a_directory(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    volume.write(b"f", b"old")
    expect = stat_of(scanner, b"f")
    steps = (
        Keep(b"f", expect, b"copy"),
        Remove(b"f", expect, Kind.FILE),
        MakeDirectory(b"f", None, OURS_TO_ENTER, None),
    )
    applied(tree, *steps)
    assert volume.read(b"copy") == b"old" and volume.names(b"f") == []


def test_a_second_name_must_be_free(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    volume.write(b"f", b"old")
    volume.write(b"taken", b"theirs")
    expect = stat_of(scanner, b"f")
    for step in (Keep(b"f", expect, b"taken"), Move(b"f", expect, b"taken")):
        outcome = tree.apply([step])[-1]
        assert isinstance(outcome, Stale) and outcome.path == b"taken"
    assert (volume.read(b"f"), volume.read(b"taken")) == (b"old", b"theirs")


def test_keeping_twice_is_keeping_once(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    volume.write(b"f", b"old")
    (first,) = applied(tree, Keep(b"f", stat_of(scanner, b"f"), b"copy"))
    (second,) = applied(tree, Keep(b"f", first.stat, b"copy"))
    assert first == second


def test_a_file_moves_and_is_restyled_in_one_batch(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    volume.mkdir(b"d")
    volume.write(b"f", b"content")
    expect = stat_of(scanner, b"f")
    wanted = Attributes(0o600, os.getuid(), os.getgid())
    outcomes = applied(tree, Move(b"f", expect, b"d/g"), SetAttributes(b"d/g", expect, Kind.FILE, wanted, None))
    assert volume.read(b"d/g") == b"content" and volume.names() == [b"d"]
    assert outcomes[1].attributes == wanted
    assert scanner.examine(b"d/g", outcomes[1].stat) == Unchanged(b"d/g")


def test_moving_needs_what_is_expected_and_a_directory(volume: Volume, scanner: Scanner, tree: Tree) -> None:
    volume.write(b"f", b"")
    expect = stat_of(scanner, b"f")
    outcome = tree.apply([Move(b"f", expect, b"gone/g")])[-1]
    assert isinstance(outcome, Stale) and outcome.path == b"gone"
    volume.append(b"f", b"edited")
    assert isinstance(tree.apply([Move(b"f", expect, b"g")])[-1], Stale)
    assert isinstance(tree.apply([Move(b"f", None, b"g")])[-1], Stale)
    assert volume.names() == [b"f"]


# -- batches, names, roots ---------------------------------------------------------------------------


def test_a_batch_ends_with_the_first_step_that_is_not_applied(volume: Volume, tree: Tree) -> None:
    volume.write(b"taken", b"")
    steps = [MakeDirectory(path, None, OURS_TO_ENTER, None) for path in (b"a", b"taken", b"c")]
    outcomes = tree.apply(steps)
    assert len(outcomes) == 2 and isinstance(outcomes[0], Applied) and isinstance(outcomes[1], Stale)
    assert [path for path, *_ in volume.walk()] == [b"a", b"taken"]
    assert tree.apply([]) == []


@pytest.mark.parametrize(
    "path", [b"", b"/etc/x", b"../x", b"a/../../x", b"a//b", b"a/", b"./a", b"a\0b", b".syncagent/x", b"n" * 256]
)
def test_names_that_may_not_travel_touch_nothing(volume: Volume, scanner: Scanner, tree: Tree, path: Path) -> None:
    volume.write(b"f", b"")
    expect = stat_of(scanner, b"f")
    before = list(volume.walk())
    for step in (
        place(tree, path, b"x"),
        MakeDirectory(path, None, OURS_TO_ENTER, None),
        Remove(path, None, Kind.FILE),
        Keep(b"f", expect, path),
        Move(b"f", expect, path),
    ):
        assert isinstance(tree.apply([step])[-1], Failed)
    assert list(volume.walk()) == before


def test_the_root_and_its_marker(volume: Volume, tree: Tree) -> None:
    root = tree.root()
    assert root.is_empty and not root.is_read_only and tree.is_same_root()
    assert tree.read_marker() is None
    tree.write_marker(Marker(b"v" * 16, "one"))
    tree.write_marker(Marker(b"v" * 16, "two"))
    assert tree.read_marker() == Marker(b"v" * 16, "two")
    tree.write_marker(Marker(b"v" * 16, "two", b"\0start-1", 7))
    assert tree.read_marker() == Marker(b"v" * 16, "two", b"\0start-1", 7)
    assert tree.root() == root and volume.names() == []
    volume.mkdir(b"lost+found")
    assert tree.root().is_empty
    volume.write(b"f", b"")
    assert not tree.root().is_empty


@pytest.mark.parametrize("accident", ["replaced", "removed"])
def test_nothing_is_done_in_a_root_that_is_not_the_opened_one(
    volume: Volume, scanner: Scanner, tree: Tree, accident: str
) -> None:
    volume.write(b"f", b"old")
    tree.write_marker(Marker(b"v" * 16, "i"))
    expect = stat_of(scanner, b"f")
    steps: list[Step] = [
        place(tree, b"f", b"new", expect),
        MakeDirectory(b"d", None, OURS_TO_ENTER, None),
        Remove(b"f", expect, Kind.FILE),
    ]
    if accident == "replaced":
        volume.replace_root()
        assert tree.read_marker() is None and tree.root().is_empty
    else:
        volume.remove_root()
        with pytest.raises(FileNotFoundError):
            tree.root()
        with pytest.raises(FileNotFoundError):
            tree.read_marker()
    assert not tree.is_same_root()
    for step in steps:
        (outcome,) = tree.apply([step])
        assert isinstance(outcome, Failed) and outcome.is_resource and outcome.reason.startswith("root")
    with pytest.raises(OSError, match="root"):
        tree.stage_whole([(digest_of(b"x"), b"x")])
    with pytest.raises(OSError, match="root"):
        tree.flush()
    with pytest.raises(OSError, match="root"):
        tree.write_marker(Marker(b"v" * 16, "i"))
    assert tree.read(b"f", expect, 0, 3) is None
    if accident == "replaced":
        assert volume.names() == []
