"""Fixtures of the contract suites."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilePath

import pytest

from contract.index_harness import Home, MemoryHome, SqliteHome
from syncagent.ports import Index


@pytest.fixture(params=["sqlite", "memory"])
def index_home(request: pytest.FixtureRequest, tmp_path: FilePath) -> Home:
    return SqliteHome(tmp_path) if request.param == "sqlite" else MemoryHome()


@pytest.fixture
def index(index_home: Home) -> Iterator[Index]:
    opened = index_home.open()
    yield opened
    opened.close()
