"""``syncctl members``, ``forget`` and ``adopt``: who belongs to a volume."""

from __future__ import annotations

import json
from typing import Any

import click

from syncagent.cli import exits
from syncagent.cli.base import Session, as_json, command, one_volume
from syncagent.cli.output import NOTHING, ago, say, table

HEADINGS = ["VOLUME", "MEMBER", "CONNECTED", "DIRECTION", "LAST SEEN", "INCARNATION"]
DONE = {exits.YES: "done", exits.FAILED: "refused, or the agent is not reachable"}


@command("members", "syncctl members data\n", {exits.YES: "shown", exits.FAILED: "the agent is not reachable"})
@as_json
@one_volume
@click.pass_obj
def members(session: Session, is_json: bool, volume: str | None) -> int:
    """List the members of VOLUME or of all: those whose copies are kept equal."""
    client = session.client()
    content = client.get("/v1/members", volume=volume)
    if is_json:
        click.echo(content)
        return exits.YES
    now = client.ask("/v1/status")["time"]
    rows = [_row(shown["name"], member, now) for shown in json.loads(content)["volumes"] for member in shown["members"]]
    say(*table(HEADINGS, rows))
    return exits.YES


def _row(volume: str, member: dict[str, Any], now: str) -> list[str]:
    incarnation = member["incarnation"].rpartition(".")[2] or NOTHING  # it begins with the name, which is shown
    if member["self"]:
        return [volume, f"{member['name']} (this one)", NOTHING, member["direction"], NOTHING, incarnation]
    connected = "yes" if member["connected"] else "never" if member["expected"] else "no"
    seen = "now" if member["connected"] else ago(member["last_seen"], now)
    return [volume, member["name"], connected, member["direction"], seen, incarnation]


@command("forget", "syncctl forget old-laptop --volume data\n", DONE)
@click.option("--volume", metavar="VOLUME", help="Only in this volume; else in all.")
@click.argument("name")
@click.pass_obj
def forget(session: Session, volume: str | None, name: str) -> int:
    """Take the member NAME off the list: it will not come back, and nobody waits for it any more."""
    say(*session.client().order("/v1/forget", volume=volume, name=name))
    return exits.YES


@command("adopt", "syncctl adopt data\n", DONE)
@click.argument("volume")
@click.pass_obj
def adopt(session: Session, volume: str) -> int:
    """End the halt of VOLUME: what is here now is a new replica.

    It becomes the union of what is here and what the others have; nothing is deleted anywhere.
    """
    say(*session.client().order("/v1/adopt", volume=volume))
    return exits.YES
