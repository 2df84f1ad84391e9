"""Transports and sockets that are closed when a test ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import zmq

from syncagent.transport import dialler, sockets
from unit.transport.harness import Running, Start


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts transports, and stops them at the end of the test."""
    monkeypatch.setattr(dialler, "TROUBLE_SECONDS", 0.2)
    running: list[Running] = []

    def make(*arguments: object, **options: object) -> Running:
        made = Running(*arguments, **options)  # type: ignore[arg-type]
        running.append(made)
        made.transport.start()
        return made

    yield make
    for made in running:
        made.transport.stop(0)


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> Iterator[sockets.Context]:
    """For sockets of the test's own, which are closed at its end."""
    made: sockets.Context = zmq.Context()
    kept: list[sockets.Socket] = []
    make = made.socket

    def keep(kind: int) -> sockets.Socket:
        kept.append(make(kind))
        return kept[-1]

    monkeypatch.setattr(made, "socket", keep)
    yield made
    for each in kept:
        each.close(linger=0)
    made.term()
