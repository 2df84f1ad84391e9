"""The way back on simulated machines: whole engines, killed where it hurts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulation.judge import settle
from simulation.scenes import Scene
from syncagent.core.brake import BrakeLimit
from syncagent.engine.history_commands import UndoToken
from syncagent.engine.problems import rfc3339
from syncagent.status import UndoResult
from syncproto.model import Path

BEFORE: dict[Path, bytes | None] = {b"d": None, b"d/one": b"one", b"d/two": b"two", b"moves": b"stays"}


def scrambled(names: str) -> tuple[Scene, str]:
    """Everybody has BEFORE, and then a day on which everything goes wrong; gives the moment between the two."""
    scene = Scene(names)
    for path, content in BEFORE.items():
        if content is not None:
            scene.write("a", path, content)
    scene.wait()
    since = rfc3339(scene["a"].wall_ns())
    scene.wait(0.1)
    scene.write("a", b"d/one", b"scrambled")
    scene.write(names[-1], b"new/ransom", b"pay")
    scene.rename(names[-1], b"moves", b"moved")
    scene.wait()
    scene.write("a", b"d/one", b"scrambled twice")
    scene.delete(names[-1], b"d/two")
    scene.wait()
    return scene, since


def undo(scene: Scene, name: str, since: str, seconds: float = 3.0) -> UndoResult | None:
    """Order it, and give what became of it by then; None if the machine died meanwhile."""
    machine = scene[name]
    tokens: list[UndoToken] = []
    results: list[UndoResult | None] = []

    def ask() -> None:
        assert machine.agent is not None
        results.append(machine.agent.history_commands.undone(tokens[0]))

    def order() -> None:
        assert machine.agent is not None
        tokens.append(machine.agent.history_commands.undo(None, since, None))

    machine.post(order, machine.life)
    scene.wait(seconds)
    if machine.is_running and tokens:
        ask()
    return results[0] if results else None


def settled(scene: Scene) -> dict[Path, bytes | None]:
    """What all have once everything is quiet."""
    for machine in scene.machines:
        machine.fuse = None
        machine.start()
    scene.wait(2.0)
    wrong = settle(scene.world, scene.machines)
    assert wrong is None, "\n".join([*scene.world.log, wrong])
    trees = [scene.tree(machine.name) for machine in scene.machines]
    assert all(tree == trees[0] for tree in trees)
    return {path: thing.content for path, thing in trees[0].items()}


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_an_undo_ordered_anywhere_reverts_everywhere(name: str) -> None:
    scene, since = scrambled("abc")
    result = undo(scene, name, since)
    assert result is not None and (result.lacking, result.unsure, result.silent) == ([], [], [])
    assert result.reverted == 6  # one and two, the moved file under both names, the new directory and what is in it
    assert settled(scene) == BEFORE
    again = undo(scene, "a", since)
    assert again is not None and again.reverted == 0
    assert settled(scene) == BEFORE


def test_an_undo_is_undone() -> None:
    scene, since = scrambled("ab")
    wrong = settled(scene)
    moment = rfc3339(scene["a"].wall_ns())
    scene.wait(0.1)
    assert undo(scene, "a", since) is not None
    assert settled(scene) == BEFORE
    assert undo(scene, "b", moment) is not None
    assert settled(scene) == wrong


@pytest.mark.parametrize("fuse", range(1, 60, 4))
def test_an_undo_survives_the_death_of_whoever_was_ordered(fuse: int) -> None:
    scene, since = scrambled("abc")
    scene["a"].fuse = fuse
    undo(scene, "a", since)
    settled(scene)
    assert undo(scene, "a", since) is not None
    assert settled(scene) == BEFORE


def test_a_member_that_was_away_gets_what_the_undo_made() -> None:
    scene, since = scrambled("abc")
    scene["c"].stop()
    scene.wait()
    result = undo(scene, "a", since)
    assert result is not None and result.lacking == []
    assert settled(scene) == BEFORE


def test_a_user_who_writes_meanwhile_keeps_what_he_wrote() -> None:
    scene, since = scrambled("abc")
    scene.part()
    scene.write("c", b"d/one", b"written meanwhile")
    assert undo(scene, "a", since) is not None
    scene.join()
    tree = settled(scene)
    assert b"written meanwhile" in tree.values() and tree[b"moves"] == b"stays"


@pytest.mark.parametrize("name", ["a", "b"])
def test_an_undo_turns_directories_into_files_and_back(name: str) -> None:
    scene = Scene("ab")
    scene.write("a", b"file", b"a file")
    scene.write("a", b"directory/child", b"a child")
    scene.wait()
    since = rfc3339(scene["a"].wall_ns())
    scene.wait(0.1)
    scene.delete("a", b"file")
    scene.delete("b", b"directory")
    scene.wait()
    scene.write("a", b"file/child", b"new")
    scene.write("b", b"directory", b"new")
    scene.wait()
    assert undo(scene, name, since, 6.0) is not None
    assert settled(scene) == {b"file": b"a file", b"directory": None, b"directory/child": b"a child"}


def test_an_index_that_is_lost_and_a_member_that_only_relays_make_no_difference() -> None:
    scene, since = scrambled("abc")
    scene["b"].kill()
    scene["b"].lose_index()
    scene["b"].start()
    scene.wait(3.0)
    result = undo(scene, "a", since)
    assert result is not None and result.lacking == []
    assert settled(scene) == BEFORE


def contents_kept(scene: Scene, name: str) -> set[bytes]:
    """What a machine can bring back of what peers have replaced."""
    index = scene[name].engine.context.index
    tree = scene[name].engine.context.tree
    found = [tree.read_kept(past.kept, 0, 100) for past in index.oldest_kept()]
    return {data for data in found if data is not None}


def test_what_no_longer_fits_goes_the_oldest_first() -> None:
    scene = Scene("ab")
    scene["b"].stop()
    scene["b"].options = replace(scene["b"].options, history_size=25)  # of 9 bytes each
    scene["b"].start()
    for number in range(5):
        scene.write("a", b"f", b"version %d" % number)
        scene.wait(6.0)
    scene.wait(40.0)
    assert contents_kept(scene, "b") == {b"version 2", b"version 3"}
    changes = scene["b"].engine.context.index.history_of(b"f")
    assert [past.number for past in changes if past.kept] == [past.number for past in changes[:2]]
    scene.end()


@pytest.mark.parametrize("days", [-30, 30])
def test_a_clock_that_jumps_empties_no_history(days: int) -> None:
    scene = Scene("ab")
    scene.write("a", b"f", b"old")
    scene.wait()
    scene.write("a", b"f", b"new")
    scene.wait(6.0)
    scene["b"].skew_ns += days * 86400 * 10**9
    scene.wait(40.0)
    assert contents_kept(scene, "b") == {b"old"}
    scene.end()


def test_what_stood_at_a_time_is_brought_back_and_not_what_came_after() -> None:
    scene = Scene("ab")
    moments = []
    for number in range(4):
        scene.write("a", b"f", b"version %d" % number)
        scene.wait()
        moments.append(rfc3339(scene["b"].wall_ns()))
        scene.wait(0.1)
    agent = scene["b"].agent
    assert agent is not None
    for number in (1, 0, 2):
        agent.history_commands.restore(None, b"f", moments[number])
        scene.wait(3.0)
        assert settled(scene) == {b"f": b"version %d" % number}


def test_deletes_that_an_undo_makes_are_held_nowhere() -> None:
    scene = Scene("abc", brake=BrakeLimit(count=2, percent=10))
    scene.write("a", b"old", b"old")
    scene.wait()
    since = rfc3339(scene["a"].wall_ns())
    scene.wait(0.1)
    for number in range(6):
        scene.write("b", b"new%d" % number, b"%d" % number)
    scene.wait()
    result = undo(scene, "a", since)
    assert result is not None and result.reverted == 6
    for name in "abc":
        assert list(scene.tree(name)) == [b"old"], name
    assert settled(scene) == {b"old": b"old"}
