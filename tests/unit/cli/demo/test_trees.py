from __future__ import annotations

import os
import stat
import sysconfig
from pathlib import Path

import pytest

from syncagent.cli.demo.trees import copy, differences, library_files, walk


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub" / ".syncagent").mkdir(parents=True)
    (root / ".syncagent").mkdir()
    (root / ".syncagent" / "staged").write_text("not the user's")
    (root / "sub" / "file").write_text("content")
    (root / "link").symlink_to("sub/file")
    os.close(os.open(os.fsencode(root) + b"/caf\xe9", os.O_CREAT))
    os.mkfifo(root / "pipe")
    return root


def test_a_walk_finds_all_but_the_agent_s_own(root: Path) -> None:
    found = walk(os.fsencode(root), is_read=True)
    assert {path: node.kind for path, node in found.items()} == {
        b"sub": "directory",
        b"sub/.syncagent": "directory",
        b"sub/file": "file",
        b"link": "symlink",
        b"caf\xe9": "file",
        b"pipe": "something else (10000)",
    }
    assert found[b"sub/file"].content.hex().startswith("ed7002b439e9ac845f22357d822bac14")
    assert found[b"link"].content == b"sub/file"
    assert walk(os.fsencode(root), is_read=False)[b"sub/file"].content == b""


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (lambda b: (b / "sub" / "file").write_text("CONTENT"), "content "),
        (lambda b: (b / "sub" / "file").chmod(0o600), "mode 0600"),
        (lambda b: os.utime(b / "sub" / "file", ns=(0, 1)), "time 0.000000001"),
        (lambda b: (b / "sub" / "file").unlink(), "b has nothing"),
        (lambda b: (b / "sub" / "more").mkdir(), "b has a directory of mode"),
        (lambda b: (b / "link").unlink() or (b / "link").symlink_to("x"), "b has a symlink to x"),
        (lambda b: (b / "sub").chmod(0o700), "b has a directory of mode 0700"),
    ],
)
def test_every_difference_is_found(tmp_path: Path, fault: object, told: str) -> None:
    trees = {}
    for name in ("a", "b"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "file").write_text("content")
        os.utime(tmp_path / name / "sub" / "file", ns=(0, 10**18))
        (tmp_path / name / "link").symlink_to("sub/file")
    assert callable(fault)
    fault(tmp_path / "b")
    for name in ("a", "b"):
        trees[name] = walk(os.fsencode(tmp_path / name), is_read=True)
    (sentence,) = differences(trees)
    assert told in sentence


def test_equal_trees_have_no_difference(root: Path) -> None:
    tree = walk(os.fsencode(root), is_read=True)
    assert list(differences({"a": tree, "b": dict(tree), "c": dict(tree)})) == []


def test_the_library_is_real_and_bounded(tmp_path: Path) -> None:
    sources = library_files(100)
    assert len(sources) == 100
    assert len({source.path for source in sources}) == 100
    assert not any(b"__pycache__" in source.path or b"site-packages" in source.path for source in sources)
    for source in sources:
        copy(source, os.fsencode(tmp_path))
    library = Path(sysconfig.get_path("stdlib"))
    for source in sources:
        copied, original = tmp_path / os.fsdecode(source.path), library / os.fsdecode(source.path)
        if original.is_symlink():
            assert copied.readlink() == original.readlink()
            continue
        assert copied.read_bytes() == original.read_bytes()
        assert copied.stat().st_mtime_ns == original.stat().st_mtime_ns
        assert copied.stat().st_mode & stat.S_IWUSR
    assert len(library_files(10_000)) > 100
