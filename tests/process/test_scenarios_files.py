"""Hard scenarios: names, links, modes and times of single files, and what changes without their content."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from process.cluster import eventually
from process.scenarios import Apart, below, counters, is_at_rest, later, notices, texts


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    with Apart(tmp_path_factory.mktemp("pair"), "ab") as cluster:
        yield cluster


def both_edit(pair: Apart, folder: str, names: list[str]) -> list[str]:
    """Both edit the files while they are apart, B last; gives the names that A's copies would have by the rule."""
    with pair.cut():
        for node in ("a", "b"):
            for name in names:
                (pair[node].volume / folder / name).write_bytes(b"edited at " + node.encode())
            for name in names:
                notices(pair[node], f"{folder}/{name}")
            later()
        copies = [pair.copy_of("a", f"{folder}/{name}").rpartition("/")[2] for name in names]
    pair.converge()
    return copies


def test_e28_names_that_differ_in_case_or_form_and_names_that_are_no_text(pair: Apart) -> None:
    a, b = pair.folder("e28")
    names = ["a.txt", "A.txt", "\u00e9.txt", "e\u0301.txt", os.fsdecode(b"not-utf8-\xff\xfe.txt"), "new\nline.txt"]
    for name in names[::2]:
        (a / name).write_bytes(b"made at a")
    for name in names[1::2]:
        (b / name).write_bytes(b"made at b")
    assert below(pair.converge(), "e28") == set(names)
    copies = both_edit(pair, "e28", names)
    kept = dict.fromkeys(names, b"edited at b") | dict.fromkeys(copies, b"edited at a")
    assert texts(a) == texts(b) == kept and len(kept) == 2 * len(names)


def test_e28_the_copy_of_the_longest_name_is_cut(pair: Apart) -> None:
    a, b = pair.folder("e28-long")
    longest = ["L" * 251 + ".txt", "\u00e9" * 125 + ".text", "x" * 255]
    for name in longest:
        (a / name).write_bytes(b"base")
    pair.converge()
    both_edit(pair, "e28-long", longest)
    assert texts(a) == texts(b)
    copies = sorted(set(texts(a)) - set(longest))
    assert [texts(a)[name] for name in copies] == [b"edited at a"] * 3
    assert all(200 < len(os.fsencode(name)) <= 255 for name in copies)
    for name, extension in zip(copies, [".txt", "", ".text"], strict=True):
        assert name.startswith(("L" * 100, "x" * 100, "\u00e9" * 50)) and name.endswith(extension), copies


def test_e30_a_hard_linked_pair(pair: Apart) -> None:
    a, b = pair.folder("e30-pair")
    (a / "one").write_bytes(b"base")
    os.link(a / "one", a / "two")
    pair.converge()
    assert (b / "one").stat().st_ino != (b / "two").stat().st_ino
    with (a / "two").open("ab") as file:
        file.write(b", more at a")
    assert pair["a"].ctl("wait").returncode == 0
    eventually(lambda: texts(b) == dict.fromkeys(("one", "two"), b"base, more at a"), 60)
    assert (a / "one").samefile(a / "two")
    (b / "one").write_bytes(b"edited at b")
    pair.converge()
    assert texts(a) == texts(b) == {"one": b"edited at b", "two": b"base, more at a"}
    assert (a / "two").stat().st_nlink == 1


def test_e30_a_sparse_file_stays_sparse(pair: Apart) -> None:
    a, b = pair.folder("e30-sparse")
    size = 64 << 20
    with (a / "f").open("wb") as file:
        file.truncate(size)
        file.seek(40 << 20)
        file.write(b"island" * 1000)
    pair.converge()
    with (b / "f").open("r+b") as file:
        file.seek(20 << 20)
        file.write(b"another" * 1000)
    pair.converge()
    for side in (a, b):
        found = (side / "f").stat()
        assert found.st_size == size and found.st_blocks * 512 < 4 << 20


def test_e30_a_setuid_bit_is_dropped_once(pair: Apart) -> None:
    a, b = pair.folder("e30-setuid")
    (a / "f").write_bytes(b"#!/bin/sh\n")
    (a / "f").chmod(0o4755)
    assert pair["a"].ctl("wait").returncode == 0
    eventually(lambda: (b / "f").exists() and (b / "f").stat().st_mode & 0o7777 == 0o755, 60)
    assert (a / "f").stat().st_mode & 0o7777 == 0o4755  # nobody touched it here
    before = counters(pair["a"])["local_changes"]
    (b / "f").write_bytes(b"#!/bin/bash\n")
    pair.converge()
    assert (a / "f").stat().st_mode & 0o7777 == 0o755
    assert pair["a"].ctl("rescan").returncode == 0
    pair.converge()
    assert counters(pair["a"])["local_changes"] == before


def test_a_touch_meets_an_attribute_and_an_edit(pair: Apart) -> None:
    a, b = pair.folder("touch")
    data = os.urandom(100_000)
    for name in ("f", "edited"):
        (a / name).write_bytes(data)
    pair.converge()
    sent = counters(pair["a"])["bulk_bytes_out"]
    with pair.cut():
        os.utime(a / "f", ns=(5, 1_000_000_000_000_000_005))
        os.utime(a / "edited", ns=(5, 1_000_000_000_000_000_005))
        later()
        os.setxattr(b / "f", "user.note", b"kept")
        (b / "edited").write_bytes(b"edited at b")
        time = (b / "edited").stat().st_mtime_ns
    pair.converge()
    assert texts(a) == texts(b) == {"f": data, "edited": b"edited at b"}
    assert os.getxattr(a / "f", "user.note") == b"kept"
    assert (b / "edited").stat().st_mtime_ns in (time, 1_000_000_000_000_000_005)
    assert counters(pair["a"])["bulk_bytes_out"] < sent + 1000  # what A did moves no content
    os.utime(a / "f", ns=(5, 1_000_000_000_000_000_005))
    pair.converge()
    assert (b / "f").stat().st_mtime_ns == 1_000_000_000_000_000_005
    os.removexattr(a / "f", "user.note")
    pair.converge()
    assert os.listxattr(b / "f") == []


def test_ignore_rules_change_on_one_side_of_a_cut(pair: Apart) -> None:
    a, b = pair.folder("ignore")
    (a / "keep.log").write_bytes(b"base")
    (a / "seen").write_bytes(b"base")
    pair.converge()
    with pair.cut():
        (a.parent / ".syncignore").write_bytes(b"*.log\n")
        notices(pair["a"], ".syncignore")
        (a / "keep.log").unlink()
        (b / "keep.log").write_bytes(b"edited at b")
        (b / "new.log").write_bytes(b"new at b")
        notices(pair["b"], "ignore/new.log")
    assert pair["a"].ctl("wait").returncode == 0
    eventually(lambda: (b.parent / ".syncignore").exists(), 60)
    assert texts(b) == {"keep.log": b"edited at b", "new.log": b"new at b", "seen": b"base"}
    (b.parent / ".syncignore").unlink()
    pair.converge()
    assert texts(a) == texts(b) == {"keep.log": b"edited at b", "new.log": b"new at b", "seen": b"base"}


def test_of_all_these_nothing_moves_any_more(pair: Apart) -> None:
    is_at_rest(pair)
