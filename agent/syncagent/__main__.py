"""``syncagent``: run the agent, or show the configuration that it would run with."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from syncagent import config, log
from syncagent.config.values import did_you_mean

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

EXIT_CODES = """\
exit codes:
  0    yes, done
  1    failed, or the agent is not reachable
  2    wrong usage or configuration
  3    time-out
  4    a member is unreachable
  5    blocked, held or halted
  130  interrupted
"""

OVERVIEW = f"""\
usage: syncagent COMMAND [FLAGS]

Keeps directories equal with those of other agents.

commands:
  run      run the agent in the foreground
  config   show each option's value and where it comes from

`syncagent COMMAND --help` shows the flags; --version the version.

example:
  syncagent run --volume data=/srv/data --listen tcp://127.0.0.1:7401

{EXIT_CODES}"""

RUN_EXAMPLE = """\
example:
  syncagent run --name a --volume data=/srv/data --state-dir /var/lib/syncagent \\
    --listen tcp://127.0.0.1:7401 --peer tcp://127.0.0.1:7402

"""

CONFIG_EXAMPLE = """\
example:
  syncagent config --config /etc/syncagent.toml

"""


class UsageError(Exception):
    """The command line cannot be understood; one sentence a mistake."""


class OutputFailed(Exception):
    """Standard output cannot be written; the text says why."""


class Parser(argparse.ArgumentParser):
    """Leaves mistakes to ``main``, which says them in one sentence each."""

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        """Unlike the library's own, raises OutputFailed and BrokenPipeError."""
        if file is None:
            _say(self.format_help())
        else:
            file.write(self.format_help())

    def error(self, message: str) -> NoReturn:
        sentence = message.removeprefix("argument ").replace(": expected one argument", " needs a value")
        raise UsageError(f"{sentence} (see `{self.prog} --help`)")


@dataclass(frozen=True, slots=True)
class Command:
    """One sub-command: what it says of itself, and what it does with its flags."""

    name: str
    meaning: str
    example: str
    execute: Callable[[argparse.Namespace], int]

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Raises UsageError."""
        parser = self.parser()
        namespace, rest = parser.parse_known_args(arguments)
        if rest:
            raise UsageError("\n".join(_mistakes(rest, parser)))
        return namespace

    def parser(self) -> Parser:
        parser = Parser(
            prog=f"syncagent {self.name}",
            description=self.meaning,
            epilog=self.example + EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        for option in config.OPTIONS:
            text = f"{option.meaning} (default: {option.default_shown}; variable {option.variable})"
            action = "append" if option.plural else "store"
            parser.add_argument(
                option.flag, dest=option.key, metavar=option.metavar, action=action, help=text.replace("%", "%%")
            )
        if self.name == "config":
            parser.add_argument("--markdown", action="store_true", help="print the table of all options as Markdown")
        return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The process's exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(arguments)
    except UsageError as error:
        return _refuse(str(error).splitlines())
    except config.ConfigError as error:
        return _refuse(error.problems)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return EXIT_FAILED
    except OutputFailed as error:
        _drop_output()
        sys.stderr.write(f"syncagent: {error}\n")
        return EXIT_FAILED


def _dispatch(arguments: list[str]) -> int:
    first = arguments[0] if arguments else ""
    if first in ("", "-h", "--help"):
        if not first:
            sys.stderr.write(OVERVIEW)
            return EXIT_USAGE
        _say(OVERVIEW)
        return 0
    if first == "--version":
        _say(f"syncagent {_version()}\n")
        return 0
    command = COMMANDS.get(first)
    if command is None:
        raise UsageError(_unknown_command(first))
    return command.execute(command.parse(arguments[1:]))


def _unknown_command(word: str) -> str:
    if word.startswith("-"):
        return f"{word!r} comes before the command; write `syncagent run {word} ...`"
    hint = did_you_mean(word, COMMANDS)
    return f"{word!r} is no command{hint or '; known are ' + ', '.join(COMMANDS)} (see `syncagent --help`)"


def _mistakes(rest: list[str], parser: argparse.ArgumentParser) -> list[str]:
    """One sentence for each argument that nothing was made of; the value after an unknown flag belongs to it."""
    sentences, after_flag = [], False
    for word in rest:
        is_flag = word.startswith("-") and word != "--"
        if is_flag:
            hint = did_you_mean(word.partition("=")[0], [option.flag for option in config.OPTIONS] + ["--help"])
            sentences.append(f"unknown flag {word.partition('=')[0]!r}{hint} (see `{parser.prog} --help`)")
        elif not after_flag:
            sentences.append(f"unexpected argument {word!r}; every setting is a flag (see `{parser.prog} --help`)")
        after_flag = is_flag and "=" not in word
    return sentences


def _refuse(problems: list[str]) -> int:
    sys.stderr.write("".join(f"syncagent: {log.printable(problem)}\n" for problem in problems))
    return EXIT_USAGE


def _say(text: str) -> None:
    """Write to standard output, at once. Raises OutputFailed, and BrokenPipeError when nobody reads it any more."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = error.strerror or error
        raise OutputFailed(f"standard output cannot be written: {reason}; make room, or send it elsewhere") from error


def _drop_output() -> None:
    """Nothing more may be written, also not when the interpreter ends, which would exit 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _version() -> str:
    from importlib.metadata import version  # slow to import, and only needed here

    return version("syncagent")


def _run(flags: argparse.Namespace) -> int:
    settings = config.load(vars(flags), os.environ)
    log.setup(settings.log_level, settings.log_format)
    logger = logging.getLogger("syncagent.main")
    for warning in settings.warnings:
        logger.warning("%s", warning)
    from syncagent.service import run  # heavy: a refused configuration should not wait for it

    try:
        return run(settings)
    except Exception:  # the last resort: whatever happened is said in one line, and with its traceback at level debug
        logger.error("the agent failed; --log-level debug shows where", exc_info=True)
        return EXIT_FAILED


def _config(flags: argparse.Namespace) -> int:
    if flags.markdown:
        _say(config.markdown())
        return 0
    del flags.markdown
    draft = config.draft_config(vars(flags), os.environ)
    _say(config.listing(draft))
    sys.stderr.write("".join(f"syncagent: warning: {log.printable(text)}\n" for text in draft.config.warnings))
    return _refuse(draft.problems) if draft.problems else 0


COMMANDS = {
    command.name: command
    for command in (
        Command("run", "Run the agent in the foreground until SIGTERM.", RUN_EXAMPLE, _run),
        Command("config", "Show each option's value and where it comes from.", CONFIG_EXAMPLE, _config),
    )
}

if __name__ == "__main__":
    sys.exit(main())
