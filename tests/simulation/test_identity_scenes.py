"""A replica comes back older than it was, in many drawn histories: what the others have made of it since holds."""

from __future__ import annotations

from random import Random

import pytest

from simulation.judge import settle
from simulation.ledger import Tree, tree_of
from simulation.scenes import Scene
from syncproto.model import Entry, Kind, Path
from syncproto.version import Dot

PATHS = [b"p%d" % number for number in range(12)] + [b"d/p%d" % number for number in range(4)]


class Rollback:
    """One drawn history of three machines; ``a`` is the one that comes back older."""

    def __init__(self, seed: int, *, what: str, is_running: bool) -> None:
        self.random, self.what = Random(seed), what
        self.scene = Scene("abc")
        self.scene.ledger.note_dots = lambda entry: None  # type: ignore[method-assign]
        self.number = 0
        self.dots: dict[Dot, tuple[object, ...]] = {}
        self.scene.mkdir("b", b"d")
        self.act("abc", 14)
        self._take_the_snapshot(is_running)

    def _take_the_snapshot(self, is_running: bool) -> None:
        a = self.scene["a"]
        self.rest()
        if not is_running:
            a.stop()
        self.index, self.volume, self.then = a.index_disk.copy(), a.volume.snapshot(), self.scene.tree()
        a.start()
        self.scene.wait()

    def act(self, names: str, count: int, paths: list[Path] = PATHS) -> None:
        """So many acts of users, and time to tell of each."""
        for _ in range(count):
            self._act(self.random.choice(names), self.random.choice(paths))
            self.scene.wait(self.random.choice([0.0, 0.5]))

    def _act(self, name: str, path: Path) -> None:
        tree, dice = tree_of(self.scene[name].volume), self.random.random()
        if path in tree and dice < 0.25:
            self.scene.delete(name, path)
        elif path in tree and dice < 0.4 and path + b"-moved" not in tree:
            self.scene.rename(name, path, path + b"-moved")
        elif b"d" in tree:
            self.number += 1
            self.scene.write(name, path, b"%d of %s" % (self.number, name.encode()))

    def rest(self) -> None:
        """All have everything."""
        wrong = settle(self.scene.world, self.scene.machines)
        assert wrong is None, "\n".join([*self.scene.world.log[-60:], wrong])
        for machine in self.scene.machines:
            index = machine.engine.context.index
            for entry in (*index.entries(), *index.pending()):
                self._note(entry)

    def _note(self, entry: Entry) -> None:
        what = (entry.path, entry.kind, entry.content, entry.stamp)
        assert self.dots.setdefault(entry.dot, what) == what, f"{entry.dot} was used twice"

    def roll_back(self) -> None:
        """While it is down, or at the very moment when it is killed."""
        a = self.scene["a"]
        a.kill()
        if self.what in ("index", "both"):
            a.index_disk = self.index
        if self.what in ("volume", "both"):
            a.volume.restore(self.volume)

    def incarnation(self) -> str:
        return self.scene["a"].engine.context.index.origin

    def contents(self, name: str) -> dict[Path, bytes | None]:
        return _leaves(tree_of(self.scene[name].volume))


def _leaves(tree: Tree) -> dict[Path, bytes | None]:
    return {path: thing.content for path, thing in tree.items() if thing.kind != Kind.DIRECTORY}


@pytest.mark.parametrize("is_running", [False, True], ids=["stopped", "running"])
@pytest.mark.parametrize("what", ["index", "volume", "both"])
@pytest.mark.parametrize("seed", range(4))
def test_who_comes_back_older_takes_what_became_of_it(seed: int, what: str, is_running: bool) -> None:
    history = Rollback(seed, what=what, is_running=is_running)
    history.scene.wait(3.0)
    history.act("abc", 20)
    history.rest()
    before = history.incarnation()
    history.roll_back()
    # What others change a second time, that is, since it came back, leaves what it has of the first as a copy.
    now = history.scene.tree("b")
    paths = PATHS if what != "index" else [path for path in PATHS if now.get(path) == history.then.get(path)]
    history.act("b", 5, paths)
    expected = history.contents("b")
    if what != "volume":  # what users do now on a volume that nobody knows to be older is as old as it
        history.scene.write("a", b"late", b"late")
        expected[b"late"] = b"late"
    if what == "both":
        history.scene.part()
        history.scene["a"].start()
        history.scene.wait(2.0)
        for number in range(8):
            history.scene.write("a", b"alone%d" % number, b"alone %d" % number)
            expected[b"alone%d" % number] = b"alone %d" % number
        history.scene.wait(2.0)
        history.scene.join()
    history.scene["a"].start()
    history.scene.wait(5.0)
    history.rest()
    assert {name: history.contents(name) for name in "abc"} == dict.fromkeys("abc", expected)
    assert history.incarnation() != before
