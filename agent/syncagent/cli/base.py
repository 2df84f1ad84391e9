"""What all commands share: how they are declared, found and helped with, and what they were told globally."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

import click

from syncagent.cli import exits
from syncagent.cli.address import resolve
from syncagent.cli.client import Client
from syncagent.cli.exits import CommandError

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Session:
    """The options before the command."""

    agent: str | None
    token_file: str | None

    def client(self) -> Client:
        """Talks to the chosen agent. Raises CommandError if there is none to choose, or the token cannot be read."""
        return Client(resolve(self.agent, os.environ), self._token())

    def _token(self) -> bytes | None:
        if self.token_file is None:
            return None
        try:
            with open(self.token_file, "rb") as file:
                token = file.read(1 << 16).strip()
        except OSError as error:
            raise CommandError(
                f"the token file {self.token_file!r} cannot be read: {error.strerror}; name the file that the agent "
                "was given as --http-token-file",
                exits.USAGE,
            ) from None
        if not token or any(byte <= 32 or byte > 126 for byte in token):
            raise CommandError(f"the token file {self.token_file!r} does not hold one line of plain text", exits.USAGE)
        return token


class Helpful(click.Command):
    """A command whose help ends with an example and its exit codes. What it returns is its exit code."""

    def __init__(self, *args: Any, example: str = "", codes: dict[int, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example
        self.codes = codes or {}

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        meanings = {**{code: exits.MEANINGS[code] for code in (exits.USAGE, exits.INTERRUPTED)}, **self.codes}
        with formatter.section("Example"):
            formatter.write("".join(f"{' ' * formatter.current_indent}{line}\n" for line in self.example.splitlines()))
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meanings[code]) for code in sorted(meanings)])


class Commands(click.Group):
    """The commands by name, each in a module that is imported when it is needed."""

    def __init__(self, *args: Any, places: dict[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._places = places

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = self._places.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        found = getattr(import_module(module), attribute)
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if not word.startswith("-") and word not in self._places:
            hint = exits.did_you_mean(word, self._places) or f"; there are {', '.join(self._places)}"
            raise click.UsageError(f"there is no command {word!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Example"):
            formatter.write("  syncctl --agent 127.0.0.1:7481 wait --timeout 30 && echo equal\n")
        with formatter.section("Exit codes, the same for every command"):
            formatter.write_dl([(str(code), meaning) for code, meaning in exits.MEANINGS.items()])


def command(name: str, example: str, codes: dict[int, str]) -> Callable[[Callable[..., int]], click.Command]:
    """Declare a command; the function returns its exit code."""
    return click.command(
        name, cls=Helpful, example=example, codes=codes, context_settings={"help_option_names": ["-h", "--help"]}
    )


def as_json(function: Decorated) -> Decorated:
    """The flag of all commands that read."""
    return click.option("--json", "is_json", is_flag=True, help="Print the agent's answer as JSON.")(function)


def one_volume(function: Decorated) -> Decorated:
    """The argument of commands about one volume or all."""
    return click.argument("volume", required=False)(function)


def usage_sentence(error: click.UsageError) -> str:
    """One sentence for a mistake on the command line."""
    text = error.format_message()
    where = error.ctx.command_path if error.ctx is not None else "syncctl"
    if isinstance(error, click.NoSuchOption):
        known = [name for parameter in (error.ctx.command.params if error.ctx else []) for name in parameter.opts]
        text = f"there is no option {error.option_name!r}{exits.did_you_mean(error.option_name, [*known, '--help'])}"
        if where != "syncctl" and error.option_name in ("--agent", "--token-file", "--debug"):
            text = f"{error.option_name} comes before the command: syncctl {error.option_name} ... {where.split()[-1]}"
    text = text[:1].lower() + text[1:] if text[1:2].islower() else text
    return f"{text.rstrip('.')} (see `{where} --help`)"
