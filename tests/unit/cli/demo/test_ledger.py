from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from syncagent.cli.demo import edits
from syncagent.cli.demo.ledger import Ledger
from syncagent.cli.demo.trees import walk


class Pair:
    """Two replicas, and a copy by hand in place of agents."""

    def __init__(self, place: Path) -> None:
        self.roots = {"a": place / "a", "b": place / "b"}
        for root in self.roots.values():
            root.mkdir()
        self.ledger = Ledger({side: os.fsencode(root) for side, root in self.roots.items()})
        for number in range(60):
            (self.roots["a"] / f"d{number % 3}" / "deep").mkdir(parents=True, exist_ok=True)
            (self.roots["a"] / f"d{number % 3}" / f"f{number}.py").write_text(f"file {number}\n")
        self.ledger.take_stock("a")
        self.copy("a", "b")

    def copy(self, source: str, target: str) -> None:
        """Make the target's replica equal to the source's."""
        shutil.rmtree(self.roots[target])
        shutil.copytree(self.roots[source], self.roots[target], symlinks=True)

    def faults(self, side: str) -> list[str]:
        return list(self.ledger.faults(walk(os.fsencode(self.roots[side]), is_read=True)))

    def is_met(self, side: str) -> bool:
        return self.ledger.is_met(walk(os.fsencode(self.roots[side]), is_read=False))


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def test_the_stock_is_as_it_stands(pair: Pair) -> None:
    assert (pair.faults("a"), pair.faults("b")) == ([], [])
    assert pair.ledger.count.written == pair.ledger.count.in_place == 60


def test_all_edits_are_accounted_for(pair: Pair) -> None:
    ledger = pair.ledger
    shares = edits.shares(ledger.paths("file"), "ab", 14)
    assert not set(shares["a"]) & set(shares["b"])
    for side in ("a", "b"):
        done = edits.edit(ledger, side, shares[side])
        assert done.total() == 16
        assert not pair.is_met("b" if side == "a" else "a")
        pair.copy(side, "b" if side == "a" else "a")
    path, inside = edits.biggest_directory(ledger, None)
    assert inside == 2 + len([each for each in ledger.paths("file") + ledger.paths("symlink") if each.startswith(path)])
    ledger.rename("a", path, b"renamed")
    small, inside = edits.biggest_directory(ledger, 1)
    assert (ledger.delete_directory("a", small), inside) == (1, 1)
    assert pair.is_met("a")
    assert (pair.faults("a"), ledger.count.overwritten) == ([], 12)
    assert not pair.is_met("b")
    faults = pair.faults("b")
    assert f"{os.fsdecode(path)}: it was deleted or renamed and is back" in faults
    assert "renamed: a directory should be here, found nothing" in faults


def clash(pair: Pair) -> tuple[bytes, bytes, bytes]:
    files = pair.ledger.paths("file")[:3]
    assert edits.clash(pair.ledger, "a", "b", files) == 1
    return files[0], files[1], files[2]


def test_both_contents_of_a_conflict_are_demanded(pair: Pair) -> None:
    _, styled, both = clash(pair)
    (pair.roots["a"] / os.fsdecode(styled)).chmod(0o640)
    assert not pair.is_met("a")
    lost = [fault for fault in pair.faults("a") if "is lost" in fault]
    assert len(lost) == 1
    assert lost[0].startswith(os.fsdecode(both))
    copy = os.fsdecode(both).replace(".py", "~b.0123-7.py")
    shutil.copyfile(pair.roots["b"] / os.fsdecode(both), pair.roots["a"] / copy)
    assert pair.is_met("a")
    assert pair.faults("a") == []
    assert pair.ledger.count.in_copies == 1


def test_a_conflict_copy_somewhere_else_does_not_count(pair: Pair) -> None:
    _, _, both = clash(pair)
    shutil.copyfile(pair.roots["b"] / os.fsdecode(both), pair.roots["a"] / "elsewhere.py")
    faults = pair.faults("a")
    assert any("is lost" in fault for fault in faults)
    assert "elsewhere.py: nobody wrote this" in faults


def test_an_edit_outlives_a_delete_that_has_not_seen_it(pair: Pair) -> None:
    revived, _, _ = clash(pair)
    (pair.roots["a"] / os.fsdecode(revived)).unlink()
    assert f"{os.fsdecode(revived)}: a file should be here, found nothing" in pair.faults("a")


@pytest.mark.parametrize("change", ["content", "mode", "time", "extra", "missing"])
def test_every_fault_is_found(pair: Pair, change: str) -> None:
    file = pair.roots["b"] / "d0" / "f0.py"
    before = file.stat()
    if change == "content":
        file.write_text("FILE 0\n")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif change == "mode":
        file.chmod(0o600)
    elif change == "time":
        os.utime(file, ns=(0, 0))
    elif change == "extra":
        (pair.roots["b"] / "d0" / ".f0.py.tmp").touch()
    else:
        file.unlink()
    faults = pair.faults("b")
    assert faults
    assert all("f0.py" in fault or "does not add up" in fault for fault in faults)


def test_spread_takes_at_most_what_is_there() -> None:
    assert edits.spread([b"a", b"b", b"c", b"d"], 2) == [b"a", b"c"]
    assert edits.spread([b"a"], 5) == [b"a"]
