"""What a look at the disk says, and what it does not say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulation.scenes import Scene
from syncagent.ports import Observation
from syncproto.model import Kind


def test_what_was_ignored_when_it_came_is_no_delete_once_it_is_ignored_no_longer() -> None:
    scene = Scene()
    scene.part()
    scene.write("a", b"hidden", b"of a")
    scene.write("b", b".syncignore", b"hidden\n")
    scene.wait()
    scene.join()
    scene.wait(2.0)
    assert b"hidden" not in scene.tree("b")
    assert scene["b"].engine.context.index.entry(b"hidden") is not None  # it is relayed
    scene.write("b", b".syncignore", b"other\n")
    scene.wait(3.0)
    assert scene.end() == {b".syncignore": b"other\n", b"hidden": b"of a"}


def test_a_look_that_the_index_has_overtaken_is_no_change_of_a_user() -> None:
    scene = Scene()
    scene.write("a", b"x", b"old")
    scene.wait()
    engine = scene["b"].engine
    row = engine.context.index.row(b"x")
    assert row is not None
    finding = engine.context.scanner.examine(b"x", None)
    assert isinstance(finding, Observation) and finding.kind == Kind.FILE
    scene.write("a", b"x", b"new")
    scene.wait()
    assert scene.tree("b")[b"x"].content == b"new"
    engine.lookout.found([(b"x", row.stat, finding)])
    engine.finish()
    scene.wait()
    entry = engine.context.index.entry(b"x")
    assert entry is not None and entry.origin == scene["a"].engine.context.index.origin
    assert scene.end() == {b"x": b"new"}


@pytest.mark.parametrize("is_running", [True, False])
def test_a_root_with_the_marker_of_another_volume_halts(is_running: bool) -> None:
    scene = Scene()
    scene.write("a", b"x", b"x")
    scene.wait(3.0)
    volume = scene["b"].volume
    own = volume.markers[volume.root.inode]
    if not is_running:
        scene["b"].stop()
        own = volume.markers[volume.root.inode]
    volume.markers[volume.root.inode] = replace(own, volume=bytes(16))
    scene.write("b", b"of the other", b"1")
    scene["b"].start()
    scene.wait(3.0)
    assert "marker of another volume" in str(scene["b"].engine.context.halt)
    assert set(scene.tree("a")) == {b"x"}
