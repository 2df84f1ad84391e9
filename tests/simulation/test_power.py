"""What a power cut may leave, and that nothing that anybody was told is ever among what it takes."""

from __future__ import annotations

from random import Random

import pytest

from simulation.scenes import Scene
from syncagent.core.chunking import digest_of
from syncproto.model import Path
from twins.disk import MemoryVolume


def leavings(volume_of: object, path: Path, tries: int = 200) -> set[bytes | None]:
    """What may stand at a path after a cut, by many seeds."""
    assert callable(volume_of)
    found: set[bytes | None] = set()
    for seed in range(tries):
        volume = volume_of()
        volume.cut_power(Random(seed))
        node = volume.look(path)
        found.add(None if node is None else node.data)
    return found


def _whole(data: bytes | None) -> bytes:
    assert data is not None, "a file that was durable is gone"
    return data


def rewritten() -> MemoryVolume:
    volume = MemoryVolume()
    volume.write(b"f", b"a" * 32)
    volume.durable.sync_all(volume.root)
    volume.write(b"f", b"b" * 40)
    return volume


def test_a_write_that_was_not_flushed_is_there_or_not_or_torn() -> None:
    found = leavings(rewritten, b"f")
    assert {b"a" * 32, b"b" * 40, b"a" * 16 + b"b" * 16} <= found
    pages = (b"a" * 16, b"b" * 16, b"\0" * 16, b"a" * 8, b"b" * 8, b"\0" * 8)
    assert all(data[at : at + 16] in pages for data in map(_whole, found) for at in range(0, len(data), 16))


def test_a_new_file_may_be_there_without_its_bytes() -> None:
    def made() -> MemoryVolume:
        volume = MemoryVolume()
        volume.write(b"f", b"content")
        return volume

    assert {None, b"", b"content"} <= leavings(made, b"f")


def test_what_was_flushed_with_its_name_stays() -> None:
    def flushed() -> MemoryVolume:
        volume = rewritten()
        volume.durable.sync(volume.find(b"f"))
        volume.write(b"other", b"not flushed")
        return volume

    assert leavings(flushed, b"f") == {b"b" * 40}


def test_a_rename_is_whole_or_not_at_all() -> None:
    for seed in range(100):
        volume = rewritten()
        volume.mkdir(b"d")
        volume.durable.sync_all(volume.root)
        volume.rename(b"f", b"d/f")
        volume.cut_power(Random(seed))
        assert (volume.look(b"f") is None) != (volume.look(b"d/f") is None)


@pytest.mark.parametrize("fuse", range(1, 24))
def test_a_power_cut_between_any_two_effects_leaves_no_trace(fuse: int) -> None:
    scene = Scene()
    scene.write("a", b"x", b"first")
    scene.write("a", b"d/y", b"other")
    scene.wait()
    scene["b"].fuse, scene["b"].is_power_fuse = fuse, True
    scene.write("a", b"x", b"second")
    scene.rename("a", b"d/y", b"d/z")
    scene.wait()
    assert scene.end() == {b"x": b"second", b"d": None, b"d/z": b"other"}


@pytest.mark.parametrize("fuse", range(1, 12))
def test_what_a_peer_was_told_of_a_local_file_outlasts_a_power_cut(fuse: int) -> None:
    scene = Scene()
    scene["a"].fuse, scene["a"].is_power_fuse = fuse, True
    scene.write("a", b"d/x", b"written, and never flushed by its program")
    scene.wait()
    told = scene.tree("b")
    if scene["a"].is_running:
        scene["a"].cut_power()
    scene["a"].start()
    assert scene.end().items() >= {path: thing.content for path, thing in told.items()}.items()


def test_two_writes_in_one_tick_of_a_coarse_clock_are_both_found() -> None:
    scene = Scene()
    scene["a"].volume.granularity_ns = scene["b"].volume.granularity_ns = 2 * 10**9
    scene.wait(2 - scene.world.now % 2)
    scene.write("a", b"x", b"first")
    scene.wait(0.3)
    scene.write("a", b"x", b"later")
    scene.wait(3.0)
    assert scene.tree("b")[b"x"].content == b"later"
    assert scene.end() == {b"x": b"later"}


def test_a_write_in_the_tick_in_which_the_process_ended_is_found_at_the_next_start() -> None:
    scene = Scene()
    scene["a"].volume.granularity_ns = 2 * 10**9
    scene.wait(2 - scene.world.now % 2)
    scene.write("a", b"x", b"first")
    scene.wait(0.3)
    scene["a"].kill()
    scene.write("a", b"x", b"later")
    scene.wait(3.0)
    scene["a"].start()
    assert scene.end() == {b"x": b"later"}


def test_a_peers_change_displaces_nothing_that_was_written_in_the_same_tick() -> None:
    scene = Scene()
    scene.write("a", b"x", b"older")
    scene.wait()
    scene["b"].volume.granularity_ns = 2 * 10**9
    scene.part()
    scene.write("a", b"x", b"by a.")
    scene.wait(2 - scene.world.now % 2)
    scene.write("b", b"x", b"first")
    scene.wait(0.2)
    scene["b"].hint_loss = 1.0
    scene.write("b", b"x", b"later")
    scene.join()
    scene.wait(5.0)
    assert b"later" in scene.end().values()


def test_a_file_that_gave_an_error_is_read_again_when_it_is_over() -> None:
    scene = Scene()
    trouble = scene["a"].volume.trouble
    trouble.broken.add("read")
    scene.write("a", b"x", b"x")
    scene.wait(1.0)
    assert trouble.happened and scene.tree("b") == {}
    trouble.end()
    assert scene.end() == {b"x": b"x"}


def test_a_disk_that_lies_gives_no_peer_a_wrong_content() -> None:
    scene = Scene()
    scene["a"].volume.trouble.broken.add("silent")
    scene.write("a", b"x", b"x" * 100)
    scene.wait(3.0)
    assert scene["a"].volume.trouble.happened
    assert all(digest_of(thing.content or b"") == digest_of(b"x" * 100) for thing in scene.tree("b").values())
    scene["a"].volume.trouble.end()
    assert scene.end() == {b"x": b"x" * 100}
