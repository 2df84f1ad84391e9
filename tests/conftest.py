"""Settings of all tests: Hypothesis tries the same examples each time; what a test does to log levels ends with it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def kept_log_levels() -> Iterator[None]:
    """Levels are global: each test finds them as they were."""
    loggers = [logging.getLogger(name) for name in ("", "syncagent", "syncproto")]
    before = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)
