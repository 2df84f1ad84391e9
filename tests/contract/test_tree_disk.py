"""What only the real tree can show: flushes, leftovers, what a directory hands down, descriptors."""

from __future__ import annotations

import errno
import os
import stat
import struct
import threading
from collections.abc import Iterator
from pathlib import Path as FilePath

import pytest

from contract import tree_steps
from contract.isolated import run_isolated
from contract.tree_steps import OURS, OURS_TO_ENTER, applied, place
from contract.volume_harness import RealVolume
from syncagent.core.chunking import digest_of
from syncagent.core.plan import Keep, MakeDirectory, MakeSymlink, Place, Remove, SetAttributes, StatKey
from syncagent.ports import Applied, Observation, Stale
from syncagent.scanner import VolumeScanner
from syncagent.tree import VolumeTree
from syncproto.model import Attributes, Kind, Path

ACL_GROUP_MAY_WRITE = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, bits, identity)
    for tag, bits, identity in (
        (0x01, 7, 0xFFFFFFFF),
        (0x02, 7, 4242),
        (0x04, 5, 0xFFFFFFFF),
        (0x10, 7, 0xFFFFFFFF),
        (0x20, 0, 0xFFFFFFFF),
    )
)
"""The default ACL u::rwx u:4242:rwx g::r-x m::rwx o::---."""


@pytest.fixture
def volume(tmp_path: FilePath) -> Iterator[RealVolume]:
    made = RealVolume(os.fsencode(tmp_path))
    yield made
    made.close()


@pytest.fixture
def tree(volume: RealVolume) -> VolumeTree:
    return volume.open()[1]


def stat_of(volume: RealVolume, path: Path) -> StatKey:
    scanner = VolumeScanner(volume.path)
    try:
        return tree_steps.stat_of(scanner, path)
    finally:
        scanner.close()


# -- flushes -----------------------------------------------------------------------------------------


def test_a_group_costs_one_fsync_for_each_directory(volume: RealVolume, tree: VolumeTree) -> None:
    volume.mkdir(b"a")
    volume.mkdir(b"b")
    contents = [(digest_of(b"%d" % number), b"%d" % number) for number in range(20)]
    tree.stage_whole(contents)
    assert (tree.counters.content_flushes, tree.counters.directory_fsyncs) == (20, 0)
    for number, (digest, data) in enumerate(contents):
        applied(tree, Place((b"a/", b"b/")[number % 2] + data, None, digest, len(data), OURS, 1))
    applied(tree, MakeSymlink(b"a/l", None, b"t", OURS, 1), Remove(b"a/0", stat_of(volume, b"a/0"), Kind.FILE))
    tree.flush()
    assert (tree.counters.content_flushes, tree.counters.directory_fsyncs) == (20, 3)  # the root has their names
    tree.flush()
    assert tree.counters.directory_fsyncs == 3
    applied(tree, MakeDirectory(b"c", None, OURS_TO_ENTER, 1))
    tree.flush()
    assert tree.counters.directory_fsyncs == 5  # the new directory, and the one that holds it


def test_a_directory_that_is_gone_again_is_flushed_with_all_others(volume: RealVolume, tree: VolumeTree) -> None:
    volume.mkdir(b"d")
    applied(tree, place(tree, b"d/f", b"x"), MakeDirectory(b"d/e", None, OURS_TO_ENTER, 1))
    volume.delete(b"d")
    tree.flush()
    assert tree.counters.directory_fsyncs <= 1 and tree.counters.file_system_syncs == 1  # it may have another name


# -- what is staged, and leftovers -------------------------------------------------------------------


def test_a_staged_content_that_somebody_touched_is_not_trusted(volume: RealVolume, tree: VolumeTree) -> None:
    step = place(tree, b"f", b"content")
    with open(volume.at(b".syncagent/staging/" + step.digest.hex().encode()), "r+b") as file:
        file.write(b"CONTENT")
    assert isinstance(tree.apply([step])[-1], Stale)
    assert not tree.is_staged(step.digest) and not os.path.exists(volume.at(b"f"))


def test_the_staging_directory_is_private(volume: RealVolume, tree: VolumeTree) -> None:
    volume.chmod(b"", 0o2777)
    os.setxattr(volume.path, "system.posix_acl_default", ACL_GROUP_MAY_WRITE)
    tree.stage_whole([(digest_of(b"x"), b"x")])
    for path in (b".syncagent", b".syncagent/staging"):
        assert stat.S_IMODE(os.stat(volume.at(path)).st_mode) == 0o700
        assert not any(key.startswith("system.posix_acl") for key in os.listxattr(volume.at(path)))


