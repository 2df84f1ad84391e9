"""A bounded part of the small scope, and the proof that the canonical form abstracts nothing that counts."""

from __future__ import annotations

from collections import deque

import pytest

from exhaustive.bites import caught
from exhaustive.canonical import Keys
from exhaustive.run import PATHS
from exhaustive.search import first_acts, search, steps_of
from exhaustive.world import Scope, Step, World
from planted.bugs import BUGS
from syncagent.core.state import MemoryState
from syncproto.model import Entry, Metadata

STATE = "origin", "counter", "floor", "known", "applied", "collected"


@pytest.mark.parametrize("is_slow", [False, True])
@pytest.mark.parametrize("paths", PATHS)
def test_two_acts(paths: tuple[str, str], is_slow: bool) -> None:
    found = search(Scope(paths, 2, 0, is_slow))
    print(found.states, "states")
    assert found.failures == [] and found.states > 850 and found.judged > 190


@pytest.mark.parametrize("first", first_acts(Scope(PATHS[1], 2, 1, is_coarse=True)), ids=" ".join)
def test_two_acts_and_an_accident(first: Step) -> None:
    found = search(Scope(PATHS[1], 2, 1, is_coarse=True), first)
    print(found.states, "states")
    assert found.failures == [] and found.states > 400 and found.judged > 100


@pytest.mark.parametrize("is_slow", [False, True])
@pytest.mark.parametrize("paths", PATHS)
def test_three_acts_with_contents_at_hand(paths: tuple[str, str], is_slow: bool) -> None:
    found = search(Scope(paths, 3, 0, is_slow, is_coarse=True))
    print(found.states, "states")
    assert found.failures == [] and found.states > 750 and found.judged > 200


@pytest.mark.parametrize("is_slow", [False, True])
def test_an_act_and_an_accident(is_slow: bool) -> None:
    found = search(Scope(PATHS[0], 1, 1, is_slow))
    assert found.failures == [] and found.states > 250


def test_worlds_that_meet_stay_together() -> None:
    """Whatever the canonical form takes for equal has equal successors and the same verdict."""
    assert _check_meetings(Scope(PATHS[0], 2, 0, True), 150) > 50
    assert _check_meetings(Scope(PATHS[0], 2, 1, is_coarse=True), 60) > 50


def _check_meetings(scope: Scope, bound: int) -> int:
    """How many pairs of worlds met that were not equal to the letter."""
    keys, start, met = Keys(), World(scope), 0
    first, queue = {keys.of(start): start}, deque([start])
    while queue and met < bound:
        world = queue.popleft()
        for step, _ in steps_of(world, None):
            child = world.after(step)
            twin = first.setdefault(keys.of(child), child)
            if twin is child:
                queue.append(child)
            elif _stamps(twin) != _stamps(child):
                met += 1
                assert _futures(twin, keys) == _futures(child, keys), (twin.trace, child.trace)
    return met


def _stamps(world: World) -> list[object]:
    return [[*replica.state.entries(), *replica.state.pending(), replica.state.counter] for replica in world.replicas]


def _futures(world: World, keys: Keys) -> tuple[str | None, set[bytes]]:
    return world.copy().verdict(), {keys.of(world.after(step)) for step, _ in steps_of(world, None)}


def test_the_canonical_form_knows_all_there_is() -> None:
    """A field that it does not look at would be abstracted unseen."""
    assert len(Entry.__struct_fields__) == 13 and len(Metadata.__struct_fields__) == 6
    assert set(vars(MemoryState("a"))) == {*STATE, "sequence", "_entries", "_pending", "_written"}


@pytest.mark.parametrize("name", ["NO_COPY", "EDIT_COVERS_PENDING", "ACK_PENDING"])
def test_a_planted_bug_is_noticed(name: str) -> None:
    (bug,) = (bug for bug in BUGS if bug.name == name)
    assert caught(bug, 2)


def test_equal_siblings_are_interchangeable() -> None:
    assert {step[2] for step in first_acts(Scope(("x", "y"), 1, 0))} == {"x"}
    assert {step[2] for step in first_acts(Scope(("d", "d/x"), 1, 0))} == {"d", "d/x"}
