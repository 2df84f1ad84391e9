"""The calls below a root: opening, reading with holes, leases, attributes, stats, errors."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path as FilePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncagent.core.chunking import Digester, digest_of
from syncagent.core.plan import StatKey
from syncagent.disk import errors, syscalls
from syncagent.disk.attributes import anchor, is_replicated, read_attributes, restyle
from syncagent.disk.content import (
    PAGE_BYTES,
    blocks,
    feed,
    fill_holes,
    has_holes,
    punch_zeros,
    read_range,
    regions,
    write_all,
    write_new,
    zero_pages,
)
from syncagent.disk.root import DIRECTORY, LOOK, READ, RootChanged, VolumeRoot, is_mount_point, mount_of
from syncagent.disk.stat import is_as_expected, is_same_but_ctime, kind_of, stat_key, what_is
from syncagent.disk.syscalls import Lease
from syncproto.model import Attributes, Kind

KEY = StatKey(1, 2, 3, 4, stat.S_IFREG | 0o644, 5, 6)


@pytest.fixture
def root(tmp_path: FilePath) -> Iterator[VolumeRoot]:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"content")
    (tmp_path / "link").symlink_to("d")
    (tmp_path / "d" / "up").symlink_to("../..")
    opened = VolumeRoot(os.fsencode(tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def fd(tmp_path: FilePath) -> Iterator[int]:
    opened = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield opened
    os.close(opened)


# -- opening -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["open", "_walk"])
def test_what_is_below_is_opened_whatever_the_way(root: VolumeRoot, way: str) -> None:
    for path, flags in ((b"d/f", READ), (b"d", DIRECTORY), (b"", DIRECTORY), (b"link", LOOK), (b"d/up", LOOK)):
        opened = getattr(root, way)(path, flags)
        expected = os.lstat(os.path.join(root.path, path))
        assert os.path.samestat(os.fstat(opened), expected)
        os.close(opened)


@pytest.mark.parametrize("way", ["open", "_walk"])
@pytest.mark.parametrize("path", [b"link/f", b"d/up/x", b"d/f/x", b"gone", b"gone/x", b"link", b"d/up"])
def test_no_link_is_followed_whatever_the_way(root: VolumeRoot, way: str, path: bytes) -> None:
    with pytest.raises(OSError) as refused:
        getattr(root, way)(path, READ)
    assert refused.value.errno in errors.GONE_ERRORS


def test_nothing_leads_out_of_a_root(root: VolumeRoot) -> None:
    for path in (b"..", b"d/../..", b"/etc/passwd"):
        with pytest.raises(OSError):
            syscalls.openat2(root.fd, path, READ, syscalls.RESOLVE_BENEATH)


def test_a_root_that_was_moved_is_another(root: VolumeRoot, tmp_path: FilePath) -> None:
    root.require_same()
    os.rename(tmp_path, tmp_path.with_name("moved"))
    assert not root.is_same()
    os.mkdir(tmp_path)
    with pytest.raises(RootChanged, match="root"):
        root.require_same()


def test_opening_a_file_leaves_its_access_time(root: VolumeRoot) -> None:
    path = os.path.join(root.path, b"d/f")
    os.utime(path, ns=(1, 1))
    with root.opened_file(b"d/f") as fd:
        assert read_range(fd, 0, 100) == b"content"
    assert os.stat(path).st_atime_ns == 1


def test_mounts_are_told_apart(root: VolumeRoot) -> None:
    proc = os.open("/proc", os.O_PATH)
    assert mount_of(proc) != mount_of(root.fd)
    os.close(proc)
    assert is_mount_point(b"/") and is_mount_point(b"/proc") and not is_mount_point(root.path)


# -- renames -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rename", [syscalls.rename_new, syscalls._link_and_unlink])
def test_a_new_name_must_be_free(root: VolumeRoot, rename: object) -> None:
    assert callable(rename)
    with pytest.raises(FileExistsError):
        rename(root.fd, b"d/f", root.fd, b"link")
    with pytest.raises(FileExistsError):
        rename(root.fd, b"d", root.fd, b"link")
    rename(root.fd, b"d/f", root.fd, b"free")
    rename(root.fd, b"d", root.fd, b"e")
    assert sorted(os.listdir(root.path)) == [b"e", b"free", b"link"]


def test_two_names_change_places(root: VolumeRoot) -> None:
    syscalls.rename_exchange(root.fd, b"link", root.fd, b"d")
    assert os.path.islink(os.path.join(root.path, b"d")) and os.path.isdir(os.path.join(root.path, b"link"))
    with pytest.raises(FileNotFoundError):
        syscalls.rename_exchange(root.fd, b"link", root.fd, b"gone")


# -- leases ------------------------------------------------------------------------------------------


def test_a_lease_tells_of_writers(tmp_path: FilePath) -> None:
    (tmp_path / "f").write_bytes(b"x")
    reader = os.open(tmp_path / "f", os.O_RDONLY)
    writer = os.open(tmp_path / "f", os.O_WRONLY)
    assert syscalls.take_lease(reader) is Lease.WRITERS
    os.close(writer)
    assert syscalls.take_lease(reader) is Lease.HELD
    assert syscalls.is_lease_whole(reader)
    with pytest.raises(BlockingIOError):
        os.open(tmp_path / "f", os.O_WRONLY | os.O_NONBLOCK)
    assert not syscalls.is_lease_whole(reader)
    syscalls.drop_lease(reader)
    os.close(os.open(tmp_path / "f", os.O_WRONLY | os.O_NONBLOCK))
    os.close(reader)
    directory = os.open(tmp_path, os.O_RDONLY)
    assert syscalls.take_lease(directory) is Lease.REFUSED
    os.close(directory)


# -- contents ----------------------------------------------------------------------------------------


page = st.sampled_from([bytes(PAGE_BYTES), b"x" * PAGE_BYTES, bytes(PAGE_BYTES - 1) + b"x"])


@given(st.lists(page, max_size=6), st.binary(max_size=10))
def test_pages_of_zeros_are_found(pages: list[bytes], tail: bytes) -> None:
    data = b"".join(pages) + tail
    stretches = list(zero_pages(data))
    assert b"".join(data[start:end] for start, end, _ in stretches) == data
    for start, end, is_zero in stretches:
        assert start < end and start % PAGE_BYTES == 0
        if is_zero:
            assert data[start:end] == bytes(end - start) and (end - start) % PAGE_BYTES == 0
    for number, one in enumerate(pages):
        is_zero = any(z and start <= number * PAGE_BYTES < end for start, end, z in stretches)
        assert is_zero == (one == bytes(PAGE_BYTES))


@given(st.lists(page, max_size=6), st.binary(max_size=10))
def test_what_is_written_with_holes_reads_the_same(pages: list[bytes], tail: bytes) -> None:
    data = b"".join(pages) + tail
    with open(os.memfd_create("content"), "rb") as file:
        fd = file.fileno()
        write_new(fd, data, 0)
        assert os.fstat(fd).st_size == len(data) and read_range(fd, 0, len(data) + 1) == data
        for is_sparse in (True, False):
            digester = Digester()
            feed(fd, len(data), digester, sparse=is_sparse)
            assert (digester.digest(), digester.size) == (digest_of(data), len(data))
        covered = list(regions(fd, len(data)))
        assert [start for start, _, _ in covered] == [0, *(end for _, end, _ in covered)][: len(covered)]
        assert covered == [] if not data else covered[-1][1] == len(data)


def test_holes_are_punched_and_filled(fd: int) -> None:
    data = b"x" * PAGE_BYTES + bytes(64 * PAGE_BYTES) + b"y"
    write_all(fd, data, 0)
    assert not has_holes(fd, os.fstat(fd))
    punch_zeros(fd, data, 0)
    assert has_holes(fd, os.fstat(fd)) and read_range(fd, 0, len(data)) == data
    fill_holes(fd, os.fstat(fd))
    assert os.fstat(fd).st_blocks * 512 >= len(data) and read_range(fd, 0, len(data)) == data


def test_reading_ends_where_the_file_does(fd: int) -> None:
    write_all(fd, b"0123456789", 0)
    assert read_range(fd, 4, 3) == b"456" and read_range(fd, 8, 100) == b"89" and read_range(fd, 10, 1) == b""
    assert [bytes(block) for block in blocks(fd, 8, 100)] == [b"89"]
    assert list(regions(fd, 0)) == []


# -- attributes --------------------------------------------------------------------------------------


def test_attributes_go_through_a_descriptor_whatever_the_name_is_by_now(root: VolumeRoot) -> None:
    with root.opened(b"d/f", LOOK) as fd:
        os.rename(os.path.join(root.path, b"d/f"), os.path.join(root.path, b"moved"))
        wanted = Attributes(0o604, os.getuid(), os.getgid(), ((b"user.k", b"v"),))
        restyle(anchor(fd), wanted)
        assert read_attributes(os.fstat(fd), anchor(fd)) == (wanted, ())
    assert stat.S_IMODE(os.stat(os.path.join(root.path, b"moved")).st_mode) == 0o604


def test_attributes_can_be_changed_on_a_file_that_its_owner_may_not_write_to(root: VolumeRoot) -> None:
    with root.opened(b"d/f", LOOK) as fd:
        for value in (b"1", b"2"):
            wanted = Attributes(0o400, os.getuid(), os.getgid(), ((b"user.k", value),))
            restyle(anchor(fd), wanted)
            assert read_attributes(os.fstat(fd), anchor(fd)) == (wanted, ())


@pytest.mark.parametrize(
    ("key", "travels"),
    [
        (b"user.k", True),
        (b"user.syncagent.volume", False),
        (b"security.selinux", False),
        (b"trusted.k", False),
        (b"system.posix_acl_access", False),
        (b"user." + b"k" * 251, False),
    ],
)
def test_which_extended_attributes_travel(key: bytes, travels: bool) -> None:
    assert is_replicated(key) is travels


# -- stats and errors --------------------------------------------------------------------------------


def test_kinds() -> None:
    assert [kind_of(kind) for kind in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)] == [
        Kind.FILE,
        Kind.DIRECTORY,
        Kind.SYMLINK,
    ]
    special = (stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK)
    assert [(kind_of(kind), what_is(kind)) for kind in special] == [
        (None, "FIFO"),
        (None, "socket"),
        (None, "device"),
        (None, "device"),
    ]


@pytest.mark.parametrize("position", range(7))
def test_a_leaf_is_expected_in_every_part_of_its_stat(position: int) -> None:
    fields = [1, 2, 3, 4, stat.S_IFREG | 0o644, 5, 6]
    fields[position] += 1
    other = StatKey(*fields)
    assert is_as_expected(KEY, KEY) and not is_as_expected(KEY, other)
    assert is_same_but_ctime(KEY, other) is (position == 3)


@pytest.mark.parametrize("position", range(7))
def test_a_directory_is_expected_in_what_it_is_itself(position: int) -> None:
    fields = [1, 2, 3, 4, stat.S_IFDIR | 0o755, 5, 6]
    expect = StatKey(*fields)
    fields[position] += 1
    assert is_as_expected(expect, StatKey(*fields)) is (position in (1, 2, 3))


def test_a_stat_is_racy_shortly_after_a_change() -> None:
    now = 1_700_000_000_000_000_123
    old = now - 1_000_000_000
    for key, is_racy in (
        (StatKey(1, 1, old, old, 0, 0, 0), False),
        (StatKey(1, 1, now - 5_000_000, old, 0, 0, 0), True),
        (StatKey(1, 1, old, now - 5_000_000, 0, 0, 0), True),
        (StatKey(1, 1, now + 5_000_000, old, 0, 0, 0), True),
        (StatKey(1, 1, now + 10**12, old, 0, 0, 0), False),
        (StatKey(1, 1, old, old - 123, 0, 0, 0), True),
        (StatKey(1, 1, old - 2 * 10**9, old - 2 * 10**9 - 123, 0, 0, 0), False),
    ):
        assert key.is_racy(now) is is_racy


def test_a_stat_key_has_what_a_stat_has(tmp_path: FilePath) -> None:
    found = os.stat(tmp_path)
    key = stat_key(found)
    assert (key.inode, key.mode, key.mtime_ns) == (found.st_ino, found.st_mode, found.st_mtime_ns)


def test_errors_name_the_remedy() -> None:
    assert errors.describe(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))) == (
        "No space left on device: free space on the volume's file system"
    )
    assert errors.describe(OSError(errno.ESTALE, "root: gone")) == "root: gone"
    assert errors.describe(OSError(errno.EPIPE, "")) == "Broken pipe"
    assert errors.describe(OSError("no number")) == "no number"
