"""``syncctl``: the command line's entry."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from syncagent.cli import exits
from syncagent.cli.base import Commands, Session, usage_sentence
from syncagent.cli.exits import CommandError
from syncagent.cli.output import complain

PLACES = {
    "status": "syncagent.cli.status:status",
    "wait": "syncagent.cli.waiting:wait",
    "ready": "syncagent.cli.waiting:ready",
    "members": "syncagent.cli.members:members",
    "forget": "syncagent.cli.members:forget",
    "adopt": "syncagent.cli.members:adopt",
    "hold": "syncagent.cli.deletes:hold",
    "release": "syncagent.cli.deletes:release",
    "revert": "syncagent.cli.deletes:revert",
    "conflicts": "syncagent.cli.looking:conflicts",
    "history": "syncagent.cli.history:history",
    "undo": "syncagent.cli.history:undo",
    "problems": "syncagent.cli.looking:problems",
    "why": "syncagent.cli.looking:why",
    "rescan": "syncagent.cli.looking:rescan",
    "keygen": "syncagent.cli.keygen:keygen",
    "demo": "syncagent.cli.demo.command:demo",
}


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from importlib.metadata import version  # slow to import, and only needed here

        click.echo(f"syncctl {version('syncagent')}")
        context.exit()


@click.group("syncctl", cls=Commands, places=PLACES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--agent",
    metavar="ADDRESS",
    envvar="SYNCCTL_AGENT",
    help="The agent to talk to: unix:/PATH, http://HOST:PORT, HOST:PORT, its state directory, or its name. "
    "Not needed where this user runs a single one. Variable SYNCCTL_AGENT.",
)
@click.option(
    "--token-file",
    metavar="FILE",
    envvar="SYNCCTL_TOKEN_FILE",
    help="The token for an agent that is reached by HTTP: needed to change something. Variable SYNCCTL_TOKEN_FILE.",
)
@click.option("--debug", is_flag=True, envvar="SYNCCTL_DEBUG", help="Show tracebacks. Variable SYNCCTL_DEBUG.")
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show it.")
@click.pass_context
def syncctl(context: click.Context, agent: str | None, token_file: str | None, debug: bool) -> None:
    """Ask a running agent how far replicas have converged, and tell it what to do."""
    context.obj = Session(agent, token_file)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the process's exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        return _run(given)
    except CommandError as error:
        complain(str(error))
        return error.exit_code
    except click.UsageError as error:
        complain(usage_sentence(error))
        return exits.USAGE
    except click.ClickException as error:
        complain(error.format_message())
        return exits.FAILED
    except (click.Abort, KeyboardInterrupt):
        return exits.INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return exits.FAILED
    except Exception as error:  # the last resort: no traceback, unless it is asked for
        if isinstance(error, OSError):
            _drop_output()
        if _is_debug(given):
            raise
        complain(f"unexpected {type(error).__name__}: {error}; SYNCCTL_DEBUG=1 shows where")
        return exits.FAILED


def _run(arguments: list[str]) -> int:
    if not arguments:
        arguments = ["--help"]
    result: Any = syncctl.main(arguments, prog_name="syncctl", standalone_mode=False)
    if sys.stdout is not None:
        sys.stdout.flush()
    return int(result or 0)


def _is_debug(arguments: list[str]) -> bool:
    return "--debug" in arguments or bool(os.environ.get("SYNCCTL_DEBUG"))


def _drop_output() -> None:
    """The output cannot be written: nothing more may be, also not when the interpreter ends, which would exit 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


if __name__ == "__main__":
    sys.exit(main())
