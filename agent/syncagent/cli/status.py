"""``syncctl status``."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import click

from syncagent.cli import exits
from syncagent.cli.base import Session, as_json, command
from syncagent.cli.client import Client
from syncagent.cli.exits import CommandError
from syncagent.cli.output import is_terminal, say
from syncagent.cli.tables import plain_status, rich_status

REFRESH_SECONDS = 1.0

EXAMPLE = """\
syncctl status
syncctl status --check || echo "not equal everywhere"
"""

CODES = {
    exits.YES: "shown; with --check: everything is in sync",
    exits.FAILED: "the agent is not reachable; with --check: a replica is behind",
    exits.UNREACHABLE: "with --check: a member is unreachable",
    exits.BLOCKED: "with --check: something is blocked, held or halted",
}


@command("status", EXAMPLE, CODES)
@click.option("--watch", is_flag=True, help="Show it anew every second until Ctrl-C.")
@click.option("--check", is_flag=True, help="Tell by the exit code whether everything is in sync.")
@as_json
@click.pass_obj
def status(session: Session, watch: bool, check: bool, is_json: bool) -> int:
    """Show each volume and how far each of its replicas is."""
    if watch and check:
        raise click.UsageError("--check looks once: leave out --watch", click.get_current_context())
    client = session.client()
    if watch:
        _watch(client, is_json)
    content = client.get("/v1/status")
    _show(content, is_json)
    return _verdict(client, json.loads(content)) if check else exits.YES


def _show(content: bytes, is_json: bool) -> None:
    if is_json:
        click.echo(content)
    else:
        show_status(json.loads(content))


def show_status(status: dict[str, Any]) -> None:
    """Print the table: in colour on a terminal, else as plain text."""
    if is_terminal():
        _console().print(rich_status(status))
    else:
        say(*plain_status(status))


def _watch(client: Client, is_json: bool) -> None:
    """Until it is interrupted; an agent that goes away is waited for."""
    content = client.get("/v1/status")
    if not is_terminal() or is_json:
        while True:
            _show(content, is_json)
            sys.stdout.flush()
            time.sleep(REFRESH_SECONDS)
            content = client.get("/v1/status")
    from rich.live import Live
    from rich.text import Text

    with Live(console=_console(), auto_refresh=False, transient=False) as live:
        while True:
            live.update(rich_status(json.loads(content)), refresh=True)
            time.sleep(REFRESH_SECONDS)
            try:
                content = client.get("/v1/status")
            except CommandError as error:
                live.update(Text(str(error), style="red"), refresh=True)


def _console() -> Any:
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, soft_wrap=False)


def _verdict(client: Client, shown: dict[str, Any]) -> int:
    """The gravest thing first: what needs a person, then who cannot be reached, then what only takes time."""
    volumes = shown["volumes"]
    if volumes and all(volume["in_sync"] for volume in volumes):
        return exits.YES
    if any(volume["state"] == "halted" or volume["held"] for volume in volumes):
        return exits.BLOCKED
    if any(volume["problems"] for volume in volumes):
        problems = client.ask("/v1/problems")["problems"]
        if any(problem["is_blocking"] for problem in problems):
            return exits.BLOCKED
    if not all(replica["connected"] or replica["self"] for volume in volumes for replica in volume["replicas"]):
        return exits.UNREACHABLE
    return exits.FAILED
