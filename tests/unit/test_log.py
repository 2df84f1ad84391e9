"""Log lines: their form, what is escaped, when a traceback appears, and the level that changes while running."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from syncagent import log

LOGGER = logging.getLogger("syncagent.engine")


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    before = [(logger, logger.level) for logger in map(logging.getLogger, ("", *log.PACKAGES))]
    yield
    for logger, level in before:
        logger.setLevel(level)
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if type(handler).__module__ == log.__name__]:
        root.removeHandler(handler)


def lines(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def set_up(level: str = "info", form: str = "text") -> io.StringIO:
    stream = io.StringIO()
    log.setup(level, form, stream)
    return stream


def test_a_text_line_has_time_level_source_message_and_fields() -> None:
    stream = set_up()
    LOGGER.info("applied %d entries", 3, extra={"path": b"a\xff", "peer": 'a "b', "bytes": 12})
    assert re.fullmatch(
        r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO engine: applied 3 entries path=a\\xff peer="a \\"b" bytes=12',
        lines(stream)[0],
    )


def test_a_json_line_is_one_object_with_typed_fields() -> None:
    stream = set_up(form="json")
    LOGGER.warning("slow", extra={"path": b"a\xff\n", "bytes": 12, "peer": None, "time": "mine"})
    (line,) = [json.loads(text) for text in lines(stream)]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "warning", "logger": "engine", "message": "slow", "path": "a\\xff\\x0a", "bytes": 12, "peer": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (951782400.9996, "2000-02-29T00:00:00.999Z"),
        (1767225599.25, "2025-12-31T23:59:59.250Z"),
    ],
)
def test_times_are_rfc_3339_in_utc_with_milliseconds(seconds: float, text: str) -> None:
    assert log.timestamp(seconds) == text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"plain \xc3\xa9", "plain é"),
        (b"esc\x1b[2J", "esc\\x1b[2J"),
        (b"line\r\nline", "line\\x0d\\x0aline"),
        (b"latin\xe9", "latin\\xe9"),
        ("c1\x9b", "c1\\x9b"),
        ("bidi\u202etxt", "bidi\\u202etxt"),
        ("separator\u2028", "separator\\u2028"),
        ("lone\ud800", "lone\\ud800"),
        ("del\x7f", "del\\x7f"),
    ],
)
def test_what_could_disturb_a_terminal_is_escaped(name: bytes | str, shown: str) -> None:
    assert log.printable(name) == shown


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_name_with_a_newline_stays_on_its_line(form: str) -> None:
    stream = set_up(form=form)
    LOGGER.info("path %s", "a\n2026-01-01T00:00:00.000Z ERROR engine: fake", extra={"path": b"x\ny\xfe"})
    assert len(lines(stream)) == 1
    stream.getvalue().encode("ascii")


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_appears_only_at_level_debug(form: str) -> None:
    stream = set_up("info", form)
    for level in ("info", "debug"):
        log.set_level(level)
        try:
            raise OSError(28, "No space left on device", "na\x1bme")
        except OSError:
            LOGGER.error("failed", exc_info=True)
    quiet, *loud = lines(stream)
    assert "No space left" in quiet and "OSError" in quiet and "Traceback" not in quiet
    assert any("Traceback" in line for line in loud)
    assert "\x1b" not in stream.getvalue()


def test_the_level_changes_while_running_and_libraries_stay_quiet() -> None:
    stream = set_up("warning")
    library = logging.getLogger("some.library")
    for level in ("warning", "debug", "error"):
        log.set_level(level)
        LOGGER.debug("%s debug", level)
        LOGGER.warning("%s warning", level)
        library.info("%s library info", level)
        library.warning("%s library warning", level)
    assert [line.split(": ", 1)[1] for line in lines(stream)] == [
        "warning warning", "warning library warning", "debug debug", "debug warning", "debug library warning",
    ]  # fmt: skip


def test_a_second_setup_replaces_the_first() -> None:
    first, second = set_up(), set_up(form="json")
    LOGGER.info("once")
    assert lines(first) == [] and json.loads(lines(second)[0])["message"] == "once"


def test_a_mistaken_call_is_named_and_does_not_stop_the_agent(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without pytest's own handlers, which raise."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    stream = set_up()
    LOGGER.info("%d", "not a number")
    LOGGER.info("next")
    assert lines(stream)[0].endswith("next")
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "test_log.py" in error and "TypeError" in error


class FullDisk(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_full_disk_below_standard_error_costs_lines_only(capsys: pytest.CaptureFixture[str]) -> None:
    log.setup("info", "text", FullDisk())
    LOGGER.info("lost")
    assert capsys.readouterr().err == ""
