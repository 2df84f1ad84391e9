"""Settings of all tests: examples are repeatable, and nothing of the caller's session reaches a test or is changed."""

from __future__ import annotations

import logging
import os
import signal
import stat
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session", autouse=True)
def heeded_interrupts() -> Iterator[None]:
    """Who starts the tests in the background may have them ignore SIGINT, and every process that they start too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session", autouse=True)
def own_run_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Agents that tests start leave their notes here, so that no ``syncctl`` of the user finds them."""
    place = tmp_path_factory.mktemp("runtime")
    place.chmod(0o700)
    found = os.lstat(place)
    assert stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(place))
        yield


@pytest.fixture(autouse=True)
def kept_log_levels() -> Iterator[None]:
    """Levels are global: each test finds them as they were."""
    loggers = [logging.getLogger(name) for name in ("", "syncagent", "syncproto")]
    before = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)
