"""Fixtures of the contract suites."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path as FilePath

import pytest

from contract.control_harness import RealScene, Scene, TwinScene, until
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


@pytest.fixture(params=["agents", "memory"])
def open_scene(request: pytest.FixtureRequest, tmp_path: FilePath) -> Iterator[Callable[..., Scene]]:
    with ExitStack() as opened:

        def make(expects: str | None = None) -> Scene:
            scene: Scene = (RealScene if request.param == "agents" else TwinScene)(tmp_path, expects)
            opened.callback(scene.close)
            return scene

        yield make


@pytest.fixture
def alone(open_scene: Callable[..., Scene]) -> Scene:
    """Agent a, whose volumes are empty and looked at."""
    scene = open_scene()
    until(lambda: all(volume.in_sync and volume.ready for volume in scene.control.status().volumes))
    return scene


@pytest.fixture
def pair(alone: Scene) -> Scene:
    """Agents a and b, in sync."""
    alone.join("b")
    until(lambda: all(len(volume.replicas) == 2 and volume.in_sync for volume in alone.control.status().volumes))
    return alone
