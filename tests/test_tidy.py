"""The sources stay small and plain: limits of files and functions, no stray output, no loose ends."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
SOURCES = sorted(
    path
    for folder in ("agent", "protocol", "tests")
    for path in (ROOT / folder).rglob("*.py")
    if "__pycache__" not in path.parts
)
LOOSE_ENDS = re.compile(r"\b(TO" + "DO|FIX" + "ME|XX" + "X|HA" + "CK)\\b")


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function, nested ones too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_is_tidy(path: Path) -> None:
    text = path.read_text()
    lines = text.splitlines()
    assert len(lines) <= FILE_LINES_MAX, f"{path}: {len(lines)} lines; split it by concern"
    for node in functions(ast.parse(text)):
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        assert length <= FUNCTION_LINES_MAX, f"{path}:{node.lineno} {node.name}: {length} lines; split it"
    loose = [number for number, line in enumerate(lines, 1) if LOOSE_ENDS.search(line)]
    assert not loose, f"{path}: loose ends at lines {loose}"


@pytest.mark.parametrize("folder", ["agent/syncagent", "protocol/syncproto"])
def test_public_modules_say_what_they_are_for(folder: str) -> None:
    missing = [
        str(path)
        for path in (ROOT / folder).rglob("*.py")
        if path.read_text().strip() and ast.get_docstring(ast.parse(path.read_text())) is None
    ]
    assert not missing


def test_the_repository_stands_alone() -> None:
    """Nothing outside the tests' set-up refers to what lies beside the repository."""
    beside = re.compile(r"\.\./shared|" + re.escape(f"{ROOT}/"))
    texts = [*SOURCES, *(ROOT / "compose").glob("*"), *ROOT.glob("*.md"), *ROOT.glob("*/*.md")]
    found = [
        str(path) for path in texts if path.is_file() and path != Path(__file__) and beside.search(path.read_text())
    ]
    assert not found
