from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncagent.http import HttpServer
from twins.control import MemoryControl
from unit.http.harness import (
    control,
    serving,
)


@pytest.fixture
def agent() -> MemoryControl:
    return control()


@pytest.fixture
def api(tmp_path: Path, agent: MemoryControl) -> Iterator[HttpServer]:
    with serving(tmp_path, agent) as running:
        yield running
