"""``syncctl hold``, ``release`` and ``revert``: deletes that the brake keeps back."""

from __future__ import annotations

import json

import click

from syncagent.cli import exits
from syncagent.cli.base import Session, as_json, command, one_volume
from syncagent.cli.output import count, say, size, table

HOLD_CODES = {
    exits.YES: "nothing is held",
    exits.FAILED: "the agent is not reachable",
    exits.BLOCKED: "deletes are held",
}
DONE = {exits.YES: "done", exits.FAILED: "refused, or the agent is not reachable"}
within = click.option("--path", metavar="PATH", help="Only this path, and all below it.")


@command("hold", "syncctl hold data | less\n", HOLD_CODES)
@as_json
@one_volume
@click.pass_obj
def hold(session: Session, is_json: bool, volume: str | None) -> int:
    """List the deletes that are held in VOLUME or in all, because they were too many at once."""
    content = session.client().get("/v1/held", volume=volume)
    held = json.loads(content)["held"]
    if is_json:
        click.echo(content)
    elif not held:
        say("no deletes are held")
    else:
        say(*table(["SIZE", "HELD AT", "PATH"], [[size(item["size"]), item["where"], item["path"]] for item in held]))
        say(f"{count(len(held), 'delete')} held: `syncctl release` applies, `syncctl revert` takes back")
    return exits.BLOCKED if held else exits.YES


@command("release", "syncctl release data\nsyncctl release data --path docs\n", DONE)
@within
@one_volume
@click.pass_obj
def release(session: Session, path: str | None, volume: str | None) -> int:
    """Apply the deletes that are held in VOLUME or in all."""
    say(*session.client().order("/v1/release", volume=volume, path=path))
    return exits.YES


@command("revert", "syncctl revert data\nsyncctl revert data --path docs\n", DONE)
@within
@one_volume
@click.pass_obj
def revert(session: Session, path: str | None, volume: str | None) -> int:
    """Take back the deletes that are held in VOLUME or in all: the files come back where they were deleted."""
    say(*session.client().order("/v1/revert", volume=volume, path=path))
    return exits.YES
