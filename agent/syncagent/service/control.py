"""The control port on the running engine: every call is answered on the engine's thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TypeVar

from syncagent.engine import Agent
from syncagent.engine.commands import WaitToken
from syncagent.engine.history_commands import UndoToken
from syncagent.ports import IndexFailed
from syncagent.service.loop import Loop
from syncagent.status import (
    CommandRefused,
    ConflictStatus,
    HeldStatus,
    HistoryStatus,
    ProblemStatus,
    ReadyResult,
    Status,
    UndoResult,
    WaitResult,
    WhyStatus,
)

T = TypeVar("T")


class EngineControl:
    """Brings questions and orders to the engine."""

    def __init__(self, agent: Agent, loop: Loop, counters: Callable[[], dict[str, int]]) -> None:
        self._agent = agent
        self._loop = loop
        self._counters = counters

    def _ask(self, question: Callable[[], T]) -> T:
        try:
            return self._loop.ask(question)
        except FutureTimeout as error:
            raise CommandRefused("the agent is busy and has not answered within 30 s; ask again", 3) from error
        except IndexFailed as error:  # the volume is about to be halted for it
            raise CommandRefused(str(error), 5) from error

    def status(self) -> Status:
        return self._ask(self._agent.status)

    def wait_token(self, volume: str | None) -> object:
        return self._ask(lambda: self._agent.commands.wait_token(volume))

    def wait_check(self, token: object, members: int | None) -> WaitResult:
        assert isinstance(token, WaitToken)
        return self._ask(lambda: self._agent.commands.wait_check(token, members))

    def ready(self) -> ReadyResult:
        return self._ask(self._agent.commands.ready)

    def forget(self, volume: str | None, name: str) -> list[str]:
        return self._ask(lambda: self._agent.commands.forget(volume, name))

    def adopt(self, volume: str) -> list[str]:
        return self._ask(lambda: self._agent.commands.adopt(volume))

    def held(self, volume: str | None) -> list[HeldStatus]:
        return self._ask(lambda: self._agent.commands.held(volume))

    def release(self, volume: str | None, path: bytes | None = None) -> list[str]:
        return self._ask(lambda: self._agent.commands.release(volume, path))

    def revert(self, volume: str | None, path: bytes | None = None) -> list[str]:
        return self._ask(lambda: self._agent.commands.revert(volume, path))

    def resolve(self, volume: str | None, path: bytes, keep: str) -> list[str]:
        return self._ask(lambda: self._agent.history_commands.resolve(volume, path, keep))

    def history(self, volume: str | None, path: bytes | None) -> list[HistoryStatus]:
        return self._ask(lambda: self._agent.history_commands.history(volume, path))

    def restore(self, volume: str | None, path: bytes, at: str | None) -> object:
        return self._ask(lambda: self._agent.history_commands.restore(volume, path, at))

    def undo(self, volume: str | None, since: str, path: bytes | None) -> object:
        return self._ask(lambda: self._agent.history_commands.undo(volume, since, path))

    def undone(self, token: object) -> UndoResult | None:
        assert isinstance(token, UndoToken)
        return self._ask(lambda: self._agent.history_commands.undone(token))

    def conflicts(self, volume: str | None) -> list[ConflictStatus]:
        return self._ask(lambda: self._agent.commands.conflicts(volume))

    def problems(self, volume: str | None) -> list[ProblemStatus]:
        return self._ask(lambda: self._agent.commands.problems(volume))

    def why(self, volume: str | None, path: bytes) -> WhyStatus:
        return self._ask(lambda: self._agent.commands.why(volume, path))

    def rescan(self, volume: str | None) -> list[str]:
        return self._ask(lambda: self._agent.commands.rescan(volume))

    def counters(self) -> dict[str, float]:
        """Everything that is counted, under Prometheus names."""
        totals: dict[str, float] = {f"syncagent_{k}_total": float(v) for k, v in self._counters().items()}
        for volume in list(self._agent.volumes.values()):  # at the end the engine's thread gives them up
            for key, value in dict(volume.context.counters).items():
                label = f"syncagent_{key}_total"
                totals[label] = totals.get(label, 0.0) + value
        return totals

    def is_alive(self) -> bool:
        return self._loop.is_alive()
