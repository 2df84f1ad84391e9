"""One small run for each situation that users ask about first."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from simulation.scenes import Scene
from syncagent.core.brake import BrakeLimit
from syncproto import limits
from syncproto.messages import Delta, VolumeMessage
from syncproto.model import Path


def only_copy(tree: dict[Path, bytes | None]) -> bytes | None:
    """The content of the one conflict copy."""
    (copy,) = [path for path in tree if b"~" in path]
    return tree[copy]


def test_a_rename_here_and_an_edit_there_keep_both() -> None:
    scene = Scene()
    scene.write("a", b"old", b"first")
    scene.wait()
    scene.part()
    scene.rename("a", b"old", b"new")
    scene.write("b", b"old", b"edited")
    scene.wait()
    assert scene.end() == {b"new": b"first", b"old": b"edited"}


def test_a_directory_deleted_here_stays_for_a_child_made_there() -> None:
    scene = Scene()
    scene.write("a", b"d/old", b"old")
    scene.wait()
    scene.part()
    scene.delete("a", b"d")
    scene.write("b", b"d/new", b"new")
    scene.wait()
    assert scene.end() == {b"d": None, b"d/new": b"new"}


def test_a_file_and_a_directory_of_one_name_keep_both() -> None:
    scene = Scene()
    scene.part()
    scene.write("a", b"x", b"file")
    scene.write("b", b"x/z", b"child")
    scene.wait()
    tree = scene.end()
    assert tree[b"x"] is None and tree[b"x/z"] == b"child"
    assert len(tree) == 3 and only_copy(tree) == b"file"


def test_edits_of_one_file_leave_one_copy_however_many_resolve_it() -> None:
    scene = Scene("abc")
    scene.write("a", b"x", b"first")
    scene.wait()
    scene.part()
    scene.write("a", b"x", b"by a")
    scene.wait(0.1)
    scene.write("b", b"x", b"by b")
    scene.wait()
    tree = scene.end()
    assert tree[b"x"] == b"by b"
    assert len(tree) == 2 and only_copy(tree) == b"by a"


@pytest.mark.parametrize("fuse", range(1, 18))
def test_a_kill_between_any_two_effects_leaves_no_trace(fuse: int) -> None:
    scene = Scene()
    scene.write("a", b"x", b"first")
    scene.write("a", b"d/y", b"other")
    scene.wait()
    scene["b"].fuse = fuse
    scene.write("a", b"x", b"second")
    scene.rename("a", b"d/y", b"d/z")
    scene.wait()
    assert not scene["b"].is_running
    assert scene.end() == {b"x": b"second", b"d": None, b"d/z": b"other"}


def test_who_missed_a_delete_that_all_others_have_forgotten_brings_nothing_back() -> None:
    scene = Scene("abc")
    scene.write("a", b"d/gone", b"gone")
    scene.write("a", b"kept", b"kept")
    scene.wait()
    scene["c"].kill()
    scene.wait(12.0)
    for name in "ab":
        agent = scene[name].agent
        assert agent is not None
        agent.commands.forget(None, "c")
    scene.delete("a", b"d")
    scene.write("a", b"d/anew", b"anew")
    scene.write("c", b"edited", b"while away")
    scene.wait(25.0)
    assert not list(scene["a"].engine.context.index.tombstones())
    scene["c"].start()
    assert scene.end() == {b"d": None, b"d/anew": b"anew", b"kept": b"kept", b"edited": b"while away"}


def test_without_its_index_a_replica_is_united_with_the_others() -> None:
    scene = Scene()
    scene.write("a", b"same", b"same")
    scene.write("a", b"edited", b"before")
    scene.wait()
    scene["b"].kill()
    scene["b"].lose_index()
    scene.ledger.is_memory_lost = True
    scene.write("b", b"edited", b"while down")
    scene.write("b", b"new", b"new")
    scene["b"].start()
    scene.wait()
    tree = scene.end()
    assert tree[b"same"] == b"same" and tree[b"new"] == b"new" and tree[b"edited"] == b"before"
    assert len(tree) == 4 and only_copy(tree) == b"while down"


@pytest.mark.parametrize("order", ["release", "revert"])
def test_a_mass_of_deletes_is_held_and_a_person_decides(order: str) -> None:
    scene = Scene(brake=BrakeLimit(count=2, percent=10))
    paths = [b"f%d" % number for number in range(6)]
    for path in paths:
        scene.write("a", path, path)
    scene.wait()
    full = scene.tree("b")
    for path in paths[:5]:
        scene.delete("a", path)
    scene.write("a", b"new", b"new")
    scene.wait(3.0)
    agent = scene["a"].agent
    assert agent is not None
    assert len(agent.commands.held(None)) == 5
    assert scene.tree("b").keys() == full.keys() | {b"new"}
    getattr(agent.commands, order)(None)
    scene.wait(3.0)
    kept = paths if order == "revert" else paths[5:]
    if order == "revert":
        scene.ledger.is_memory_lost = True  # what was deleted knowingly is back, as was ordered
    assert scene.end() == {b"new": b"new"} | {path: path for path in kept}


def test_what_was_replaced_before_anybody_fetched_it_holds_nobody_up() -> None:
    scene = Scene("abc")
    scene.part()
    big = bytes(300_000)
    scene.write("a", b"x", b"lost to b" + big)
    scene.wait(0.1)
    scene.write("b", b"x", b"by b")
    scene.wait()
    scene.world.network.heal("a", "c")
    while not list(scene["c"].engine.context.index.pending()):
        scene.wait(0.001)
    scene.part()
    scene.wait()
    scene.delete("a", b"x")
    scene.wait()
    assert scene.end() == {b"x": b"by b"}


def test_an_unmounted_volume_deletes_nothing() -> None:
    scene = Scene()
    scene.write("a", b"x", b"x")
    scene.wait()
    root = scene["b"].volume.root
    scene["b"].volume.replace_root()
    scene.wait(3.0)
    scene.write("a", b"y", b"y")
    scene.wait(3.0)
    assert scene.tree("b") == {} and set(scene.tree("a")) == {b"x", b"y"}
    scene["b"].volume.restore_root(root)
    assert scene.end() == {b"x": b"x", b"y": b"y"}


def test_a_directory_deleted_and_filled_again_at_once_is_looked_into() -> None:
    scene = Scene()
    scene.write("a", b"d/e/old", b"old")
    scene.wait()
    scene.delete("a", b"d")
    scene.write("a", b"d/e/deep/new", b"new")
    scene.wait()
    assert scene.tree("b") == scene.tree("a")
    assert scene.end()[b"d/e/deep/new"] == b"new"


def test_a_line_of_the_ignore_file_that_is_no_pattern_is_shown_until_it_is_corrected() -> None:
    scene = Scene()
    scene.write("a", b".syncignore", b"[z-a]\nhidden\n")
    scene.wait()
    scene.write("a", b"hidden", b"1")
    scene["b"].engine.walker.start_full()
    scene.wait()
    assert b"hidden" not in scene.tree("b")
    for name in "ab":
        assert [p.code for p in scene[name].engine.context.problems] == ["rules"]
    scene.write("b", b".syncignore", b"hidden\n")
    scene.wait()
    for name in "ab":
        assert not [*scene[name].engine.context.problems]
    scene.delete("a", b"hidden")
    scene.end()


def test_a_delete_is_not_believed_when_the_file_is_back_at_the_second_look() -> None:
    """As an editor saves: deleted, and written again at once; the hint of the second is lost."""
    scene = Scene()
    scene.write("a", b"x", b"old")
    scene.wait()
    scene.delete("a", b"x")
    scene.wait(0.01)
    scene["a"].hint_loss = 1.0
    scene.write("a", b"x", b"new")
    scene.wait(0.5)
    scene["a"].hint_loss = 0.0
    index = scene["a"].engine.context.index
    assert [entry.path for entry in index.tombstones()] == []
    assert scene.end()[b"x"] == b"new"


def test_a_directory_that_stayed_for_what_is_ignored_is_there_again_when_others_make_it_anew() -> None:
    scene = Scene()
    scene.write("a", b".syncignore", b"kept\n")
    scene.write("a", b"d/x", b"1")
    scene.wait()
    scene.write("b", b"d/kept", b"of b alone")
    scene.delete("a", b"d")
    scene.wait()
    assert set(scene.tree("b")) == {b".syncignore", b"d", b"d/kept"}
    scene.write("a", b"d/y", b"2")
    scene.wait()
    assert scene.tree("b")[b"d/y"].content == b"2"
    scene.delete("b", b"d/kept")
    assert set(scene.end()) == {b".syncignore", b"d", b"d/y"}


def test_who_waits_waits_for_the_looks_of_others() -> None:
    scene = Scene("abc")
    scene["c"].job_seconds = 0.5  # far longer than a barrier gives the watcher
    scene.write("c", b"x", b"slow to be read")
    agent = scene["a"].agent
    assert agent is not None
    token = agent.commands.wait_token(None)
    for _ in range(100):
        scene.wait(0.05)
        if agent.commands.wait_check(token, None).reached:
            break
    assert agent.commands.wait_check(token, None).reached
    assert b"x" in scene.tree("a") and b"x" in scene.tree("b")
    scene.end()


def test_a_file_that_is_emptied_and_written_anew_is_never_told_as_an_empty_one() -> None:
    scene = Scene()
    scene.write("a", b"x", b"old")
    scene.wait()
    scene.write("a", b"x", b"")
    scene.wait(0.008)
    scene.write("a", b"x", b"new")
    scene.wait()
    for name in "ab":
        sizes = [past.before.size for past in scene[name].engine.context.index.history_of(b"x") if past.before]
        assert sizes == [3], name
    scene.write("a", b"x", b"")
    assert scene.end() == {b"x": b""}


def test_a_directory_that_stayed_for_what_is_ignored_is_not_brought_back_by_a_restart() -> None:
    scene = Scene()
    scene.write("a", b".syncignore", b"kept\n")
    scene.write("a", b"d/x", b"1")
    scene.wait()
    scene.write("b", b"d/kept", b"of b alone")
    scene.delete("a", b"d")
    scene.wait()
    for end in (scene["b"].stop, scene["b"].kill):
        end()
        scene["b"].start()
        scene.wait(3.0)
        assert set(scene.tree("a")) == {b".syncignore"}
        assert set(scene.tree("b")) == {b".syncignore", b"d", b"d/kept"}
    scene.delete("b", b"d/kept")
    scene.delete("b", b"d")
    assert set(scene.end()) == {b".syncignore"}


def test_a_unit_of_which_a_part_is_lost_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DELTA_ENTRIES_MAX", 2)
    scene = Scene()
    peers, lost = scene["a"].engine.context.peers, list[Delta]()
    send = peers.send

    def lossy(peer: str, message: VolumeMessage, frames: Sequence[bytes] = ()) -> None:
        if isinstance(message, Delta) and message.part == 1 and not message.is_last and not lost:
            lost.append(message)
        else:
            send(peer, message, frames)

    monkeypatch.setattr(peers, "send", lossy)
    scene.part()
    for number in range(8):
        scene.write("a", b"f%d" % number, b"%d" % number)
    scene.wait()
    scene.join()
    scene.wait(3.0)
    assert len(lost) == 1 and len(lost[0].entries) == 2
    assert scene.tree("b").keys() == scene.tree("a").keys()
    assert len(scene.end()) == 8


@pytest.mark.parametrize("milliseconds", range(2, 30, 3))
def test_both_move_a_file_over_another_and_one_moves_it_back_at_once(milliseconds: int) -> None:
    scene = Scene()
    scene.write("b", b"d/e", b"1")
    scene.write("b", b"x", b"2")
    scene.wait()
    scene.rename("a", b"d/e", b"x")
    scene.rename("b", b"d/e", b"x")
    scene.wait(milliseconds / 1000)
    scene.rename("a", b"x", b"d/e")
    scene.wait()
    assert b"1" in scene.end().values()
