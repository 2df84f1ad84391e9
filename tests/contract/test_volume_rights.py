"""The scanner and the tree as another user, with fewer rights, and on file systems mounted for the purpose."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path as FilePath
from tempfile import TemporaryDirectory

import pytest

from contract import tree_steps
from contract.isolated import CAP_CHOWN, CAP_FOWNER, CAP_LEASE, bind, mount, remount_read_only, run_isolated
from contract.tree_steps import MTIME, only, stat_of
from contract.volume_harness import RealVolume
from syncagent.core.chunking import describe, digest_of
from syncagent.core.plan import Keep, MakeDirectory, Place, Remove, SetAttributes, StatKey
from syncagent.ports import (
    OPEN_FOR_WRITING,
    Applied,
    Failed,
    Listing,
    Observation,
    ScanProblem,
    Stale,
    Unsupported,
)
from syncagent.scanner import VolumeScanner
from syncagent.tree import VolumeTree
from syncproto.model import Attributes, Kind, Path

pytestmark = pytest.mark.root
SOMEBODY = 12_345
ROOTS = Attributes(0o644, 0, 0)


@pytest.fixture
def volume() -> Iterator[RealVolume]:
    """A volume that other users can reach."""
    with TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        made = RealVolume(os.fsencode(directory))
        yield made
        made.close()


def place(
    tree: VolumeTree, path: Path, data: bytes, expect: StatKey | None = None, attributes: Attributes = ROOTS
) -> Place:
    return tree_steps.place(tree, path, data, expect, attributes)


# -- as somebody -------------------------------------------------------------------------------------


def test_an_owner_is_given_where_that_is_permitted(volume: RealVolume) -> None:
    scanner, tree = volume.open()
    wanted = Attributes(0o640, 7, 8, ((b"user.k", b"v"),))
    for step in (place(tree, b"f", b"x", None, wanted), MakeDirectory(b"d", None, wanted, None)):
        outcome = only(tree.apply([step]))
        assert isinstance(outcome, Applied) and outcome.attributes == wanted
    styled = Attributes(0o400, 9, 10)
    outcome = only(tree.apply([SetAttributes(b"f", stat_of(scanner, b"f"), Kind.FILE, styled, None)]))
    assert isinstance(outcome, Applied) and outcome.attributes == styled


def test_an_owner_that_may_not_be_given_is_shown(volume: RealVolume) -> None:
    os.chown(volume.path, SOMEBODY, SOMEBODY)

    def work() -> None:
        scanner, tree = volume.open()
        wanted = Attributes(0o640, 7, 8, ((b"user.k", b"v"),))
        for step in (place(tree, b"f", b"x", None, wanted), MakeDirectory(b"d", None, wanted, None)):
            outcome = only(tree.apply([step]))
            assert isinstance(outcome, Applied), outcome
            assert outcome.attributes == Attributes(0o640, SOMEBODY, SOMEBODY, ((b"user.k", b"v"),))
        styled = Attributes(0o400, 7, 8)
        outcome = only(tree.apply([SetAttributes(b"f", stat_of(scanner, b"f"), Kind.FILE, styled, None)]))
        assert isinstance(outcome, Applied) and outcome.attributes == Attributes(0o400, SOMEBODY, SOMEBODY)

    run_isolated(work, uid=SOMEBODY)


@pytest.mark.parametrize(("lost", "owner"), [(CAP_CHOWN, 0), (CAP_FOWNER, 7)])
def test_the_superuser_with_fewer_rights_gives_what_he_may(volume: RealVolume, lost: int, owner: int) -> None:
    def work() -> None:
        _, tree = volume.open()
        wanted = Attributes(0o640, 7, 7, ((b"user.k", b"v"),))
        outcome = only(tree.apply([place(tree, b"f", b"x", None, wanted)]))
        assert isinstance(outcome, Applied), outcome
        assert outcome.attributes == Attributes(0o640, owner, owner, ((b"user.k", b"v"),))
        assert outcome.stat is not None and outcome.stat.mtime_ns == MTIME

    run_isolated(work, without=[lost])


def test_a_directory_that_its_owner_may_not_write_to_arrives(volume: RealVolume) -> None:
    os.chown(volume.path, SOMEBODY, SOMEBODY)

    def work() -> None:
        _, tree = volume.open()
        wanted = Attributes(0o555, SOMEBODY, SOMEBODY)
        outcome = only(tree.apply([MakeDirectory(b"d", None, wanted, None)]))
        assert isinstance(outcome, Applied) and outcome.attributes == wanted
        refused = only(tree.apply([place(tree, b"d/f", b"x", None, wanted)]))
        assert isinstance(refused, Failed) and not refused.is_resource and "permission" in refused.reason

    run_isolated(work, uid=SOMEBODY)


def test_what_cannot_be_read_is_a_problem_and_never_gone(volume: RealVolume) -> None:
    volume.mkdir(b"closed")
    volume.write(b"closed/f", b"x")
    volume.write(b"secret", b"x")
    volume.chmod(b"closed", 0o700)
    volume.chmod(b"secret", 0o600)

    def work() -> None:
        scanner, _ = volume.open()
        listing = scanner.list_directory(b"")
        assert isinstance(listing, Listing) and [name for name, _ in listing.children] == [b"closed", b"secret"]
        for finding in (
            scanner.list_directory(b"closed"),
            scanner.examine(b"closed/f", None),
            scanner.examine(b"closed/gone", None),
            scanner.examine(b"secret", None),
        ):
            assert isinstance(finding, ScanProblem) and "Permission denied: give the agent" in finding.reason
        assert isinstance(scanner.examine(b"closed", None), Observation)

    run_isolated(work, uid=SOMEBODY)


def test_a_file_of_somebody_else_is_replaced_but_not_restyled(volume: RealVolume) -> None:
    volume.write(b"f", b"roots")
    volume.write(b"unreadable", b"roots")
    volume.chmod(b"unreadable", 0o600)
    os.chown(volume.path, SOMEBODY, SOMEBODY)
    expects = [stat_of(volume.open()[0], name) for name in (b"f", b"unreadable")]

    def work() -> None:
        _, tree = volume.open()
        refused = only(tree.apply([SetAttributes(b"f", expects[0], Kind.FILE, Attributes(0o600, 0, 0), None)]))
        assert isinstance(refused, Failed) and not refused.is_resource and "owner" in refused.reason
        for name, expect in zip((b"f", b"unreadable"), expects, strict=True):
            assert isinstance(only(tree.apply([place(tree, name, b"new", expect)])), Applied)
            assert volume.read(name) == b"new"

    run_isolated(work, uid=SOMEBODY)


def test_writers_of_somebody_elses_file_are_noticed_without_the_right_to_leases(volume: RealVolume) -> None:
    volume.write(b"f", b"old")
    os.chown(volume.at(b"f"), SOMEBODY, SOMEBODY)

    def work() -> None:
        scanner, tree = volume.open()
        step = place(tree, b"f", b"new", stat_of(scanner, b"f"))
        writer = volume.open_writer(b"f")
        assert tree.apply([step]) == [Stale(b"f", OPEN_FOR_WRITING)]
        writer.close()
        assert isinstance(only(tree.apply([step])), Applied)
        assert os.stat(volume.at(b"f")).st_uid == 0

    run_isolated(work, without=[CAP_LEASE])


def test_a_file_that_may_not_be_linked_is_kept_as_a_copy(volume: RealVolume) -> None:
    """With protected_hardlinks, nobody may link a file that he can neither own nor write."""
    volume.write(b"f", b"roots")
    volume.set_xattr(b"f", b"user.k", b"v")
    volume.touch(b"f", 77)
    os.chown(volume.path, SOMEBODY, SOMEBODY)

    def work() -> None:
        scanner, tree = volume.open()
        expect = stat_of(scanner, b"f")
        outcome = only(tree.apply([Keep(b"f", expect, b"copy")]))
        assert isinstance(outcome, Applied) and volume.read(b"copy") == b"roots" and volume.mtime_ns(b"copy") == 77
        assert outcome.attributes == Attributes(0o644, SOMEBODY, SOMEBODY, ((b"user.k", b"v"),))
        assert isinstance(only(tree.apply([place(tree, b"f", b"new", expect)])), Applied)

    with open("/proc/sys/fs/protected_hardlinks", encoding="ascii") as setting:
        assert setting.read() == "1\n"
    run_isolated(work, uid=SOMEBODY)


def test_an_immutable_file_is_that_paths_trouble_only(volume: RealVolume) -> None:
    volume.write(b"f", b"old")
    scanner, tree = volume.open()
    expect = stat_of(scanner, b"f")
    subprocess.run(["chattr", "+i", os.fsdecode(volume.at(b"f"))], check=True)
    try:
        expect = stat_of(scanner, b"f") or expect
        for step in (place(tree, b"f", b"new", expect), Remove(b"f", expect, Kind.FILE)):
            refused = only(tree.apply([step]))
            assert isinstance(refused, Failed) and not refused.is_resource and "lsattr" in refused.reason
    finally:
        subprocess.run(["chattr", "-i", os.fsdecode(volume.at(b"f"))], check=True)
    assert volume.read(b"f") == b"old"


# -- other file systems ------------------------------------------------------------------------------


def test_nested_mounts_are_left_out_and_shown(volume: RealVolume) -> None:
    def work() -> None:
        for name in (b"other", b"same", b"elsewhere"):
            volume.mkdir(name)
        volume.write(b"file", b"x")
        volume.write(b"over", b"x")
        mount("tmpfs", volume.at(b"other"))
        bind(volume.at(b"elsewhere"), volume.at(b"same"))
        bind(volume.at(b"file"), volume.at(b"over"))
        volume.write(b"other/f", b"x")
        volume.write(b"same/f", b"x")
        scanner, tree = volume.open()
        listing = scanner.list_directory(b"")
        assert isinstance(listing, Listing)
        assert [finding.path for finding in listing.unsupported] == [b"other"]
        for path in (b"other", b"same", b"over", b"other/f"):
            finding = scanner.examine(path, None)
            assert isinstance(finding, Unsupported) and "nested mount" in finding.reason, finding
        for path in (b"other", b"same"):
            problem = scanner.list_directory(path)
            assert isinstance(problem, ScanProblem) and "nested mount" in problem.reason
            refused = only(tree.apply([place(tree, path + b"/new", b"x")]))
            assert isinstance(refused, Failed) and "nested mount" in refused.reason
        assert isinstance(scanner.examine(b"elsewhere/f", None), Observation)

    run_isolated(work, private_mounts=True)


def test_a_root_that_is_unmounted_or_covered_is_not_the_opened_one(volume: RealVolume) -> None:
    def work() -> None:
        assert not VolumeTree(volume.path).root().is_mount_point
        bind(volume.path, volume.path)
        bound = VolumeTree(volume.path)
        assert bound.root().is_mount_point and bound.is_same_root()
        mount("tmpfs", volume.path)
        assert not bound.is_same_root()
        scanner, tree = volume.open()
        assert tree.root().is_mount_point and tree.root().is_empty and tree.is_same_root()
        volume.write(b"f", b"x")
        subprocess.run(["umount", os.fsdecode(volume.path)], check=False, stderr=subprocess.DEVNULL)
        subprocess.run(["umount", "-l", os.fsdecode(volume.path)], check=True)
        assert not tree.is_same_root()
        assert isinstance(scanner.list_directory(b""), ScanProblem)
        assert isinstance(only(tree.apply([MakeDirectory(b"d", None, ROOTS, None)])), Failed)

    run_isolated(work, private_mounts=True)


def test_a_read_only_volume_is_seen_and_served_but_not_changed(volume: RealVolume) -> None:
    def work() -> None:
        mount("tmpfs", volume.path)
        volume.write(b"f", b"content")
        scanner, tree = volume.open()
        step = place(tree, b"f", b"new", stat_of(scanner, b"f"))
        remount_read_only(volume.path)
        assert tree.root().is_read_only
        refused = only(tree.apply([step]))
        assert isinstance(refused, Failed) and refused.is_resource and "writable" in refused.reason
        with pytest.raises(OSError, match="Read-only"):
            tree.stage_whole([(digest_of(b"y"), b"y")])
        assert tree.read(b"f", stat_of(scanner, b"f"), 0, 7) == b"content"

    run_isolated(work, private_mounts=True)


def test_a_full_disk_leaves_everything_as_it_is(volume: RealVolume) -> None:
    def work() -> None:
        mount("tmpfs", volume.path, "size=1m,nr_inodes=20")
        volume.write(b"f", b"old")
        scanner, tree = volume.open()
        expect = stat_of(scanner, b"f")
        big = os.urandom(700_000)
        assert tree.stage_whole([(digest_of(big), big)]) == []
        another = os.urandom(200_000)
        with pytest.raises(OSError, match="No space"):
            tree.stage_whole([(digest_of(data), data) for data in (another, another[::-1])])
        assert not tree.is_staged(digest_of(another)) and tree.is_staged(digest_of(big))
        manifest = describe(os.urandom(900_000))[1]
        assert manifest is not None
        with pytest.raises(OSError, match="are free on its disk"):
            tree.stage_begin(manifest)
        assert isinstance(only(tree.apply([Place(b"f", expect, digest_of(big), 700_000, ROOTS, 1)])), Applied)
        outcomes = [only(tree.apply([MakeDirectory(b"d%d" % n, None, ROOTS, None)])) for n in range(20)]
        full = outcomes[-1]
        assert isinstance(full, Failed) and full.is_resource and "free space" in full.reason
        tree.unstage(None)
        assert volume.read(b"f") == big

    run_isolated(work, private_mounts=True)


def test_a_file_of_a_lower_layer_is_replaced_through_an_overlay(tmp_path: FilePath) -> None:
    """With layers on different file systems the inode changes when the file is copied up for the rename."""

    def work() -> None:
        base = os.fsencode(tmp_path)
        upper = base + b"/upper"
        for name in (b"/lower", b"/upper", b"/merged"):
            os.mkdir(base + name)
        mount("tmpfs", upper)
        for name in (b"/up", b"/work"):
            os.mkdir(upper + name)
        with open(base + b"/lower/f", "wb") as file:
            file.write(b"from below")
        layers = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper/up,workdir={tmp_path}/upper/work,xino=off"
        mount("overlay", base + b"/merged", layers)
        scanner, tree = VolumeScanner(base + b"/merged"), VolumeTree(base + b"/merged")
        outcome = only(tree.apply([place(tree, b"f", b"new", stat_of(scanner, b"f"))]))
        assert isinstance(outcome, Applied) and outcome.displaced is None
        tree.flush()
        tree.unstage(())
        assert sorted(os.listdir(base + b"/merged")) == [b"f"]

    run_isolated(work, private_mounts=True)
