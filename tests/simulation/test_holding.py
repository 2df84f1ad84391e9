"""What is held, and for how long: deletes until a person decides, tombstones until all have applied them."""

from __future__ import annotations

from dataclasses import replace

from simulation.scenes import Scene
from syncagent.core.brake import BrakeLimit
from syncproto.model import Kind


def test_a_held_delete_of_what_is_back_is_no_delete_any_more() -> None:
    scene = Scene(brake=BrakeLimit(count=2, percent=10))
    paths = [b"f%d" % number for number in range(6)]
    for path in paths:
        scene.write("a", path, path)
    scene.wait()
    for path in paths[:5]:
        scene.delete("a", path)
    scene.wait(3.0)
    scene.write("a", b"f0", b"f0")
    scene.write("a", b"f1", b"anew")
    scene.wait()
    agent = scene["a"].agent
    assert agent is not None
    assert sorted(held.path for held in agent.commands.held(None)) == ["f2", "f3", "f4"]
    agent.commands.release(None)
    scene.wait(3.0)
    assert scene["b"].engine.context.index.history_of(b"f0")[0].kind != Kind.TOMBSTONE
    assert scene.end() == {b"f0": b"f0", b"f1": b"anew", b"f5": b"f5"}


def test_a_tombstone_stays_as_long_as_a_member_that_is_away_has_not_applied_it() -> None:
    scene = Scene("abc")
    scene.write("a", b"x", b"x")
    scene.wait()
    scene["c"].stop()
    scene.delete("a", b"x")
    scene.wait(25.0)
    for name in "ab":
        assert [entry.path for entry in scene[name].engine.context.index.tombstones()] == [b"x"], name
    scene["c"].start()
    scene.wait(25.0)
    for name in "abc":
        assert not list(scene[name].engine.context.index.tombstones()), name
    assert scene.end() == {}


def test_a_release_elsewhere_frees_no_other_deletes() -> None:
    scene = Scene("abc", brake=BrakeLimit(count=2, percent=10))
    for name in "ac":
        scene[name].stop()
        scene[name].options = replace(scene[name].options, brake=BrakeLimit(is_off=True))
        scene[name].start()
    paths = [b"f%d" % number for number in range(6)]
    for path in paths:
        scene.write("a", path, path)
    scene.wait(2.0)
    for path in paths[:5]:
        scene.delete("a", path)
    scene.wait(2.0)
    b, c = scene["b"].agent, scene["c"].agent
    assert b is not None and c is not None
    assert len(b.commands.held(None)) == 5
    scene.write("c", b"new", b"new")
    scene.wait(0.5)
    c.commands.release(None)
    scene.wait(2.0)
    assert len(b.commands.held(None)) == 5
    assert scene.tree("b").keys() == {*paths, b"new"}
    b.commands.release(None)
    scene.wait(2.0)
    assert scene.end() == {b"f5": b"f5", b"new": b"new"}
