"""``syncctl conflicts``, ``problems``, ``why`` and ``rescan``: what is the matter."""

from __future__ import annotations

import json
from typing import Any

import click

from syncagent.cli import exits
from syncagent.cli.base import Session, as_json, command, one_volume
from syncagent.cli.client import absolute
from syncagent.cli.output import say, size, table

PROBLEM_CODES = {
    exits.YES: "none, or only such as are retried or noted",
    exits.FAILED: "the agent is not reachable",
    exits.BLOCKED: "something needs a person",
}
NOTES = frozenset({"not-kept", "unsupported", "residue"})
"""What is not replicated, by the rules: nothing is wrong, and nothing will be tried again."""
WHY_EXAMPLE = """\
syncctl why docs/report.txt         below the volume's root
syncctl why ./report.txt            from where you are
"""
WHY_CODES = {exits.YES: "told", exits.FAILED: "nothing is known of it, or the agent is not reachable"}


CONFLICTS_EXAMPLE = """\
syncctl conflicts data
syncctl conflicts resolve docs/report.txt --keep laptop
syncctl conflicts resolve docs/report.txt --keep both
"""
CONFLICTS_CODES = {
    exits.YES: "shown, or resolved",
    exits.FAILED: "there is no such conflict, or the agent is not reachable",
    exits.BLOCKED: "the volume is halted",
}
RESOLVE = "resolve"


@command("conflicts", CONFLICTS_EXAMPLE, CONFLICTS_CODES)
@click.option("--keep", metavar="NAME", help="With resolve: the writer whose content is to stand, or `both`.")
@click.option("--volume", metavar="VOLUME", help="The volume that PATH is in.")
@as_json
@click.argument("words", nargs=-1, metavar="[VOLUME | resolve PATH]")
@click.pass_obj
def conflicts(session: Session, keep: str | None, volume: str | None, is_json: bool, words: tuple[str, ...]) -> int:
    """List the conflict copies in VOLUME or in all; with `resolve` end the conflict of PATH.

    Each copy holds the other content of a file that was edited on two sides at once. `--keep` names the writer of the
    one that is to stand at PATH; the other goes to the history. `--keep both` gives the copy an ordinary name.
    """
    if words[:1] == (RESOLVE,):
        if len(words) != 2 or keep is None:
            raise click.UsageError("name one path to resolve, and --keep WRITER or --keep both")
        say(*session.client().order("/v1/resolve", volume=volume, path=words[1], keep=keep))
        return exits.YES
    if len(words) > 1 or keep is not None:
        raise click.UsageError("--keep and a path are for `syncctl conflicts resolve PATH --keep NAME`")
    content = session.client().get("/v1/conflicts", volume=words[0] if words else volume)
    found = json.loads(content)["conflicts"]
    if is_json:
        click.echo(content)
    elif not found:
        say("no conflict copies")
    else:
        rows = [[item["path"], item["origin"], size(item["size"]), item["of"], item["stands"]] for item in found]
        say(*table(["COPY", "WRITER", "SIZE", "OF", "WRITER THERE"], rows))
        say("look at both, then: syncctl conflicts resolve PATH --keep WRITER, or --keep both")
    return exits.YES


@command("problems", "syncctl problems\n", PROBLEM_CODES)
@as_json
@one_volume
@click.pass_obj
def problems(session: Session, is_json: bool, volume: str | None) -> int:
    """List what needs a person or is retried, in VOLUME or in all."""
    content = session.client().get("/v1/problems", volume=volume)
    found = json.loads(content)["problems"]
    if is_json:
        click.echo(content)
    elif not found:
        say("no problems")
    else:
        for problem in found:
            say(*_problem(problem))
    return exits.BLOCKED if any(problem["is_blocking"] for problem in found) else exits.YES


def _problem(problem: dict[str, Any]) -> list[str]:
    is_note = problem["code"] in NOTES
    kind = "blocked" if problem["is_blocking"] else "note" if is_note else "retried"
    since = f" since {problem['since']}" if problem.get("since") else ""
    lines = [
        f"{kind}{since}: {problem['path'] + ': ' if problem.get('path') else ''}{problem['text']} ({problem['code']})"
    ]
    return [*lines, f"  {problem['remedy']}"] if problem.get("remedy") else lines


@command("why", WHY_EXAMPLE, WHY_CODES)
@click.option("--volume", metavar="VOLUME", help="The volume that PATH is in.")
@as_json
@click.argument("path")
@click.pass_obj
def why(session: Session, volume: str | None, is_json: bool, path: str) -> int:
    """Tell all that is known of PATH: watched, ignored, held or queued, and which member lacks it."""
    content = session.client().get("/v1/why", volume=volume, path=absolute(path))
    told = json.loads(content)
    if is_json:
        click.echo(content)
    else:
        say(f"{told['path']}: {told['state']}", *(f"  {line}" for line in told["details"]))
        if told["lacking"]:
            say(f"  not yet at: {', '.join(told['lacking'])}")
    return exits.FAILED if told["state"] == "unknown" else exits.YES


@command(
    "rescan",
    "syncctl rescan data\n",
    {exits.YES: "the scan has begun", exits.FAILED: "refused, or the agent is not reachable"},
)
@one_volume
@click.pass_obj
def rescan(session: Session, volume: str | None) -> int:
    """Have the agent look at every file of VOLUME or of all, whether or not it was told of a change."""
    say(*session.client().order("/v1/rescan", volume=volume))
    return exits.YES
