"""``syncctl demo``."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from syncagent.cli import exits
from syncagent.cli.base import command
from syncagent.cli.demo.agents import Agent, DemoFailed, make_agents, stop_all
from syncagent.cli.demo.report import keep_report, proof
from syncagent.cli.demo.screen import Screen
from syncagent.cli.demo.story import QUICK, Scale, Story
from syncagent.cli.exits import CommandError
from syncagent.cli.keygen import write_secret

BIG_COPIES = 12
"""Free space that is asked for: three replicas, staging, and the few hundred megabytes of the rest."""

EXAMPLE = """\
syncctl demo
syncctl demo --keep           leave the agents running and say how to talk to them
"""
CODES = {
    exits.YES: "all replicas are equal and nothing was lost",
    exits.FAILED: "they are not, or something was; the directory is kept",
}


@command("demo", EXAMPLE, CODES)
@click.option("--keep", is_flag=True, help="Leave the agents and their directories, and say how to talk to them.")
@click.option("--quick", is_flag=True, help="Fewer and smaller files.")
def demo(keep: bool, quick: bool) -> int:
    """Watch three agents keep three copies of a real tree equal, through edits, conflicts and a kill.

    Everything happens in a temporary directory and on loopback. It takes less than a minute, and ends with a proof:
    the trees are compared byte for byte, with each other and with an account of all that was written.
    """
    scale = QUICK if quick else Scale()
    with _signals_end_it():
        base = Path(tempfile.mkdtemp(prefix="syncagent-demo-"))
        return _Demo(base, scale, keep).run()


class _Demo:
    """One run: whatever happens, no process is left behind, unless it is wanted."""

    def __init__(self, base: Path, scale: Scale, keep: bool) -> None:
        self._base = base
        self._scale = scale
        self._keep = keep
        self._screen = Screen()
        self._agents: list[Agent] = []

    def run(self) -> int:
        self._check_space()
        is_proved = is_kept = False
        try:
            self._tell()
            is_proved, is_kept = True, self._keep
        except (DemoFailed, CommandError, OSError) as error:
            is_kept = True
            raise CommandError(f"{error}\nthe replicas and logs are kept in {self._base}") from None
        finally:
            with _undisturbed():
                if not (is_proved and is_kept):
                    stop_all(self._agents, is_polite=is_proved)
                if not is_kept:
                    shutil.rmtree(self._base, ignore_errors=True)
        return exits.YES

    def _tell(self) -> None:
        began = time.monotonic()
        write_secret(str(self._base / "secret"))
        self._agents = make_agents(self._base, "abc", is_to_stay=self._keep)
        story = Story(self._agents, self._screen, self._scale)
        story.start()
        story.first_copy()
        story.edit_everywhere()
        story.rename_big_directory()
        story.delete_directory()
        story.conflict()
        story.kill()
        self._screen.line("all done; b's status:")
        self._screen.table(self._agents[1].status())
        lines = proof(story, began)
        if self._keep:
            for line in keep_report(self._agents, self._base):
                self._screen.line(line)
        for line in lines:
            self._screen.line(line)

    def _check_space(self) -> None:
        needed, free = BIG_COPIES * self._scale.big_bytes, shutil.disk_usage(self._base).free
        if free < needed:
            os.rmdir(self._base)
            raise CommandError(
                f"the demo needs {needed >> 20} MiB in {self._base.parent}, and {free >> 20} MiB are free; make room, "
                "or set TMPDIR to a directory with more"
            )


@contextmanager
def _signals_end_it() -> Iterator[None]:
    """SIGTERM and a lost terminal end the demo as Ctrl-C does, tidily."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """An impatient second Ctrl-C does not keep the demo from ending its processes."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
