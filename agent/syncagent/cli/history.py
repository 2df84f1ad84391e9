"""``syncctl history`` and ``undo``: what stood at paths before, and the way back to it."""

from __future__ import annotations

import json
from typing import Any

import click

from syncagent.cli import exits
from syncagent.cli.base import Session, as_json, command
from syncagent.cli.client import absolute
from syncagent.cli.output import NOTHING, count, say, size, table

RESTORE = "restore"
TIME_HELP = "10m, 2h, 1d (so long ago), or a time as 2026-11-24T09:30:00Z."
HISTORY_EXAMPLE = """\
syncctl history                                  the latest changes, and how much is kept
syncctl history docs/report.txt                  of one path, and of all below it
syncctl history restore docs/report.txt          as it was before its last change
syncctl history restore docs --at 2h             all below docs as it was two hours ago
"""
HISTORY_CODES = {
    exits.YES: "shown, or brought back",
    exits.FAILED: "nothing is kept, or the agent is not reachable",
    exits.UNREACHABLE: "a member that may keep it did not answer",
    exits.BLOCKED: "the volume is halted",
}
UNDO_EXAMPLE = """\
syncctl undo --since 10m
syncctl undo --since 2026-11-24T09:30:00Z --path docs
"""
UNDO_CODES = {
    exits.YES: "all is as it was before",
    exits.FAILED: "some content is kept by nobody who was reached, or the agent is not reachable",
    exits.UNREACHABLE: "a member did not answer",
    exits.BLOCKED: "the volume is halted, or deletes are held",
}


@command("history", HISTORY_EXAMPLE, HISTORY_CODES)
@click.option("--volume", metavar="VOLUME", help="The volume that PATH is in.")
@click.option("--at", metavar="TIME", help=f"With restore: as it was then. {TIME_HELP}")
@as_json
@click.argument("words", nargs=-1, metavar="[restore] [PATH]")
@click.pass_obj
def history(session: Session, volume: str | None, at: str | None, is_json: bool, words: tuple[str, ...]) -> int:
    """Show what changed at PATH and what is kept of it; with `restore` bring the kept content back.

    Without PATH: the latest changes. A path that is called restore is written ./restore.
    """
    if words[:1] == (RESTORE,):
        if len(words) != 2:
            raise click.UsageError("name one path to restore")
        order = {"volume": volume, "path": words[1], "at": at}
        return _show_result(session, "/v1/restore", order, is_json=is_json, done="brought back")
    if len(words) > 1:
        raise click.UsageError(f"there is one PATH; {words[0]!r} is none of the words that may come before it")
    if at is not None:
        raise click.UsageError("--at is for `syncctl history restore PATH`")
    path = absolute(words[0]) if words else None
    content = session.client().get("/v1/history", volume=volume, path=path)
    if is_json:
        click.echo(content)
        return exits.YES
    told = json.loads(content)["volumes"]
    rows = [_row(change) for each in told for change in each["changes"]]
    say(
        *(table(["TIME", "BY", "WHAT", "SIZE BEFORE", "KEPT", "PATH"], rows) if rows else ["no changes are remembered"])
    )
    say(*(_usage(each) for each in told))
    return exits.YES if rows or path is None else exits.FAILED


def _row(change: dict[str, Any]) -> list[str]:
    has_before = change["before"] is not None
    kept = ("yes" if change["is_kept"] else "no") if has_before else NOTHING
    before = size(change["size"]) if has_before else NOTHING
    return [change["time"], change["by"], change["what"], before, kept, change["path"]]


def _usage(volume: dict[str, Any]) -> str:
    days = f"{volume['age_seconds'] / 86400:g} d"
    if volume["kept_bytes_max"] is None:
        kept = "nothing is kept (history_size=off)"
    else:
        kept = f"{count(volume['kept'], 'file')} kept, {size(volume['kept_bytes'])} of {size(volume['kept_bytes_max'])}"
    return f"{volume['volume']}: {count(volume['total'], 'change')} remembered for {days}; {kept}"


@command("undo", UNDO_EXAMPLE, UNDO_CODES)
@click.option("--since", metavar="TIME", required=True, help=TIME_HELP)
@click.option("--path", metavar="PATH", help="Only this path, and all below it.")
@click.option("--volume", metavar="VOLUME", help="Only in this volume; else in all.")
@as_json
@click.pass_obj
def undo(session: Session, since: str, path: str | None, volume: str | None, is_json: bool) -> int:
    """Make all as it was before TIME, on all members: what was edited or deleted since is brought back, what was
    made since is deleted.

    Each path gets a new version; what it replaces is kept in turn, so that an undo can be undone.
    """
    order = {"volume": volume, "since": since, "path": path}
    return _show_result(session, "/v1/undo", order, is_json=is_json, done="reverted")


def _show_result(session: Session, url: str, order: dict[str, str | None], *, is_json: bool, done: str) -> int:
    result = session.client().undo(url, **order)
    if is_json:
        click.echo(json.dumps(result))
    else:
        say(f"{count(result['reverted'], 'path')} {done}")
        if result["unchanged"]:
            say(f"{count(result['unchanged'], 'path')} already as before")
        say(*(f"not kept by anybody who was asked: {path}" for path in result["lacking"]))
        say(*(f"it is not known whether it was there before, so it stays: {path}" for path in result["unsure"]))
        say(*(f"did not answer: {name}" for name in result["silent"]))
    if result["lacking"] or result["unsure"]:
        return exits.FAILED
    return exits.UNREACHABLE if result["silent"] else exits.YES
