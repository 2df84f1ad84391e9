"""Hard scenarios: directories that are moved, deleted and replaced while others work inside them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from process.cluster import contents, eventually
from process.scenarios import Apart, below, is_at_rest, later, notices, problems, texts


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    with Apart(tmp_path_factory.mktemp("pair"), "ab") as cluster:
        (cluster["a"].volume / ".syncignore").write_bytes(b"*.ignored\n")
        yield cluster


def with_directories(pair: Apart, folder: str, *names: str, files: int = 3) -> tuple[Path, Path]:
    """Directories with numbered files on both sides, each with its path for content."""
    for name in names:
        (pair["a"].volume / folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(files):
            (pair["a"].volume / folder / name / f"f{number}").write_bytes(f"{folder} {name} {number}".encode())
    pair.converge()
    return pair["a"].volume / folder, pair["b"].volume / folder


def test_e09_two_directories_moved_into_each_other(pair: Apart) -> None:
    a, b = with_directories(pair, "e09", "one", "two")
    with pair.cut():
        (a / "one").rename(a / "two" / "one")
        (b / "two").rename(b / "one" / "two")
        notices(pair["a"], "e09/two/one/f2")
        notices(pair["a"], "e09/one", is_gone=True)
        notices(pair["b"], "e09/one/two/f2")
        notices(pair["b"], "e09/two", is_gone=True)
    found = below(pair.converge(), "e09")
    files = {f"{path}/f{number}" for path in ("two/one", "one/two") for number in range(3)}
    assert found == {"one", "two", "two/one", "one/two"} | files
    assert {f"e09 {name} {number}".encode() for name in ("one", "two") for number in range(3)} <= contents(b)


@pytest.mark.parametrize("last", ["delete", "create"])
def test_e10_a_directory_deleted_while_a_child_is_made_in_it(pair: Apart, last: str) -> None:
    folder = f"e10-{last}"
    a, b = with_directories(pair, folder, "d/deeper", "d/other", "d")
    with pair.cut():
        acts: list[Callable[[], object]] = [
            lambda: (b / "d" / "deeper" / "new").write_bytes(b"new"),
            lambda: shutil.rmtree(a / "d"),
        ]
        for act in acts if last == "delete" else reversed(acts):
            act()
            later()
        notices(pair["b"], f"{folder}/d/deeper/new")
        notices(pair["a"], f"{folder}/d", is_gone=True)
    assert below(pair.converge(), folder) == {"d", "d/deeper", "d/deeper/new"}
    shutil.rmtree(b / "d")
    assert below(pair.converge(), folder) == set()


def test_e11_a_directory_deleted_that_holds_something_ignored_elsewhere(pair: Apart) -> None:
    a, b = with_directories(pair, "e11", "d/deeper", "d")
    (b / "d" / "deeper" / "mine.ignored").write_bytes(b"never replicated")
    os.mkfifo(b / "d" / "fifo")
    shutil.rmtree(a / "d")
    assert pair["a"].ctl("wait").returncode == 0
    assert {path.name for path in (b / "d").rglob("*")} == {"deeper", "mine.ignored", "fifo"}
    assert (b / "d" / "deeper" / "mine.ignored").read_bytes() == b"never replicated"
    assert not (a / "d").exists()
    kept = [problem for problem in problems(pair["b"]) if problem["path"] == "e11/d"]
    assert len(kept) == 1 and not kept[0]["is_blocking"], problems(pair["b"])
    shutil.rmtree(b / "d")
    assert below(pair.converge(), "e11") == set()
    eventually(lambda: not [problem for problem in problems(pair["b"]) if "e11/d" in (problem["path"] or "")])


@pytest.mark.parametrize("last", ["file", "directory"])
def test_e12_a_file_and_a_directory_made_under_one_name(pair: Apart, last: str) -> None:
    folder = f"e12-{last}"
    a, b = pair.folder(folder)
    with pair.cut():
        acts: list[Callable[[], object]] = [lambda: (a / "x.d").write_bytes(b"a file"), lambda: (b / "x.d").mkdir()]
        for act in reversed(acts) if last == "file" else acts:
            act()
            later()
        (b / "x.d" / "child").write_bytes(b"child")
        notices(pair["a"], f"{folder}/x.d")
        notices(pair["b"], f"{folder}/x.d/child")
        copy = pair.copy_of("a", f"{folder}/x.d").rpartition("/")[2]
    assert below(pair.converge(), folder) == {"x.d", "x.d/child", copy}
    assert texts(a) == texts(b) == {copy: b"a file"}


def test_e13_a_directory_replaced_by_a_file_with_kills_in_the_middle(pair: Apart) -> None:
    names = [f"x{number}" for number in range(8)]
    a, b = with_directories(pair, "e13", *[f"{name}/deep" for name in names], *names)
    for number, name in enumerate(names):
        shutil.rmtree(a / name)
        (a / name).write_bytes(f"{name} is a file".encode())
        if number in (3, 7):
            eventually(lambda name=name: not (b / name / "f0").exists(), 60)  # it has begun
            pair["b"].kill()
            pair["b"].start()
    found = below(pair.converge(), "e13")
    assert found == set(names)
    assert texts(b) == {name: f"{name} is a file".encode() for name in names}
    for name in names:
        (b / name).unlink()
        (b / name / "deep").mkdir(parents=True, exist_ok=True)
        (b / name / "deep" / "f0").write_bytes(b"a directory again")
    pair["a"].kill()
    pair["a"].start()
    found = below(pair.converge(), "e13")
    assert found == {path for name in names for path in (name, f"{name}/deep", f"{name}/deep/f0")}


def test_of_all_these_nothing_moves_any_more(pair: Apart) -> None:
    is_at_rest(pair)
