"""What each URL means: a question to, or an order for, the running agent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec

from syncagent.http.waiting import finished, wait
from syncagent.ports import Control
from syncagent.status import CommandRefused, ReadyResult, Status, UndoResult

WAIT_SECONDS_MAX = 7 * 86400.0
WAIT_SECONDS_DEFAULT = 60.0
MEMBERS_MAX = 1_000_000
PARAMETERS_MAX = 16

WAIT = "/v1/wait"

Interruption = Callable[[float], bool]


class BadRequest(Exception):
    """The request cannot be understood; the text says what is wrong with it."""


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request that changes something."""

    volume: str | None = None
    name: str | None = None
    path: str | None = None
    at: str | None = None
    since: str | None = None
    keep: str | None = None

    @property
    def path_bytes(self) -> bytes | None:
        """The path, whose bytes that are no UTF-8 come percent-encoded with all others."""
        return None if self.path is None else unquote_to_bytes(self.path)


@dataclass(frozen=True, slots=True)
class Question:
    """The parameters of a request that reads."""

    parameters: dict[str, str]

    def text(self, name: str) -> str | None:
        return self.parameters.get(name)

    def seconds(self, name: str, default: float, highest: float) -> float:
        """Raises BadRequest, also for what is no number at all."""
        text = self.parameters.get(name)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value <= highest:
            raise BadRequest(f"{name}={text} is no number of seconds from 0 to {highest:.0f}")
        return value

    def count(self, name: str) -> int | None:
        """Raises BadRequest."""
        text = self.parameters.get(name)
        if text is None:
            return None
        if not text.isascii() or not text.isdigit() or not 1 <= int(text[:20]) <= MEMBERS_MAX:
            raise BadRequest(f"{name}={text} is no count of at least 1")
        return int(text)


def question(query: str) -> Question:
    """Take the part of a URL behind ``?`` apart. Bytes that are no UTF-8 are kept. Raises BadRequest."""
    try:
        pairs = parse_qsl(
            query,
            keep_blank_values=True,
            strict_parsing=bool(query),
            errors="surrogateescape",
            max_num_fields=PARAMETERS_MAX,
        )
    except ValueError:
        raise BadRequest("the part of the URL behind '?' is not of the form name=value&name=value") from None
    return Question(dict(pairs))


def order(body: bytes) -> Order:
    """Raises BadRequest."""
    try:
        return msgspec.json.decode(body or b"{}", type=Order)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f'the body is not of the form {{"volume": NAME, "name": NAME}}: {error}') from None


def _wait(control: Control, asked: Question, interrupted: Interruption) -> Any:
    timeout = asked.seconds("timeout", WAIT_SECONDS_DEFAULT, WAIT_SECONDS_MAX)
    return wait(control, asked.text("volume"), timeout, asked.count("members"), interrupted)


def _why(control: Control, asked: Question, _: Interruption) -> Any:
    path = asked.text("path")
    if not path:
        raise BadRequest("path= is missing; give a path below the volume, percent-encoded")
    return control.why(asked.text("volume"), path.encode("utf-8", "surrogateescape"))


def _status(control: Control, asked: Question, _: Interruption) -> Status:
    """Of all volumes or of the one that is asked for. Raises CommandRefused if there is no such one."""
    status, name = control.status(), asked.text("volume")
    if name is None:
        return status
    chosen = [volume for volume in status.volumes if volume.name == name]
    if not chosen:
        known = ", ".join(volume.name for volume in status.volumes)
        raise CommandRefused(f"there is no volume {name!r} here; there is {known or 'none'}", 2)
    return msgspec.structs.replace(status, volumes=chosen)


def _members(control: Control, asked: Question, interrupted: Interruption) -> Any:
    volumes = _status(control, asked, interrupted).volumes
    fields = ("name", "self", "connected", "in_sync", "last_seen", "incarnation", "expected", "direction")
    return {
        "volumes": [
            {
                "name": volume.name,
                "members": [{field: getattr(replica, field) for field in fields} for replica in volume.replicas],
            }
            for volume in volumes
        ]
    }


def _history(control: Control, asked: Question, _: Interruption) -> Any:
    path = asked.text("path")
    return {"volumes": control.history(asked.text("volume"), path.encode("utf-8", "surrogateescape") if path else None)}


READS: dict[str, Callable[[Control, Question, Interruption], Any]] = {
    "/v1/status": _status,
    WAIT: _wait,
    "/v1/ready": lambda control, asked, _: control.ready(),
    "/v1/held": lambda control, asked, _: {"held": control.held(asked.text("volume"))},
    "/v1/conflicts": lambda control, asked, _: {"conflicts": control.conflicts(asked.text("volume"))},
    "/v1/problems": lambda control, asked, _: {"problems": control.problems(asked.text("volume"))},
    "/v1/members": _members,
    "/v1/why": _why,
    "/v1/history": _history,
}


def _forget(control: Control, given: Order) -> list[str]:
    if not given.name:
        raise BadRequest('"name" is missing; name the member to forget')
    return control.forget(given.volume, given.name)


def _adopt(control: Control, given: Order) -> list[str]:
    if not given.volume:
        raise BadRequest('"volume" is missing; name the volume to adopt')
    return control.adopt(given.volume)


def _path(given: Order) -> bytes:
    if not given.path:
        raise BadRequest('"path" is missing; give a path below the volume, percent-encoded')
    return given.path_bytes or b""


def _restore(control: Control, given: Order) -> UndoResult:
    return finished(control, control.restore(given.volume, _path(given), given.at))


def _undo(control: Control, given: Order) -> UndoResult:
    if not given.since:
        raise BadRequest('"since" is missing; give a time as 10m or 2026-11-24T09:30:00Z')
    return finished(control, control.undo(given.volume, given.since, given.path_bytes))


def _resolve(control: Control, given: Order) -> list[str]:
    if not given.keep:
        raise BadRequest('"keep" is missing; name the writer whose content is to stand, or both')
    return control.resolve(given.volume, _path(given), given.keep)


CHANGES: dict[str, Callable[[Control, Order], list[str] | UndoResult]] = {
    "/v1/forget": _forget,
    "/v1/adopt": _adopt,
    "/v1/release": lambda control, given: control.release(given.volume, given.path_bytes),
    "/v1/revert": lambda control, given: control.revert(given.volume, given.path_bytes),
    "/v1/restore": _restore,
    "/v1/undo": _undo,
    "/v1/resolve": _resolve,
    "/v1/rescan": lambda control, given: control.rescan(given.volume),
}

PROBES = ("/livez", "/readyz")


def probe(control: Control, path: str, may_read: bool) -> tuple[bool, str]:
    """Yes or no and a sentence; names are only told to those who may read."""
    if path == "/livez":
        alive = control.is_alive()
        return alive, "alive" if alive else "the agent's engine has not turned its loop lately; restart the agent"
    result: ReadyResult = control.ready()
    if result.ready:
        return True, "ready"
    return False, "not ready: " + "; ".join(result.missing) if may_read and result.missing else "not ready"


def metrics(status: Status, counters: dict[str, float]) -> tuple[bytes, str]:
    """The text and its content type. The library is loaded only when somebody asks: it takes 2 MB."""
    from syncagent.http.metrics import CONTENT_TYPE, exposition

    return exposition(status, counters), CONTENT_TYPE
