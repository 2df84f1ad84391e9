"""What a flush makes durable: the real tree asks the system for the very paths that the twin counts as durable."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path as FilePath

import pytest

from contract.tree_steps import MTIME, OURS, OURS_TO_ENTER, applied, place, stat_of
from contract.volume_harness import MemoryHarness, RealVolume, Volume, made_volume
from syncagent.core.plan import Keep, MakeDirectory, Move, Remove, SetAttributes
from syncagent.ports import Scanner, Tree
from syncproto.model import Attributes, Kind, Path
from twins.disk_tree import MemoryTree

Flushed = Callable[[], set[Path]]


@pytest.fixture(params=["disk", "memory"])
def volume(request: pytest.FixtureRequest, tmp_path: FilePath) -> Iterator[Volume]:
    yield from made_volume(request.param, tmp_path)


@pytest.fixture
def ports(volume: Volume) -> tuple[Scanner, Tree]:
    return volume.open()


@pytest.fixture
def flushed(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> Flushed:
    """The paths that were flushed since it was called last."""
    paths: set[Path] = set()
    if isinstance(volume, RealVolume):
        _record_real(volume, paths, monkeypatch)
    else:
        sync = MemoryTree._sync

        def record(tree: MemoryTree, path: Path) -> None:
            paths.add(path)
            sync(tree, path)

        monkeypatch.setattr(MemoryTree, "_sync", record)

    def take() -> set[Path]:
        taken = set(paths)
        paths.clear()
        return taken

    return take


def _record_real(volume: RealVolume, paths: set[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    sync, root = os.fsync, os.path.realpath(volume.path)

    def record(fd: int) -> None:
        full = os.readlink(b"/proc/self/fd/%d" % fd)
        paths.add(os.path.relpath(full, root) if full != root else b"")
        sync(fd)

    monkeypatch.setattr(os, "fsync", record)


def test_what_arrives_is_flushed_with_all_names_above_it(
    volume: Volume, ports: tuple[Scanner, Tree], flushed: Flushed
) -> None:
    _, tree = ports
    volume.mkdir(b"d")
    volume.mkdir(b"d/e")
    applied(tree, place(tree, b"d/e/f", b"content"), MakeDirectory(b"d/g", None, OURS_TO_ENTER, MTIME))
    tree.flush()
    assert flushed() == {b"", b"d", b"d/e", b"d/g"}
    tree.flush()
    assert flushed() == set()


def test_a_change_of_attributes_is_flushed_on_the_file_itself(
    volume: Volume, ports: tuple[Scanner, Tree], flushed: Flushed
) -> None:
    scanner, tree = ports
    volume.write(b"f", b"content")
    wanted = Attributes(0o600, OURS.uid, OURS.gid)
    applied(tree, SetAttributes(b"f", stat_of(scanner, b"f"), Kind.FILE, wanted, MTIME))
    tree.flush()
    assert b"f" in flushed()


def test_what_gets_another_name_is_flushed_itself(
    volume: Volume, ports: tuple[Scanner, Tree], flushed: Flushed
) -> None:
    scanner, tree = ports
    volume.mkdir(b"d")
    volume.write(b"d/moved", b"1")
    volume.write(b"kept", b"2")
    applied(tree, Move(b"d/moved", stat_of(scanner, b"d/moved"), b"to"), Keep(b"kept", stat_of(scanner, b"kept"), b"l"))
    tree.flush()
    assert flushed() == {b"", b"d", b"to", b"l"}


def test_a_directory_that_was_removed_needs_no_flush_of_its_own(
    volume: Volume, ports: tuple[Scanner, Tree], flushed: Flushed
) -> None:
    scanner, tree = ports
    volume.mkdir(b"d")
    volume.write(b"d/f", b"1")
    applied(tree, Remove(b"d/f", stat_of(scanner, b"d/f"), Kind.FILE))
    applied(tree, Remove(b"d", stat_of(scanner, b"d"), Kind.DIRECTORY))
    tree.flush()
    assert flushed() == {b""}


def test_what_a_local_program_wrote_is_flushed_when_it_is_named(
    volume: Volume, ports: tuple[Scanner, Tree], flushed: Flushed
) -> None:
    _, tree = ports
    volume.mkdir(b"d")
    volume.write(b"d/f", b"never flushed")
    tree.flush({b"d/f", b"d", b""})
    assert flushed() == {b"d/f", b"d", b""}
    if isinstance(volume, MemoryHarness):
        node = volume.find(b"d/f")
        assert volume.durable.find(volume.root, b"d/f") is node and node.safe_data == b"never flushed"


def test_what_has_another_name_by_now_is_durable_all_the_same(volume: Volume, ports: tuple[Scanner, Tree]) -> None:
    _, tree = ports
    volume.write(b"f", b"content")
    volume.rename(b"f", b"g")
    tree.flush({b"f"})
    if isinstance(volume, MemoryHarness):
        assert volume.durable.find(volume.root, b"g") is volume.find(b"g")
    else:
        assert getattr(tree, "counters").file_system_syncs == 1  # noqa: B009
