"""The compose file names only variables that the agent knows, and no secret."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from syncagent.config import OPTIONS

FILES = sorted((Path(__file__).resolve().parents[2] / "compose").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_variable_is_an_option_of_the_agent(path: Path) -> None:
    known = {option.variable for option in OPTIONS}
    named = set(re.findall(r"\bSYNCAGENT_[A-Z_]+", path.read_text()))
    assert named and named <= known


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_secret_is_written_down(path: Path) -> None:
    assert not re.search(r"[A-Za-z0-9_-]{40,}", path.read_text())


def test_there_is_a_compose_file() -> None:
    assert [path.name for path in FILES] == ["compose.yaml"]
