"""What only a real store shows: interrupted moves, late writes, crowded names, full disks of other programs' files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path as FilePath

import pytest

from contract.tree_steps import applied, place, stat_of
from contract.volume_harness import RealVolume, made_volume
from syncagent.core.plan import Remove
from syncagent.ports import Late
from syncagent.tree import VolumeTree
from syncproto.model import Kind

STORE = b".syncagent/history/"
KEEP_BYTES = 2**20


@pytest.fixture(params=["disk", "shm"])
def volume(request: pytest.FixtureRequest, tmp_path: FilePath) -> Iterator[RealVolume]:
    for made in made_volume(request.param, tmp_path):
        assert isinstance(made, RealVolume)
        yield made


@pytest.fixture
def tree(volume: RealVolume) -> VolumeTree:
    return volume.open(KEEP_BYTES)[1]


def replaced(volume: RealVolume, tree: VolumeTree, path: bytes = b"f") -> bytes:
    """A file is replaced; gives the name of the old one in the store."""
    scanner, _ = volume.open()
    volume.write(path, b"old")
    (done,) = applied(tree, place(tree, path, b"new", stat_of(scanner, path)))
    return done.kept


def test_the_store_is_for_the_agent_alone(volume: RealVolume, tree: VolumeTree) -> None:
    replaced(volume, tree)
    for path in (b".syncagent", b".syncagent/history"):
        assert os.stat(volume.at(path)).st_mode & 0o777 == 0o700


def test_a_replacement_costs_one_rename_more_and_no_copy(volume: RealVolume, tree: VolumeTree) -> None:
    volume.write(b"f", b"old")
    inode = os.stat(volume.at(b"f")).st_ino
    scanner, _ = volume.open()
    before = tree.counters.bytes_staged, tree.counters.content_flushes
    (done,) = applied(tree, place(tree, b"f", b"new", stat_of(scanner, b"f")))
    assert os.stat(volume.at(STORE + done.kept)).st_ino == inode
    assert tree.counters.bytes_staged - before[0] == 3
    directories = tree.counters.directory_fsyncs
    tree.flush()
    assert tree.counters.directory_fsyncs - directories <= 3  # the root, and the store with what it is in


def test_new_content_that_never_arrived_is_no_history(volume: RealVolume, tree: VolumeTree) -> None:
    name = replaced(volume, tree)
    volume.rename(STORE + name, b"back")  # as if the names had not been exchanged: the new one is in the store
    volume.rename(b"f", STORE + name)
    volume.rename(b"back", b"f")
    _, again = volume.open(KEEP_BYTES)
    recovered = again.recover_kept(())
    assert (recovered.found, recovered.late) == ((), ())
    again.unstage(None)
    assert volume.read(b"f") == b"old" and volume.names() == [b"f"]


def test_a_move_whose_row_was_lost_is_history_and_never_a_users_file(volume: RealVolume, tree: VolumeTree) -> None:
    name = replaced(volume, tree)
    _, again = volume.open(KEEP_BYTES)
    (found,) = again.recover_kept(()).found
    assert (found.name, found.path) == (name, b"f")
    again.unstage(None)
    assert volume.names() == [b".syncagent", b"f"]


def test_a_late_write_is_found_while_the_process_lives(volume: RealVolume, tree: VolumeTree) -> None:
    name = replaced(volume, tree)
    volume.append(STORE + name, b" and late")
    assert tree.take_late() == [Late(b"f", b"f~displaced-1", name)]
    assert tree.take_late() == []
    assert volume.read(b"f~displaced-1") == b"old and late"
    assert volume.names() == [b".syncagent", b"f", b"f~displaced-1"] and volume.names(STORE) == []


def test_a_late_write_is_found_by_the_next_process(volume: RealVolume, tree: VolumeTree) -> None:
    name = replaced(volume, tree)
    volume.append(STORE + name, b" and late")
    _, again = volume.open(KEEP_BYTES)
    recovered = again.recover_kept(())
    assert recovered.late == (Late(b"f", b"f~displaced-1", name),) and recovered.found == ()
    assert volume.read(b"f~displaced-1") == b"old and late"


def test_a_late_write_is_found_before_the_last_name_goes(volume: RealVolume, tree: VolumeTree) -> None:
    name = replaced(volume, tree)
    tree.flush()  # nobody has it open: it is not looked at again until it goes
    volume.append(STORE + name, b"!")
    assert tree.read_kept(name, 0, 9) is None
    assert tree.drop_kept([name]) == [Late(b"f", b"f~displaced-1", name)]
    assert volume.read(b"f~displaced-1") == b"old!"
    assert tree.drop_kept([name]) == []


def test_what_others_put_into_the_store_is_left_alone(volume: RealVolume, tree: VolumeTree) -> None:
    name = replaced(volume, tree)
    for stranger in (b"notes.txt", b"20261124T114915.123Z.1.2.zzzzzzzz.f", b"20269924T114915.123Z.1.2.00000000.f"):
        volume.write(STORE + stranger, b"theirs")
    _, again = volume.open(KEEP_BYTES)
    assert [found.name for found in again.recover_kept(()).found] == [name]
    assert len(volume.names(STORE)) == 4


def test_a_long_path_has_a_file_beside_that_goes_with_it(volume: RealVolume, tree: VolumeTree) -> None:
    path = b"x" * 255
    name = replaced(volume, tree, path)
    assert volume.read(STORE + name + b".path") == path
    tree.drop_kept([name])
    tree.unstage(None)
    tree.flush()
    assert volume.names() == [path]
    kept = replaced(volume, tree, path)
    os.unlink(volume.at(STORE + kept))
    _, again = volume.open(KEEP_BYTES)
    assert again.recover_kept([kept]).missing == {kept}
    again.unstage(None)
    assert volume.names() == [path]


def test_a_hard_linked_file_stays_under_its_other_name_only(volume: RealVolume, tree: VolumeTree) -> None:
    volume.write(b"one", b"shared")
    volume.link(b"one", b"two")
    scanner, _ = volume.open()
    (done,) = applied(tree, Remove(b"one", stat_of(scanner, b"one"), Kind.FILE))
    tree.flush()
    tree.unstage(None)
    assert not done.kept and volume.names() == [b"two"]
