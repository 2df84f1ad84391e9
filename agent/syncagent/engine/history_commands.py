"""What ``syncctl history``, ``undo`` and ``conflicts resolve`` have the agent do. Runs on the engine's thread."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from syncagent.engine.commands import Commands
from syncagent.engine.recalling import Formers, undo
from syncagent.engine.resolving import resolve
from syncagent.engine.times import moment_ns
from syncagent.engine.wayback import Restoration, history, require_sound
from syncagent.status import CommandRefused, HistoryStatus, UndoResult
from syncproto.model import Path

if TYPE_CHECKING:
    from syncagent.engine.volume import Volume


@dataclass(frozen=True, slots=True)
class UndoToken:
    """Per volume the question that goes round."""

    numbers: dict[str, bytes]
    result: UndoResult | None = None
    """Where nobody had to be asked."""


class HistoryCommands:
    """The verbs of the control port that lead back."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def history(self, volume: str | None, path: bytes | None) -> list[HistoryStatus]:
        """Of each volume in which the path, if one is given, has a history."""
        told = [history(each, place or None) for each, place in self._commands.places(volume, path)]
        return [each for each in told if each.changes] or told[:1] if path else told

    def restore(self, volume: str | None, path: bytes, at: str | None) -> UndoToken:
        """In the first volume that remembers the path; what is not kept here is asked of the others."""
        each, place = self._place(volume, path)
        at_ns = None if at is None else moment_ns(at, each.context.clock.wall_ns())
        plan = Restoration(each, place, at_ns)
        if plan.since is None:
            return UndoToken({}, plan.grant([], []))
        return UndoToken({each.context.options.name: each.recaller.begin(plan.since, place, partial(_restore, plan))})

    def resolve(self, volume: str | None, path: bytes, keep: str) -> list[str]:
        """In the first volume that has a conflict there."""
        places = self._commands.places(volume, path)
        for each, place in places[:-1]:
            try:
                return resolve(each, place, keep)
            except CommandRefused as refusal:
                if refusal.exit_code != 1:
                    raise
        return resolve(*places[-1], keep)

    def _place(self, volume: str | None, path: bytes) -> tuple[Volume, Path]:
        places = self._commands.places(volume, path)
        for each, place in places:
            index = each.context.index
            if index.history_of(place) or next(index.history_below(place), None) is not None:
                return each, place
        return places[0]

    def undo(self, volume: str | None, since: str, path: bytes | None) -> UndoToken:
        """Ask everybody, and then revert. Raises ``CommandRefused``, before anything is begun."""
        places = self._commands.places(volume, path)
        for each, _ in places:
            require_sound(each)
            held = len(each.lookout.departures.held) + len(each.applier.holding.held)
            if held:
                raise CommandRefused(
                    f"{each.context.options.name}: {held} deletes are held: decide with 'syncctl revert' or "
                    "'syncctl release' first",
                    5,
                )
        numbers = {}
        for each, place in places:
            stamp = moment_ns(since, each.context.clock.wall_ns())
            numbers[each.context.options.name] = each.recaller.begin(stamp, place, partial(_undo, each))
        return UndoToken(numbers)

    def undone(self, token: UndoToken) -> UndoResult | None:
        """The sum over the volumes, None while members are asked."""
        if token.result is not None:
            return token.result
        volumes = self._commands.agent.volumes
        results = [volumes[name].recaller.result(number) for name, number in token.numbers.items() if name in volumes]
        done = [result for result in results if result is not None]
        if len(done) < len(results):
            return None
        return UndoResult(
            reverted=sum(result.reverted for result in done),
            unchanged=sum(result.unchanged for result in done),
            lacking=[line for result in done for line in result.lacking],
            unsure=[line for result in done for line in result.unsure],
            silent=[line for result in done for line in result.silent],
        )


def _restore(plan: Restoration, formers: Formers, silent: list[str]) -> UndoResult:
    kept = [former.entry for former in formers.values() if former.is_kept and former.entry is not None]
    return plan.grant(kept, silent)


def _undo(volume: Volume, formers: Formers, silent: list[str]) -> UndoResult:
    return undo(volume, formers, silent)
