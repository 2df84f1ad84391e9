"""Hard scenarios: files that are edited, deleted and renamed on two sides at once, by users who know nothing of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from process.cluster import contents
from process.scenarios import Apart, below, is_at_rest, later, notices, texts, why


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    with Apart(tmp_path_factory.mktemp("pair"), "ab") as cluster:
        yield cluster


def with_files(pair: Apart, folder: str, *names: str) -> tuple[Path, Path]:
    """A directory with files on both sides, each with its name for content."""
    (pair["a"].volume / folder).mkdir()
    for name in names:
        (pair["a"].volume / folder / name).write_bytes(b"base " + name.encode())
    pair.converge()
    return pair["a"].volume / folder, pair["b"].volume / folder


def both_edit(pair: Apart, folder: str, name: str, when: bytes = b"") -> str:
    """Both edit the file while they are apart, B last; gives the name that A's copy must get."""
    with pair.cut():
        (pair["a"].volume / folder / name).write_bytes(b"edited at a" + when)
        notices(pair["a"], f"{folder}/{name}")
        later()
        (pair["b"].volume / folder / name).write_bytes(b"edited at b" + when)
        notices(pair["b"], f"{folder}/{name}")
        copy = pair.copy_of("a", f"{folder}/{name}")
    pair.converge()
    return copy.rpartition("/")[2]


def test_e01_edits_on_both_sides_of_a_cut(pair: Apart) -> None:
    a, b = with_files(pair, "e01", "f.txt")
    copy = both_edit(pair, "e01", "f.txt")
    assert texts(a) == texts(b) == {"f.txt": b"edited at b", copy: b"edited at a"}
    second = both_edit(pair, "e01", "f.txt", b" again")
    both = {copy: b"edited at a", second: b"edited at a again"}
    assert texts(a) == texts(b) == {"f.txt": b"edited at b again", **both} and len(both) == 2


def test_e01_both_sides_resolve_the_same_conflict(pair: Apart) -> None:
    a, b = with_files(pair, "e01r", "same.txt", "kept.txt", "other.txt")
    copies = {name: both_edit(pair, "e01r", name) for name in ("same.txt", "kept.txt", "other.txt")}
    with pair.cut():
        for side, name in ((a, "a"), (b, "b")):
            os.replace(side / copies["same.txt"], side / "same.txt")
            (side / copies["kept.txt"]).unlink()
            notices(pair[name], "e01r/same.txt")
            notices(pair[name], f"e01r/{copies['kept.txt']}", is_gone=True)
        os.replace(a / copies["other.txt"], a / "other.txt")
        (b / copies["other.txt"]).unlink()
        notices(pair["a"], "e01r/other.txt")
        notices(pair["b"], f"e01r/{copies['other.txt']}", is_gone=True)
    pair.converge()
    resolved = {"same.txt": b"edited at a", "kept.txt": b"edited at b", "other.txt": b"edited at a"}
    assert texts(a) == texts(b) == resolved


def test_e02_edits_to_the_same_bytes(pair: Apart) -> None:
    a, b = with_files(pair, "e02", "f", "g")
    with pair.cut():
        for side, name in ((a, "a"), (b, "b")):
            (side / "f").write_bytes(b"the same")
            (side / "new").write_bytes(b"new and the same")
            (side / "link").symlink_to("f")
            notices(pair[name], "e02/f")
            notices(pair[name], "e02/new")
    assert below(pair.converge(), "e02") == {"f", "g", "new", "link"}
    assert texts(a)["f"] == b"the same"


@pytest.mark.parametrize("last", ["edit", "delete"])
def test_e03_an_edit_meets_a_delete(pair: Apart, last: str) -> None:
    folder = f"e03-{last}"
    a, b = with_files(pair, folder, "f", "other")
    with pair.cut():
        acts: list[Callable[[], object]] = [lambda: (a / "f").write_bytes(b"edited at a"), lambda: (b / "f").unlink()]
        for act in acts if last == "delete" else reversed(acts):
            act()
            later()
        notices(pair["a"], f"{folder}/f")
        notices(pair["b"], f"{folder}/f", is_gone=True)
    pair.converge()
    assert texts(a) == texts(b) == {"f": b"edited at a", "other": b"base other"}
    (b / "f").unlink()  # this one has seen the edit
    pair.converge()
    assert texts(a) == texts(b) == {"other": b"base other"}


def test_e04_a_delete_meets_a_delete(pair: Apart) -> None:
    a, b = with_files(pair, "e04", "f", "other")
    with pair.cut():
        for side, name in ((a, "a"), (b, "b")):
            (side / "f").unlink()
            notices(pair[name], "e04/f", is_gone=True)
    pair.converge()
    assert texts(a) == texts(b) == {"other": b"base other"}
    assert {why(pair[name], "e04/f")["state"] for name in "ab"} <= {"deleted", "unknown"}


def test_e05_a_delete_that_has_seen_the_edit(pair: Apart) -> None:
    a, b = with_files(pair, "e05", "f", "other")
    (a / "f").write_bytes(b"edited at a")
    pair.converge()
    with pair.cut():
        (b / "f").unlink()
        notices(pair["b"], "e05/f", is_gone=True)
    pair.converge()
    assert texts(a) == texts(b) == {"other": b"base other"}


def test_e06_a_rename_meets_an_edit_under_the_old_name(pair: Apart) -> None:
    a, b = with_files(pair, "e06", "old")
    with pair.cut():
        (a / "old").rename(a / "new")
        (b / "old").write_bytes(b"edited at b")
        notices(pair["a"], "e06/new")
        notices(pair["a"], "e06/old", is_gone=True)
        notices(pair["b"], "e06/old")
    pair.converge()
    assert texts(a) == texts(b) == {"new": b"base old", "old": b"edited at b"}


def test_e07_one_file_renamed_to_two_names(pair: Apart) -> None:
    a, b = with_files(pair, "e07", "old")
    with pair.cut():
        (a / "old").rename(a / "name-a")
        (b / "old").rename(b / "name-b")
        notices(pair["a"], "e07/name-a")
        notices(pair["b"], "e07/name-b")
        for name in "ab":
            notices(pair[name], "e07/old", is_gone=True)
    pair.converge()
    assert texts(a) == texts(b) == {"name-a": b"base old", "name-b": b"base old"}


def test_e08_two_files_renamed_to_one_name(pair: Apart) -> None:
    a, b = with_files(pair, "e08", "x", "z")
    with pair.cut():
        (a / "x").rename(a / "y.txt")
        notices(pair["a"], "e08/y.txt")
        notices(pair["a"], "e08/x", is_gone=True)
        later()
        (b / "z").rename(b / "y.txt")
        notices(pair["b"], "e08/y.txt")
        notices(pair["b"], "e08/z", is_gone=True)
        copy = pair.copy_of("a", "e08/y.txt").rpartition("/")[2]
    pair.converge()
    assert texts(a) == texts(b) == {"y.txt": b"base z", copy: b"base x"}


def test_of_all_these_nothing_moves_any_more(pair: Apart) -> None:
    for name in "ab":
        assert {b"edited at a", b"edited at b", b"base x", b"base z"} <= contents(pair[name].volume)
    is_at_rest(pair)
