"""What every tree does with contents before they are placed, and how it serves them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path as FilePath

import blake3
import pytest

from contract.volume_harness import KINDS, Volume, made_volume
from syncagent.core.chunking import chunk_offsets, describe, digest_of, zero_chunk_id
from syncagent.core.plan import Place, StatKey
from syncagent.ports import Applied, Observation, Tree
from syncproto.model import Attributes, Manifest, Path

OURS = Attributes(0o644, os.getuid(), os.getgid())


def generated(size: int, seed: bytes) -> bytes:
    return blake3.blake3(seed).digest(length=size)


BIG = generated(900_000, b"big")
EDITED = BIG[:400_000] + b"an insertion" + BIG[400_000:]


@pytest.fixture(params=KINDS)
def volume(request: pytest.FixtureRequest, tmp_path: FilePath) -> Iterator[Volume]:
    yield from made_volume(request.param, tmp_path)


@pytest.fixture
def tree(volume: Volume) -> Tree:
    return volume.open()[1]


def manifest_of(data: bytes) -> Manifest:
    manifest = describe(data)[1]
    assert manifest is not None
    return manifest


def observed(volume: Volume, path: Path) -> Observation:
    finding = volume.open()[0].examine(path, None)
    assert isinstance(finding, Observation), finding
    return finding


def write_chunks(tree: Tree, data: bytes, manifest: Manifest, numbers: list[int]) -> None:
    offsets = chunk_offsets(manifest)
    for number in numbers:
        tree.stage_write(manifest.digest, offsets[number], data[offsets[number] : offsets[number + 1]])


def place(tree: Tree, path: Path, data: bytes) -> Applied:
    outcome = tree.apply([Place(path, None, digest_of(data), len(data), OURS, 1)])[-1]
    assert isinstance(outcome, Applied), outcome
    return outcome


def test_small_contents_count_once_they_verify(tree: Tree) -> None:
    good, wrong = b"good", digest_of(b"other")
    assert tree.stage_whole([(digest_of(good), good), (wrong, b"forged"), (digest_of(b""), b"")]) == [wrong]
    assert tree.is_staged(digest_of(good)) and tree.is_staged(digest_of(b"")) and not tree.is_staged(wrong)


def test_the_same_content_may_be_staged_again(volume: Volume, tree: Tree) -> None:
    for _ in range(2):
        assert tree.stage_whole([(digest_of(b"x"), b"x"), (digest_of(b"x"), b"x")]) == []
    place(tree, b"f", b"x")
    assert tree.stage_whole([(digest_of(b"x"), b"x")]) == []
    place(tree, b"g", b"x")
    assert volume.read(b"f") == volume.read(b"g") == b"x"


def test_many_small_contents_at_once(volume: Volume, tree: Tree) -> None:
    contents = [(digest_of(b"%d" % number), b"%d" % number) for number in range(300)]
    assert tree.stage_whole(contents) == []
    for _, data in contents:
        place(tree, b"f" + data, data)
    assert sorted(content or b"" for _, _, content, _ in volume.walk()) == sorted(data for _, data in contents)


def test_a_big_content_is_assembled_in_any_order(volume: Volume, tree: Tree) -> None:
    manifest = manifest_of(BIG)
    assert tree.stage_begin(manifest) == []
    write_chunks(tree, BIG, manifest, list(reversed(range(len(manifest.chunks)))))
    assert not tree.is_staged(manifest.digest)
    assert tree.stage_finish(manifest, sparse=False) == []
    assert tree.is_staged(manifest.digest)
    assert tree.stage_finish(manifest, sparse=False) == []
    assert tree.stage_begin(manifest) == list(range(len(manifest.chunks)))
    place(tree, b"f", BIG)
    assert volume.read(b"f") == BIG


def test_wrong_and_missing_chunks_are_named(volume: Volume, tree: Tree) -> None:
    manifest = manifest_of(BIG)
    every = list(range(len(manifest.chunks)))
    tree.stage_begin(manifest)
    write_chunks(tree, BIG, manifest, [number for number in every if number != 2])
    tree.stage_write(manifest.digest, chunk_offsets(manifest)[1], b"garbage")
    assert tree.stage_finish(manifest, sparse=False) == [1, 2]
    assert not tree.is_staged(manifest.digest)
    write_chunks(tree, BIG, manifest, [1, 2])
    assert tree.stage_finish(manifest, sparse=False) == []


def test_chunks_that_are_right_of_a_whole_that_is_wrong_all_count_as_wrong(tree: Tree) -> None:
    honest = manifest_of(BIG)
    lying = Manifest(digest_of(b"something else"), honest.size, honest.chunks)
    tree.stage_begin(lying)
    write_chunks(tree, BIG, lying, list(range(len(lying.chunks))))
    assert tree.stage_finish(lying, sparse=False) == list(range(len(lying.chunks)))


def test_bytes_stay_within_a_content_that_was_begun(tree: Tree) -> None:
    manifest = manifest_of(BIG)
    with pytest.raises(OSError, match="not being assembled"):
        tree.stage_write(manifest.digest, 0, b"x")
    tree.stage_begin(manifest)
    for offset in (-1, manifest.size):
        with pytest.raises(OSError, match="beyond the end"):
            tree.stage_write(manifest.digest, offset, b"x")
    with pytest.raises(OSError, match="do not add up"):
        tree.stage_begin(Manifest(digest_of(b"bad"), manifest.size + 1, manifest.chunks))


def test_zeros_need_not_be_fetched(volume: Volume, tree: Tree) -> None:
    data = generated(100_000, b"head") + bytes(1_500_000) + b"tail"
    manifest = manifest_of(data)
    present = tree.stage_begin(manifest)
    assert len(present) >= 4
    assert all(manifest.chunks[n].id == zero_chunk_id(manifest.chunks[n].length) for n in present)
    write_chunks(tree, data, manifest, [n for n in range(len(manifest.chunks)) if n not in present])
    assert tree.stage_finish(manifest, sparse=True) == []
    place(tree, b"f", data)
    found = observed(volume, b"f")
    assert volume.read(b"f") == data and found.sparse


def test_what_has_no_holes_gets_none(volume: Volume, tree: Tree) -> None:
    data = generated(100_000, b"head") + bytes(1_500_000) + b"tail"
    manifest = manifest_of(data)
    present = tree.stage_begin(manifest)
    write_chunks(tree, data, manifest, [n for n in range(len(manifest.chunks)) if n not in present])
    assert tree.stage_finish(manifest, sparse=False) == []
    place(tree, b"f", data)
    found = observed(volume, b"f")
    assert volume.read(b"f") == data and not found.sparse


def test_chunks_of_the_older_version_are_used(volume: Volume, tree: Tree) -> None:
    volume.write(b"f", BIG)
    old, new = manifest_of(BIG), manifest_of(EDITED)
    every = list(range(len(new.chunks)))
    assert tree.stage_begin(new) == []
    filled = tree.stage_local(new, every, b"f", old)
    missing = [number for number in every if number not in filled]
    assert 1 <= len(missing) <= 3
    write_chunks(tree, EDITED, new, missing)
    assert tree.stage_finish(new, sparse=False) == []
    place(tree, b"g", EDITED)
    assert volume.read(b"g") == EDITED


def test_chunks_that_the_older_version_no_longer_has_are_not_used(volume: Volume, tree: Tree) -> None:
    volume.write(b"f", generated(900_000, b"another"))
    volume.mkdir(b"d")
    volume.symlink(b"l", b"f")
    old, new = manifest_of(BIG), manifest_of(EDITED)
    tree.stage_begin(new)
    every = list(range(len(new.chunks)))
    for path in (b"f", b"d", b"l", b"gone", b"f/below"):
        assert tree.stage_local(new, every, path, old) == []


def test_a_broken_transfer_goes_on_in_the_next_process(volume: Volume, tree: Tree) -> None:
    manifest = manifest_of(BIG)
    tree.stage_begin(manifest)
    write_chunks(tree, BIG, manifest, [0, 3, 4])
    tree.stage_write(manifest.digest, chunk_offsets(manifest)[4] + 5, b"torn")
    _, later = volume.open()
    assert later.stage_begin(manifest) == [0, 3]
    write_chunks(later, BIG, manifest, [n for n in range(len(manifest.chunks)) if n not in (0, 3)])
    assert later.stage_finish(manifest, sparse=False) == []
    place(later, b"f", BIG)
    assert volume.read(b"f") == BIG


def test_what_an_earlier_process_completed_is_looked_at_again(volume: Volume, tree: Tree) -> None:
    manifest = manifest_of(BIG)
    tree.stage_begin(manifest)
    write_chunks(tree, BIG, manifest, list(range(len(manifest.chunks))))
    assert tree.stage_finish(manifest, sparse=False) == []
    tree.stage_whole([(digest_of(b"small"), b"small")])
    _, later = volume.open()
    assert not later.is_staged(manifest.digest) and not later.is_staged(digest_of(b"small"))
    assert later.stage_begin(manifest) == list(range(len(manifest.chunks)))
    assert later.stage_finish(manifest, sparse=False) == []
    assert later.stage_whole([(digest_of(b"small"), b"small")]) == []
    place(later, b"f", BIG)
    place(later, b"g", b"small")
    assert (volume.read(b"f"), volume.read(b"g")) == (BIG, b"small")


@pytest.mark.parametrize("data", [b"", b"small", BIG])
def test_a_content_is_copied_from_a_file_that_has_it(volume: Volume, tree: Tree, data: bytes) -> None:
    volume.write(b"f", data)
    assert tree.stage_copy(digest_of(data), b"f", observed(volume, b"f").stat, sparse=False)
    assert tree.is_staged(digest_of(data))
    place(tree, b"g", data)
    assert volume.read(b"g") == data


def test_holes_are_copied_as_holes(volume: Volume, tree: Tree) -> None:
    data = bytes(600_000) + b"middle" + bytes(600_000)
    volume.write_sparse(b"f", data)
    assert tree.stage_copy(digest_of(data), b"f", observed(volume, b"f").stat, sparse=True)
    place(tree, b"g", data)
    assert volume.read(b"g") == data and observed(volume, b"g").sparse


def test_nothing_is_copied_from_a_file_that_is_another_now(volume: Volume, tree: Tree) -> None:
    volume.write(b"f", b"old")
    stat = observed(volume, b"f").stat
    assert not tree.stage_copy(digest_of(b"not in it"), b"f", stat, sparse=False)
    volume.append(b"f", b"+")
    assert not tree.stage_copy(digest_of(b"old"), b"f", stat, sparse=False)
    volume.delete(b"f")
    assert not tree.stage_copy(digest_of(b"old"), b"f", stat, sparse=False)
    assert not tree.is_staged(digest_of(b"old"))


def test_what_is_dropped_is_gone_and_leaves_nothing_behind(volume: Volume, tree: Tree) -> None:
    manifest = manifest_of(BIG)
    tree.stage_whole([(digest_of(b"a"), b"a"), (digest_of(b"b"), b"b")])
    tree.stage_begin(manifest)
    write_chunks(tree, BIG, manifest, [0])
    assert volume.names() == [b".syncagent"]
    tree.unstage([digest_of(b"a")])
    assert not tree.is_staged(digest_of(b"a")) and tree.is_staged(digest_of(b"b"))
    assert volume.names() == [b".syncagent"]
    tree.unstage(None)
    assert not tree.is_staged(digest_of(b"b")) and volume.names() == []
    assert tree.stage_begin(manifest) == []
    tree.unstage([manifest.digest])
    assert volume.names() == []


def test_what_was_placed_leaves_nothing_behind(volume: Volume, tree: Tree) -> None:
    tree.stage_whole([(digest_of(b"a"), b"a")])
    place(tree, b"f", b"a")
    tree.flush()
    tree.unstage(())
    assert volume.names() == [b"f"]


def test_leftovers_of_an_earlier_process_go(volume: Volume, tree: Tree) -> None:
    manifest = manifest_of(BIG)
    tree.stage_begin(manifest)
    write_chunks(tree, BIG, manifest, [0])
    tree.stage_whole([(digest_of(b"small"), b"small")])
    _, later = volume.open()
    later.unstage(None)
    assert volume.names() == []


# -- serving -----------------------------------------------------------------------------------------


def test_bytes_are_read_as_long_as_the_file_is_the_same(volume: Volume, tree: Tree) -> None:
    volume.write(b"f", BIG)
    stat = observed(volume, b"f").stat
    assert tree.read(b"f", stat, 100_000, 50_000) == BIG[100_000:150_000]
    assert tree.read(b"f", stat, len(BIG) - 10, 100) == BIG[-10:]
    volume.chmod(b"f", 0o600)
    assert tree.read(b"f", stat, 0, 10) is None


def test_nothing_is_read_through_what_took_the_place_of_the_file(volume: Volume, tree: Tree) -> None:
    volume.write(b"f", b"content")
    volume.write(b"secret", b"content")
    stat = observed(volume, b"f").stat
    volume.delete(b"f")
    assert tree.read(b"f", stat, 0, 10) is None
    volume.symlink(b"f", b"secret")
    assert tree.read(b"f", stat, 0, 10) is None
    assert tree.read(b"f/below", stat, 0, 10) is None
    volume.delete(b"f")
    volume.mkdir(b"f")
    assert tree.read(b"f", StatKey(0, 0, 0, 0, 0, 0, 0), 0, 10) is None


def test_copies_are_placed_one_after_the_other(volume: Volume, tree: Tree) -> None:
    data = b"many"
    volume.write(b"f", data)
    stat = observed(volume, b"f").stat
    assert tree.stage_copy(digest_of(data), b"f", stat, sparse=False, count=40)
    for number in range(40):
        assert tree.is_staged(digest_of(data)), number
        place(tree, b"copy%d" % number, data)
        assert volume.read(b"copy%d" % number) == data
    assert not tree.is_staged(digest_of(data))
    tree.unstage(None)
