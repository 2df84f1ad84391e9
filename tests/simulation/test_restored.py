"""State that is older than it should be: the index, the volume, or both are brought back from a copy."""

from __future__ import annotations

import pytest

from simulation.scenes import Scene


@pytest.mark.parametrize("what", ["index", "volume", "both"])
def test_what_is_restored_from_an_older_copy_loses_nothing_and_undoes_nothing(what: str) -> None:
    scene = Scene()
    machine = scene["b"]
    scene.write("a", b"x", b"first")
    scene.write("b", b"d/y", b"first of b")
    scene.wait()
    machine.stop()
    index, volume = machine.snapshot_index(), machine.snapshot_volume()
    machine.start()
    scene.wait()
    scene.write("a", b"x", b"second")
    scene.write("b", b"d/y", b"second of b")
    scene.write("b", b"new", b"new of b")
    scene.wait(3.0)
    machine.stop()
    if what != "volume":
        machine.restore_index(index)
    if what != "index":
        machine.restore_volume(volume)
    scene.ledger.is_memory_lost = True
    machine.start()
    tree = scene.end()
    assert tree.items() >= {b"x": b"second", b"d/y": b"second of b", b"new": b"new of b"}.items()
    assert len(tree) == 4, "no mass of conflict copies"
