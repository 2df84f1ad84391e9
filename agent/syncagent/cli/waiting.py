"""``syncctl wait`` and ``syncctl ready``."""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

import click

from syncagent.cli import exits
from syncagent.cli.base import Session, as_json, command, one_volume
from syncagent.cli.client import Client
from syncagent.cli.exits import CommandError
from syncagent.cli.output import count, printable, say, size

TIMEOUT_SECONDS_MAX = 7 * 86400.0
PROGRESS_SECONDS = 0.5

CAUSES = {"behind": exits.TIME_OUT, "unreachable": exits.UNREACHABLE, "blocked": exits.BLOCKED}


def _seconds(context: click.Context, parameter: click.Parameter, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= TIMEOUT_SECONDS_MAX:
        problem = f"{text!r} is no number of seconds from 0 to {TIMEOUT_SECONDS_MAX:.0f}"
        raise click.BadParameter(problem, context, parameter)
    return seconds


WAIT_EXAMPLE = """\
syncctl wait --timeout 30 data && systemctl start app
syncctl wait --timeout 0            look once
"""
WAIT_CODES = {
    exits.YES: "every member has applied everything this agent knew when asked",
    exits.FAILED: "the agent is not reachable, or has no member but itself",
    exits.TIME_OUT: "not yet, when the time was up",
    exits.UNREACHABLE: "not, because a member is unreachable, when the time was up",
    exits.BLOCKED: "not, because something is blocked, held or halted, when the time was up",
}


@command("wait", WAIT_EXAMPLE, WAIT_CODES)
@click.option("--timeout", default="60", callback=_seconds, metavar="S", help="Seconds, 60 if not given; 0 looks once.")
@click.option("--members", type=click.IntRange(min=1), metavar="N", help="Wait for so many members, this one included.")
@as_json
@one_volume
@click.pass_obj
def wait(session: Session, timeout: float, members: int | None, is_json: bool, volume: str | None) -> int:
    """Wait until every member has applied everything that this agent knows now, in VOLUME or in all."""
    client = session.client()
    content = _with_progress(client, volume, timeout, members)
    result = json.loads(content)
    code = _code(result, members)
    if is_json:
        click.echo(content)
    elif code == exits.YES:
        say(_reached(result["members"]))
    else:
        raise CommandError(_sentence(result, timeout, members), code)
    return code


def _code(result: dict[str, Any], members: int | None) -> int:
    if result["reached"]:
        return exits.YES
    if result["cause"] == "alone":
        return exits.FAILED if members is None else exits.UNREACHABLE
    return CAUSES.get(result["cause"], exits.TIME_OUT)


def _reached(members: int) -> str:
    if members == 1:
        return "in sync: this agent is the only member"
    return f"in sync: all {members} members have applied everything this agent knew"


def _sentence(result: dict[str, Any], timeout: float, members: int | None) -> str:
    if result["cause"] == "alone" and members is None:
        return (
            "there is no member but this agent, so nobody could be waited for; start the others, check their --peer, "
            "or say --members 1"
        )
    lines = result["missing"] or [f"cause: {result['cause'] or 'unknown'}"]
    return "\n".join([f"not in sync{f' after {timeout:g} s' if timeout else ''}:", *(f"  {line}" for line in lines)])


def _with_progress(client: Client, volume: str | None, timeout: float, members: int | None) -> bytes:
    """Ask in a thread of its own where a person looks on, and tell meanwhile what is missing."""
    if sys.stderr is None or not sys.stderr.isatty() or timeout <= PROGRESS_SECONDS:
        return client.wait(volume, timeout, members)
    answers: list[bytes | CommandError] = []

    def ask() -> None:
        try:
            answers.append(client.wait(volume, timeout, members))
        except CommandError as error:  # handed over to the main thread, which raises it
            answers.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    started = time.monotonic()
    try:
        thread.join(PROGRESS_SECONDS)
        while thread.is_alive():
            _progress(_behind(client, volume), time.monotonic() - started)
            thread.join(PROGRESS_SECONDS)
    finally:
        _progress("", None)
    answer = answers[0]
    if isinstance(answer, CommandError):
        raise answer
    return answer


def _progress(text: str, passed: float | None) -> None:
    line = "" if passed is None else f"{passed:.0f} s: {printable(text)}"[:79]
    sys.stderr.write(f"\r\x1b[K{line}")
    sys.stderr.flush()


def _behind(client: Client, volume: str | None) -> str:
    try:
        volumes = client.ask("/v1/status")["volumes"]
    except CommandError as error:
        return str(error)
    chosen = [shown for shown in volumes if volume in (None, shown["name"])]
    late = [
        f"{replica['name']} {_lacks(replica)}"
        for shown in chosen
        for replica in shown["replicas"]
        if not replica["in_sync"] and not replica["self"]
    ]
    return ", ".join(late) or "nearly there"


def _lacks(replica: dict[str, Any]) -> str:
    if not replica["connected"]:
        return "is not connected"
    if replica["entries_behind"] is None:
        return "is not known yet"
    return f"lacks {count(replica['entries_behind'], 'entry')}, {size(replica['bytes_behind'] or 0)}"


READY_EXAMPLE = "syncctl ready && exec my-application\n"
READY_CODES = {
    exits.YES: "every volume has been filled once since the agent started",
    exits.FAILED: "not yet, or the agent is not reachable",
}


@command("ready", READY_EXAMPLE, READY_CODES)
@as_json
@click.pass_obj
def ready(session: Session, is_json: bool) -> int:
    """Tell whether what the others had has arrived here: an application may start."""
    content = session.client().get("/v1/ready")
    result = json.loads(content)
    if is_json:
        click.echo(content)
    elif result["ready"]:
        say("ready")
    else:
        raise CommandError("\n".join(["not ready:", *(f"  {text}" for text in result["missing"])]))
    return exits.YES if result["ready"] else exits.FAILED
