"""Logging: one line a record to standard error, as text or JSON, with RFC 3339 times in UTC.

Names of files come from anybody, so whatever could move a terminal's cursor or fake a line is escaped. What is passed
as ``extra`` becomes fields: ``key=value`` in text, keys in JSON. A traceback appears only at level debug; otherwise the
error itself ends the line.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
import time
from typing import Any, TextIO

LEVELS = {"error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}
PACKAGES = ("syncagent", "syncproto")
"""Ours. What libraries log is shown from level warning on, whatever the level."""

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]")
_BARE = re.compile(r'[^\s"=]+')
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def printable(name: bytes | str) -> str:
    """``name`` with control characters, bidi marks and bytes that are not UTF-8 written as escapes."""
    text = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name
    return _UNPRINTABLE.sub(_escape, text)


def setup(level: str, form: str, stream: TextIO | None = None) -> None:
    """Log to ``stream`` (standard error) from now on; ``form`` is text or json. Replaces an earlier setup."""
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    set_level(level)


def set_level(level: str) -> None:
    """Change the level while running: error, warning, info or debug."""
    logging.getLogger().setLevel(max(LEVELS[level], logging.WARNING))
    for package in PACKAGES:
        logging.getLogger(package).setLevel(LEVELS[level])


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC with milliseconds."""
    milliseconds = int(seconds * 1000)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000))
    return f"{whole}.{milliseconds % 1000:03d}Z"


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:
        """A line that cannot be written is dropped; a mistake in the call that made it is named, once, in its place."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            sys.stderr.write(f"a log line of {record.name} ({record.filename}:{record.lineno}) was lost: {error!r}\n")


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {key: _plain(value) for key, value in vars(record).items() if key not in _STANDARD}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return printable(value if isinstance(value, bytes | str) else str(value))


def _source(record: logging.LogRecord) -> str:
    return record.name.removeprefix("syncagent.")


def _wants_traceback() -> bool:
    return logging.getLogger(PACKAGES[0]).isEnabledFor(logging.DEBUG)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        parts = [timestamp(record.created), record.levelname, f"{_source(record)}:", printable(record.getMessage())]
        parts += [f"{key}={_quoted(value)}" for key, value in _fields(record).items()]
        if record.exc_info and record.exc_info[1] is not None:
            parts.append(f"error={_quoted(_error(record.exc_info[1]))}")
        lines = [" ".join(parts)]
        if record.exc_info and _wants_traceback():
            lines += [f"    {printable(line)}" for line in self.formatException(record.exc_info).splitlines()]
        return "\n".join(lines)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": _source(record),
            "message": printable(record.getMessage()),
        }
        line.update((key, value) for key, value in _fields(record).items() if key not in line)
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = _error(record.exc_info[1])
        if record.exc_info and _wants_traceback():
            line["traceback"] = "\n".join(
                printable(text) for text in self.formatException(record.exc_info).splitlines()
            )
        return json.dumps(line)


def _error(error: BaseException) -> str:
    return printable(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def _quoted(value: Any) -> str:
    text = str(value)
    return text if _BARE.fullmatch(text) else '"' + text.replace('"', '\\"') + '"'
