"""A history: who does what, and when, as plain data. The same history is the same run; any part may be left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

BRAKE_OFF = (0, 0)


class Act(NamedTuple):
    """At a time (seconds from the start), on a machine, a user or fate does something.

    ``amid``: 0 for at once; N for the N-th moment after that at which the agent is in the middle of its work.
    """

    at: float
    machine: str
    what: str
    args: tuple[Any, ...] = ()
    amid: int = 0


@dataclass(frozen=True)
class History:
    """``dials``: "ab" is a who dials b. ``seed``: of the small chances, such as delays and the order of events."""

    acts: tuple[Act, ...]
    names: str = "ab"
    dials: tuple[str, ...] = ("ba",)
    seed: int = 0
    latency: float = 0.002
    pace: float = 0.002
    """The longest time that a job of a worker takes to begin and to end."""
    scan: float = 600.0
    hint_loss: float = 0.0
    brake: tuple[int, int] = BRAKE_OFF
    """Count and percent."""
    kept: int = 2**30
    """So many bytes of what is replaced or removed are kept."""

    def without(self, numbers: set[int]) -> History:
        """The same without some acts."""
        return replace(self, acts=tuple(act for number, act in enumerate(self.acts) if number not in numbers))

    def without_machine(self, name: str) -> History:
        """The same with one machine less; whoever it dialled or was dialled by are joined instead."""
        near = sorted({other for dial in self.dials for other in dial if name in dial} - {name})
        dials = {dial for dial in self.dials if name not in dial} | {near[0] + other for other in near[1:]}
        acts = tuple(act for act in self.acts if act.machine != name and name not in act.args)
        return replace(self, names=self.names.replace(name, ""), dials=tuple(sorted(dials)), acts=acts)

    def as_python(self) -> str:
        """Source text that makes this history; what is as always is left out."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield "History("
        yield "    acts=("
        for act in self.acts:
            yield f"        Act{_arguments(act)},"
        yield "    ),"
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "acts" and value != field.default:
                yield f"    {field.name}={_text(value)},"
        yield ")"


def _arguments(act: Act) -> str:
    values = [_text(act.at), _text(act.machine), _text(act.what), _text(act.args)]
    return f"({', '.join(values)}{f', amid={act.amid}' if act.amid else ''})"


def _text(value: object) -> str:
    """As the formatter would write it."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_text, value))}{',' if len(value) == 1 else ''})"
    return repr(value).replace("'", '"') if '"' not in repr(value) else repr(value)