def test_leftovers_of_all_kinds_go_and_what_nobody_has_seen_comes_back(volume: RealVolume) -> None:
    os.makedirs(volume.at(b".syncagent/staging/tmp.3"))
    staging = b".syncagent/staging/"
    for name in (b"tmp.1", b"0" * 64, b"1" * 64 + b".part", b"anything"):
        volume.write(staging + name, b"left")
    volume.symlink(staging + b"tmp.2", b"left")
    volume.write(staging + b"replaced", b"old")
    volume.write(staging + b"staged", b"new")
    volume.write(staging + b"unseen", b"precious")
    old, new = (os.stat(volume.at(staging + name)) for name in (b"replaced", b"staged"))
    for number, name in enumerate((b"replaced", b"staged", b"unseen")):
        aside = b"aside.%d.%d.%d.%d.%d" % (new.st_ino, old.st_ino, old.st_size, old.st_mtime_ns, number)
        volume.rename(staging + name, staging + aside)
    _, tree = volume.open()
    tree.unstage(None)
    assert volume.names() == [b"recovered~displaced-1"]
    assert volume.read(b"recovered~displaced-1") == b"precious"


def test_a_full_directory_in_staging_is_left_alone(volume: RealVolume) -> None:
    os.makedirs(volume.at(b".syncagent/staging/theirs"))
    volume.write(b".syncagent/staging/theirs/f", b"x")
    _, tree = volume.open()
    tree.unstage(None)
    assert volume.read(b".syncagent/staging/theirs/f") == b"x"


def test_closing_leaves_nothing_behind(volume: RealVolume) -> None:
    tree = VolumeTree(volume.path)
    volume.write(b"f", b"old")
    applied(tree, place(tree, b"f", b"new", stat_of(volume, b"f")))
    assert len(volume.names(b".syncagent/staging")) == 1
    tree.close()
    assert volume.names() == [b"f"]


def test_a_writer_that_comes_before_the_flush_keeps_his_bytes(volume: RealVolume, tree: VolumeTree) -> None:
    volume.write(b"f", b"old")
    applied(tree, place(tree, b"f", b"new", stat_of(volume, b"f")))
    (aside,) = volume.names(b".syncagent/staging")
    volume.append(b".syncagent/staging/" + aside, b" and late")
    tree.flush()
    assert volume.read(b"f~displaced-1") == b"old and late" and volume.read(b"f") == b"new"


def test_a_displaced_file_finds_a_free_name(volume: RealVolume, tree: VolumeTree) -> None:
    name = b"n" * 255
    volume.write(name, b"old")
    volume.write(b"n" * 243 + b"~displaced-1", b"taken")
    applied(tree, place(tree, name, b"new", stat_of(volume, name)))
    (aside,) = volume.names(b".syncagent/staging")
    volume.append(b".syncagent/staging/" + aside, b"!")
    tree.flush()
    assert volume.read(b"n" * 243 + b"~displaced-2") == b"old!"


# -- what a directory hands down ---------------------------------------------------------------------


def test_a_group_and_an_acl_are_handed_down_as_to_what_is_made_there(volume: RealVolume, tree: VolumeTree) -> None:
    volume.mkdir(b"d")
    os.setxattr(volume.at(b"d"), "system.posix_acl_default", ACL_GROUP_MAY_WRITE)
    volume.chmod(b"d", 0o2775)
    wanted = Attributes(0o770, os.getuid(), os.getgid())
    applied(
        tree,
        MakeDirectory(b"d/e", None, wanted, None),
        MakeDirectory(b"d/implied", None, None, None),
        place(tree, b"d/f", b"x"),
    )
    for path in (b"d/e", b"d/implied"):
        assert os.getxattr(volume.at(path), "system.posix_acl_default") == ACL_GROUP_MAY_WRITE
        assert os.stat(volume.at(path)).st_mode & stat.S_ISGID
    assert os.getxattr(volume.at(b"d/f"), "system.posix_acl_access")
    assert stat.S_IMODE(os.stat(volume.at(b"d/f")).st_mode) == 0o644
    finding = VolumeScanner(volume.path).examine(b"d/f", None)
    assert isinstance(finding, Observation) and finding.notes == ("POSIX ACL is not kept",)


