"""Gives paths the attributes that their entries have: mode, owner, extended attributes, times."""

from __future__ import annotations

from collections.abc import Callable

from syncagent.core.transition import restyle
from syncagent.engine.context import Context
from syncagent.engine.problems import split
from syncagent.ports import Applied, Failed, Row
from syncproto.model import Path

RETRY_SECONDS = 10.0


class Styler:
    """Paths whose entry may want other attributes than the disk has."""

    def __init__(self, context: Context, look_again: Callable[[Path, float], None]) -> None:
        self._context = context
        self._look_again = look_again
        self._paths: dict[Path, None] = {}
        self._refused: dict[Path, float] = {}

    def later(self, path: Path) -> None:
        """Compare this path at the next turn."""
        self._paths[path] = None

    def is_idle(self) -> bool:
        """Whether nothing is to be compared."""
        return not self._paths

    def run(self) -> None:
        """Set what differs; what the system refused is tried again now and then."""
        now = self._context.now
        for path in [path for path, when in self._refused.items() if when <= now]:
            del self._refused[path]
            self.later(path)
        paths, self._paths = self._paths, {}
        for path in paths:
            row = self._context.index.row(path)
            if row is not None and row.entry.is_live:
                self._restyle(path, row)
            else:
                self._is_right(path)

    def _restyle(self, path: Path, row: Row) -> None:
        context = self._context
        if row.stat is None or row.attributes is None:
            return
        step = restyle(row.entry, row.stat, row.attributes)
        if step is None:
            self._is_right(path)
            return
        outcome = context.tree.apply([step])[-1]
        if isinstance(outcome, Applied):
            if outcome.stat == row.stat and outcome.attributes == row.attributes:
                self._is_not_permitted(path)
                return
            context.is_applied = context.is_changed = True
            context.index.set_stat(path, outcome.stat, outcome.attributes)
            if outcome.stat is not None:
                context.races.wrote(path, outcome.stat)
            now = context.index.row(path)
            is_right = now is None or now.stat is None or now.attributes is None
            if (
                is_right
                or now is not None
                and restyle(now.entry, now.stat or row.stat, now.attributes or row.attributes) is None
            ):
                self._is_right(path)
            else:
                self._is_not_permitted(path)
        elif isinstance(outcome, Failed):
            self._refused[path] = context.now + RETRY_SECONDS
            cause, remedy = split(outcome.reason, "give the agent the right to set them")
            context.problems.add(
                "attributes",
                f"attributes cannot be set: {cause}",
                path=path,
                remedy=remedy,
                wall_ns=context.clock.wall_ns(),
            )
        else:
            self._look_again(path, context.now)

    def _is_right(self, path: Path) -> None:
        self._context.problems.clear("unapplied", path)
        self._context.problems.clear("attributes", path)

    def _is_not_permitted(self, path: Path) -> None:
        self._context.problems.add(
            "unapplied",
            "the owner or attributes are kept for the others but may not be applied here",
            path=path,
            remedy="run the agent with CAP_CHOWN and CAP_FOWNER, or as the owner",
            wall_ns=self._context.clock.wall_ns(),
        )
