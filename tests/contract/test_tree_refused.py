"""The tree and the scanner where the kernel, a container's profile or the file system refuses what they like best."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path as FilePath

import pytest

from contract.isolated import F_SETLEASE, FCNTL, LINKAT, OPENAT2, RENAMEAT2, SETXATTR, Refusal, run_isolated
from contract.tree_steps import OURS, OURS_TO_ENTER, only, place, stat_of
from contract.volume_harness import RealVolume
from syncagent.core.chunking import digest_of
from syncagent.core.plan import Keep, MakeDirectory, MakeSymlink, Move, Remove, Step
from syncagent.ports import Absent, Applied, Failed, Listing, Marker, Stale
from syncagent.scanner import VolumeScanner
from syncagent.tree import VolumeTree
from syncproto.model import Kind

NO_OPENAT2 = [Refusal(OPENAT2, number) for number in (errno.ENOSYS, errno.EPERM)]
NO_RENAMEAT2 = Refusal(RENAMEAT2, errno.EINVAL)
NO_LEASES = Refusal(FCNTL, errno.EINVAL, F_SETLEASE)
NO_LINKS = Refusal(LINKAT, errno.EPERM)
NO_XATTRS = Refusal(SETXATTR, errno.ENOTSUP)


@pytest.fixture
def volume(tmp_path: FilePath) -> Iterator[RealVolume]:
    made = RealVolume(os.fsencode(tmp_path))
    yield made
    made.close()


def a_day_of_work(volume: RealVolume) -> None:
    """Every kind of step once, and what must be refused."""
    scanner, tree = volume.open()
    volume.write(b"old", b"old")
    volume.write(b"moving", b"m")
    volume.write(b"gone", b"g")
    volume.mkdir(b"empty")
    expect = stat_of(scanner, b"old")
    steps: list[Step] = [
        MakeDirectory(b"d", None, OURS_TO_ENTER, None),
        place(tree, b"d/new", b"new"),
        Keep(b"old", expect, b"kept"),
        place(tree, b"old", b"replaced", expect),
        Move(b"moving", stat_of(scanner, b"moving"), b"d/moved"),
        MakeSymlink(b"link", None, b"d", OURS, 1),
        Remove(b"gone", stat_of(scanner, b"gone"), Kind.FILE),
        Remove(b"empty", stat_of(scanner, b"empty"), Kind.DIRECTORY),
    ]
    outcomes = tree.apply(steps)
    assert all(isinstance(outcome, Applied) for outcome in outcomes), outcomes
    tree.flush()
    tree.close()
    volume._opened.remove(tree)
    contents = {path: content for path, _, content, _ in volume.walk()}
    assert contents == {
        b"d": None,
        b"d/moved": b"m",
        b"d/new": b"new",
        b"kept": b"old",
        b"link": b"d",
        b"old": b"replaced",
    }
    assert b".syncagent" not in volume.names()


def what_must_be_refused(volume: RealVolume) -> None:
    """Links on the way, names that are taken, and what changed."""
    scanner, tree = volume.open()
    os.mkdir(volume.path + b".outside")
    volume.symlink(b"link", volume.path + b".outside")
    volume.write(b"taken", b"theirs")
    volume.mkdir(b"full")
    stale = stat_of(scanner, b"taken")
    volume.append(b"taken", b"!")
    for step in (
        place(tree, b"link/f", b"x"),
        MakeDirectory(b"link/d", None, OURS_TO_ENTER, None),
        place(tree, b"taken", b"x"),
        place(tree, b"taken", b"x", stale),
        MakeDirectory(b"full", None, OURS_TO_ENTER, None),
        Move(b"taken", stat_of(scanner, b"taken"), b"full"),
        Keep(b"taken", stat_of(scanner, b"taken"), b"full"),
    ):
        assert isinstance(only(tree.apply([step])), Stale), step
    assert os.listdir(volume.path + b".outside") == []
    assert scanner.examine(b"link/f", None) == Absent(b"link/f")
    assert scanner.list_directory(b"link") == Absent(b"link")
    assert isinstance(scanner.list_directory(b"full"), Listing)
    assert volume.read(b"taken") == b"theirs!"


@pytest.mark.parametrize("refusal", [*NO_OPENAT2, NO_RENAMEAT2, NO_LEASES, NO_LINKS], ids=str)
@pytest.mark.parametrize("work", [a_day_of_work, what_must_be_refused], ids=lambda work: work.__name__)
def test_work_goes_on_without(volume: RealVolume, refusal: Refusal, work: object) -> None:
    assert callable(work)
    run_isolated(lambda: work(volume), refuse=[refusal])


def test_work_goes_on_without_all_of_them(volume: RealVolume) -> None:
    run_isolated(lambda: a_day_of_work(volume), refuse=[NO_OPENAT2[0], NO_RENAMEAT2, NO_LEASES, NO_LINKS])


def test_without_extended_attributes_the_marker_is_a_file(volume: RealVolume) -> None:
    def work() -> None:
        _, tree = volume.open()
        assert tree.read_marker() is None
        tree.write_marker(Marker(b"v" * 16, "one"))
        tree.write_marker(Marker(b"v" * 16, "two"))
        assert tree.read_marker() == Marker(b"v" * 16, "two")
        assert volume.names() == [b".syncagent"] and volume.names(b".syncagent") == [b"volume.json"]
        assert tree.root().is_empty
        assert isinstance(only(tree.apply([place(tree, b"f", b"x")])), Applied)
        tree.unstage(None)
        assert volume.names(b".syncagent") == [b"volume.json"]

    run_isolated(work, refuse=[NO_XATTRS])
    _, tree = volume.open()
    assert tree.read_marker() == Marker(b"v" * 16, "two")
    tree.write_marker(Marker(b"v" * 16, "three"))
    assert tree.read_marker() == Marker(b"v" * 16, "three")
    assert b".syncagent" not in volume.names()


def test_a_marker_of_old_is_read(volume: RealVolume) -> None:
    _, tree = volume.open()
    os.setxattr(volume.path, b"user.syncagent.volume", b'{"volume": "%s", "incarnation": "one"}' % (b"76" * 16))
    assert tree.read_marker() == Marker(b"v" * 16, "one")


def test_a_damaged_marker_is_an_error(volume: RealVolume) -> None:
    _, tree = volume.open()
    os.setxattr(volume.path, b"user.syncagent.volume", b"{}")
    with pytest.raises(OSError, match="damaged"):
        tree.read_marker()


def test_bytes_written_late_into_a_displaced_file_are_not_lost(volume: RealVolume) -> None:
    def work() -> None:
        now = [0.0]
        scanner, tree = VolumeScanner(volume.path), VolumeTree(volume.path, clock=lambda: now[0])
        for name in (b"late", b"quiet"):
            volume.write(name, b"old")
        writer = volume.open_writer(b"late")
        for name in (b"late", b"quiet"):
            step = place(tree, name, b"new " + name, stat_of(scanner, name))
            assert isinstance(only(tree.apply([step])), Applied)
        tree.flush()
        assert len(volume.names(b".syncagent/staging")) == 2
        writer.write(b" and more")
        now[0] = 61.0
        tree.flush()
        assert volume.names() == [b".syncagent", b"late", b"late~displaced-1", b"quiet"]
        assert volume.read(b"late~displaced-1") == b"old and more"
        assert volume.read(b"late") == b"new late"
        tree.unstage(())
        assert b".syncagent" not in volume.names()

    run_isolated(work, refuse=[NO_LEASES])


def test_too_many_open_files_is_the_volumes_trouble(volume: RealVolume) -> None:
    def work() -> None:
        _, tree = volume.open()
        step = place(tree, b"f", b"x")
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
        outcome = only(tree.apply([step]))
        assert isinstance(outcome, Failed) and outcome.is_resource, outcome
        assert "limit of open files" in outcome.reason

    run_isolated(work)


def test_what_is_not_a_directory_in_the_place_of_staging_is_named(volume: RealVolume) -> None:
    _, tree = volume.open()
    volume.symlink(b".syncagent", b"/tmp")
    with pytest.raises(OSError, match="move it away"):
        tree.stage_whole([(digest_of(b"x"), b"x")])
    outcome = only(tree.apply([MakeDirectory(b"d", None, OURS_TO_ENTER, None)]))
    assert isinstance(outcome, Failed) and "move it away" in outcome.reason
