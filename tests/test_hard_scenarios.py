"""The table of hard scenarios in the design is whole, and the tests that it names are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent
DESIGN = TESTS.parent / "agent" / "DESIGN.md"
COUNT = 30
WITHOUT_A_TEST_MAX = 8
_NAMED = re.compile(r"`([\w/]+)::(\w+)`")


def rows() -> list[list[str]]:
    """The cells of both tables."""
    section = DESIGN.read_text().partition("\n## Hard scenarios\n")[2].partition("\n## ")[0]
    lines = [
        line for line in section.splitlines() if line.startswith("| ") and not line.startswith(("| No.", "| Pair"))
    ]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def functions(path: Path) -> set[str]:
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


def test_all_thirty_are_there_once_and_nearly_all_have_a_test() -> None:
    numbered = [row for row in rows() if row[0].isdigit()]
    assert [int(row[0]) for row in numbered] == list(range(1, COUNT + 1))
    assert sum(not _NAMED.search(row[2]) for row in numbered) <= WITHOUT_A_TEST_MAX
    assert all(row[-1] for row in rows())


def test_every_named_test_exists() -> None:
    named = [match for row in rows() for match in _NAMED.findall(row[-1])]
    assert len(named) >= COUNT
    missing = [
        f"{module}::{name}"
        for module, name in named
        if name not in functions(TESTS / ("" if "/" in module else "process") / f"{module}.py")
    ]
    assert not missing


def test_every_scenario_test_is_named() -> None:
    named = {name for row in rows() for _, name in _NAMED.findall(row[-1])}
    there = {name for path in (TESTS / "process").glob("test_scenarios_*.py") for name in functions(path)}
    assert {name for name in there if re.match(r"test_e\d\d_", name)} <= named
