"""What every scanner does: the real one on real file systems, and its twin."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path as FilePath

import blake3
import pytest

from contract.volume_harness import KINDS, Volume, counters_of, made_volume
from syncagent.core.chunking import describe
from syncagent.core.plan import StatKey
from syncagent.ports import Absent, Listing, Marker, Observation, Scanner, ScanProblem, Unchanged, Unsupported
from syncproto.model import Kind, Path

BIG = blake3.blake3(b"big").digest(length=700_000)


@pytest.fixture(params=KINDS)
def volume(request: pytest.FixtureRequest, tmp_path: FilePath) -> Iterator[Volume]:
    yield from made_volume(request.param, tmp_path)


@pytest.fixture
def scanner(volume: Volume) -> Scanner:
    return volume.open()[0]


def observed(scanner: Scanner, path: Path) -> Observation:
    finding = scanner.examine(path, None)
    assert isinstance(finding, Observation), finding
    return finding


def listed(scanner: Scanner, path: Path = b"") -> Listing:
    listing = scanner.list_directory(path)
    assert isinstance(listing, Listing), listing
    return listing


def children(scanner: Scanner, path: Path = b"") -> dict[bytes, StatKey]:
    return dict(listed(scanner, path).children)


# -- directories -------------------------------------------------------------------------------------


def test_a_listing_has_all_names_with_the_stats_that_a_look_finds(volume: Volume, scanner: Scanner) -> None:
    volume.mkdir(b"b")
    volume.write(b"a", b"1")
    volume.symlink(b"c", b"nowhere")
    volume.write(b"b/x", b"22")
    listing = listed(scanner)
    assert [name for name, _ in listing.children] == [b"a", b"b", b"c"]
    assert all(observed(scanner, name).stat == stat for name, stat in listing.children)
    assert listing.stat == observed(scanner, b"").stat
    assert [name for name, _ in listed(scanner, b"b").children] == [b"x"]


def test_names_are_bytes(volume: Volume, scanner: Scanner) -> None:
    for name in (b"\xff\xfe not utf-8", b"line\nbreak", "ä".encode(), b" "):
        volume.write(name, name)
    assert set(children(scanner)) == {b"\xff\xfe not utf-8", b"line\nbreak", "ä".encode(), b" "}
    assert observed(scanner, b"\xff\xfe not utf-8").content == blake3.blake3(b"\xff\xfe not utf-8").digest()


def test_what_is_never_replicated_is_left_out_and_shown(volume: Volume, scanner: Scanner) -> None:
    volume.mkdir(b"lost+found")
    volume.mkdir(b".snapshot")
    volume.write(b".nfs0000001", b"")
    volume.fifo(b"pipe")
    volume.mkdir(b"d")
    volume.mkdir(b"d/lost+found")
    volume.fifo(b"d/pipe")
    listing = listed(scanner)
    assert [name for name, _ in listing.children] == [b"d"]
    reasons = {finding.path: finding.reason for finding in listing.unsupported}
    assert set(reasons) == {b"lost+found", b".snapshot", b".nfs0000001", b"pipe"}
    assert reasons[b"pipe"] == "FIFO"
    assert [name for name, _ in listed(scanner, b"d").children] == [b"lost+found"]
    assert [finding.path for finding in listed(scanner, b"d").unsupported] == [b"d/pipe"]
    assert isinstance(scanner.examine(b"pipe", None), Unsupported)
    assert isinstance(scanner.examine(b".snapshot", None), Unsupported)


def test_the_agents_own_directory_and_marker_do_not_show(volume: Volume) -> None:
    scanner, tree = volume.open()
    tree.write_marker(Marker(b"v" * 16, "incarnation"))
    tree.stage_whole([(blake3.blake3(b"x").digest(), b"x")])
    assert b".syncagent" in volume.names()
    listing = listed(scanner)
    assert listing.children == () and listing.unsupported == ()
    assert observed(scanner, b"").attributes.xattrs == ()


def test_what_is_no_directory_is_absent_as_one(volume: Volume, scanner: Scanner) -> None:
    volume.write(b"file", b"")
    volume.mkdir(b"d")
    volume.symlink(b"link", b"d")
    for path in (b"gone", b"file", b"link", b"gone/below", b"link/below"):
        assert scanner.list_directory(path) == Absent(path)


# -- single paths ------------------------------------------------------------------------------------


def test_a_small_file_is_its_digest(volume: Volume, scanner: Scanner) -> None:
    volume.write(b"f", b"content")
    volume.write(b"empty", b"")
    found = observed(scanner, b"f")
    assert (found.kind, found.content, found.manifest) == (Kind.FILE, blake3.blake3(b"content").digest(), None)
    assert found.stat.size == 7 and not found.sparse and found.notes == ()
    assert observed(scanner, b"empty").content == blake3.blake3(b"").digest()


def test_a_big_file_has_a_manifest(volume: Volume, scanner: Scanner) -> None:
    volume.write(b"f", BIG)
    found = observed(scanner, b"f")
    assert (found.content, found.manifest) == describe(BIG)
    assert found.manifest is not None and len(found.manifest.chunks) > 3


def test_holes_read_as_zeros_and_are_noted(volume: Volume, scanner: Scanner) -> None:
    data = bytes(600_000) + b"end" + bytes(900_000)
    volume.write_sparse(b"f", data)
    volume.write_sparse(b"small", bytes(100_000))
    found = observed(scanner, b"f")
    assert found.sparse and (found.content, found.manifest) == describe(data)
    assert observed(scanner, b"small").sparse
    assert observed(scanner, b"small").content == blake3.blake3(bytes(100_000)).digest()


def test_a_symlink_is_opaque_bytes(volume: Volume, scanner: Scanner) -> None:
    volume.mkdir(b"d")
    volume.symlink(b"dangling", b"../../etc/\xff")
    volume.symlink(b"to-directory", b"d")
    found = observed(scanner, b"dangling")
    assert (found.kind, found.content, found.attributes.xattrs) == (Kind.SYMLINK, b"../../etc/\xff", ())
    assert observed(scanner, b"to-directory").kind == Kind.SYMLINK


def test_a_directory_has_attributes_only(volume: Volume, scanner: Scanner) -> None:
    volume.mkdir(b"d")
    volume.chmod(b"d", 0o750)
    found = observed(scanner, b"d")
    assert (found.kind, found.content, found.manifest, found.attributes.mode) == (Kind.DIRECTORY, None, None, 0o750)
    assert observed(scanner, b"").kind == Kind.DIRECTORY


def test_nothing_at_a_path_is_absent(volume: Volume, scanner: Scanner) -> None:
    volume.write(b"file", b"")
    volume.mkdir(b"d")
    volume.write(b"d/f", b"")
    volume.symlink(b"link", b"d")
    for path in (b"gone", b"gone/below", b"file/below", b"link/f"):
        assert scanner.examine(path, None) == Absent(path)


def test_what_is_known_is_not_read(volume: Volume, scanner: Scanner) -> None:
    volume.mkdir(b"d")
    for number in range(5):
        volume.write(b"d/%d" % number, BIG)
    stats = children(scanner, b"d")
    before = counters_of(scanner).files_read
    for name, stat in stats.items():
        assert scanner.examine(b"d/" + name, stat) == Unchanged(b"d/" + name)
    assert counters_of(scanner).files_read == before
    observed(scanner, b"d/0")
    assert counters_of(scanner).files_read == before + 1


def test_every_change_shows_in_the_stat(volume: Volume, scanner: Scanner) -> None:
    volume.write(b"f", b"one")
    seen = [observed(scanner, b"f").stat]

    def changed() -> Observation:
        found = scanner.examine(b"f", seen[-1])
        assert isinstance(found, Observation), found
        assert found.stat not in seen
        seen.append(found.stat)
        return found

    volume.append(b"f", b"+")
    assert changed().content == blake3.blake3(b"one+").digest()
    volume.write(b"f", b"same")
    assert changed().content == blake3.blake3(b"same").digest()
    volume.truncate(b"f", 2)
    assert changed().content == blake3.blake3(b"sa").digest()
    volume.chmod(b"f", 0o600)
    assert changed().attributes.mode == 0o600
    volume.touch(b"f", 1_000_000_001)
    assert changed().stat.mtime_ns == 1_000_000_001
    volume.set_xattr(b"f", b"user.key", b"value")
    assert changed().attributes.xattrs == ((b"user.key", b"value"),)
    volume.write(b"new", b"other")
    volume.rename(b"new", b"f")
    assert changed().content == blake3.blake3(b"other").digest()
    volume.delete(b"f")
    assert scanner.examine(b"f", seen[-1]) == Absent(b"f")
    volume.mkdir(b"f")
    assert observed(scanner, b"f").kind == Kind.DIRECTORY


def test_attributes_are_those_of_users(volume: Volume, scanner: Scanner) -> None:
    volume.write(b"f", b"")
    volume.chmod(b"f", 0o640)
    volume.set_xattr(b"f", b"user.z", b"\0\xff")
    volume.set_xattr(b"f", b"user.a", b"")
    volume.set_xattr(b"f", b"user.syncagent.mark", b"ours")
    found = observed(scanner, b"f").attributes
    assert (found.mode, found.uid, found.gid) == (0o640, os.getuid(), os.getgid())
    assert found.xattrs == ((b"user.a", b""), (b"user.z", b"\0\xff"))
    assert found.mtime_ns is None


def test_what_is_not_kept_is_noted(volume: Volume, scanner: Scanner) -> None:
    volume.write(b"f", b"")
    volume.chmod(b"f", 0o4755)
    volume.link(b"f", b"g")
    volume.mkdir(b"d")
    volume.chmod(b"d", 0o1777)
    found = observed(scanner, b"f")
    assert found.notes == ("setuid bit is not kept", "hard link (2 names) is kept as independent files")
    assert found.attributes.mode == 0o755
    assert observed(scanner, b"d").notes == ("sticky bit is not kept",)


def test_an_oversize_set_of_attributes_is_left_out_and_noted(volume: Volume, scanner: Scanner) -> None:
    volume.write(b"f", b"")
    for number in range(129):
        volume.set_xattr(b"f", b"user.%d" % number, b"")
    found = observed(scanner, b"f")
    assert found.attributes.xattrs == ()
    assert len(found.notes) == 1 and found.notes[0].startswith("extended attributes are not kept")


# -- ignore rules ------------------------------------------------------------------------------------


def test_the_ignore_file(volume: Volume, scanner: Scanner) -> None:
    assert scanner.read_ignore_file() is None
    volume.write(b".syncignore", b"*.tmp\n")
    assert scanner.read_ignore_file() == b"*.tmp\n"
    volume.delete(b".syncignore")
    volume.mkdir(b".syncignore")
    with pytest.raises(OSError, match="no regular file"):
        scanner.read_ignore_file()


# -- the root ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("accident", ["replaced", "removed"])
def test_nothing_is_concluded_from_a_root_that_is_not_the_opened_one(
    volume: Volume, scanner: Scanner, accident: str
) -> None:
    volume.write(b"f", b"")
    stat = observed(scanner, b"f").stat
    if accident == "replaced":
        volume.replace_root()
    else:
        volume.remove_root()
    assert isinstance(scanner.list_directory(b""), ScanProblem)
    for known in (None, stat):
        finding = scanner.examine(b"f", known)
        assert isinstance(finding, ScanProblem) and finding.reason.startswith("root")
    with pytest.raises(OSError, match="root"):
        scanner.read_ignore_file()