def test_only_attributes_of_users_are_applied(volume: RealVolume, tree: VolumeTree) -> None:
    hostile = (
        (b"security.capability", b"x"),
        (b"trusted.x", b"x"),
        (b"user.syncagent.volume", b"x"),
        (b"user.k", b"v"),
    )
    tree.stage_whole([(digest_of(b"x"), b"x")])
    wanted = Attributes(0o755, os.getuid(), os.getgid(), hostile)
    outcome = tree.apply([Place(b"f", None, digest_of(b"x"), 1, wanted, 1)])[-1]
    assert isinstance(outcome, Applied) and outcome.attributes is not None
    assert outcome.attributes.xattrs == ((b"user.k", b"v"),) and os.listxattr(volume.at(b"f")) == ["user.k"]


def test_setuid_bits_do_not_survive(volume: RealVolume, tree: VolumeTree) -> None:
    volume.write(b"f", b"x")
    volume.chmod(b"f", 0o6755)
    applied(
        tree, SetAttributes(b"f", stat_of(volume, b"f"), Kind.FILE, Attributes(0o755, os.getuid(), os.getgid()), None)
    )
    assert stat.S_IMODE(os.stat(volume.at(b"f")).st_mode) == 0o755


# -- holes and blocks --------------------------------------------------------------------------------


def test_holes_are_neither_read_nor_stored(volume: RealVolume) -> None:
    size = 64 * 1024 * 1024
    volume.write(b"f", b"start")
    volume.truncate(b"f", size)
    scanner, tree = volume.open()
    finding = scanner.examine(b"f", None)
    assert isinstance(finding, Observation) and finding.sparse and finding.manifest is not None
    assert scanner.counters.bytes_read <= 64 * 1024
    manifest = finding.manifest
    present = tree.stage_begin(manifest)
    assert len(present) == len(manifest.chunks) - 1
    tree.stage_write(manifest.digest, 0, b"start" + bytes(manifest.chunks[0].length - 5))
    assert tree.stage_finish(manifest, sparse=True) == []
    applied(tree, Place(b"g", None, manifest.digest, size, OURS, 1))
    assert os.stat(volume.at(b"g")).st_blocks * 512 <= 64 * 1024
    assert tree.counters.bytes_staged <= 256 * 1024


def test_small_contents_keep_their_holes(volume: RealVolume, tree: VolumeTree) -> None:
    data = bytes(100_000) + b"x" + bytes(100_000)
    applied(tree, place(tree, b"f", data))
    assert volume.read(b"f") == data and os.stat(volume.at(b"f")).st_blocks * 512 <= 16 * 1024


# -- resources ---------------------------------------------------------------------------------------


def test_no_descriptor_is_left_open(volume: RealVolume) -> None:
    def work() -> None:
        before = len(os.listdir("/proc/self/fd"))
        scanner, tree = VolumeScanner(volume.path), VolumeTree(volume.path)
        volume.mkdir(b"d")
        for number in range(50):
            expect = stat_of(volume, b"d/f") if number else None
            applied(tree, place(tree, b"d/f", b"%d" % number, expect))
            tree.apply([place(tree, b"gone/f", b"x"), place(tree, b"d/f", b"y")])
            tree.apply([Keep(b"d/f", stat_of(volume, b"d/f"), b"d/%d" % number)])
            scanner.examine(b"d/missing", None)
            scanner.list_directory(b"d")
        tree.flush()
        tree.close()
        scanner.close()
        assert len(os.listdir("/proc/self/fd")) == before

    run_isolated(work)


def test_threads_stage_while_steps_are_applied(volume: RealVolume, tree: VolumeTree) -> None:
    faults: list[BaseException] = []

    def stage(thread: int) -> None:
        try:
            for number in range(60):
                data = b"%d %d" % (thread, number)
                assert tree.stage_whole([(digest_of(data), data)]) == []
                applied(tree, Place(b"f%d-%d" % (thread, number), None, digest_of(data), len(data), OURS, 1))
                tree.unstage(())
        except BaseException as error:  # noqa: BLE001
            faults.append(error)

    threads = [threading.Thread(target=stage, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tree.flush()
    tree.unstage(())
    assert not faults and len(volume.names()) == 240


def test_an_unreadable_ignore_file_is_an_error(volume: RealVolume) -> None:
    volume.symlink(b".syncignore", b"elsewhere")
    with pytest.raises(OSError, match=r"\.syncignore") as refused:
        VolumeScanner(volume.path).read_ignore_file()
    assert refused.value.errno == errno.EINVAL
