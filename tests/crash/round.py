"""One round: two real agents, a kill at one point, a restart, and the comparison."""

from __future__ import annotations

import os
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from crash import victim, workload
from crash.dots import Dots
from process.cluster import Node, contents, difference, free_port, tree_of
from syncagent.cli.address import UnixAddress
from syncagent.cli.client import Client
from syncagent.cli.exits import CommandError

SETTLE_SECONDS = 90.0
WAIT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Point:
    """At the ``number``-th call of this kind by these threads."""

    who: str
    kind: str
    number: int

    def __str__(self) -> str:
        return f"{self.who}:{self.kind}:{self.number}"


@dataclass(frozen=True, slots=True)
class Variant:
    """``is_double``: killed again while it recovers. ``loses_index``: deleted before the restart. ``is_blind``: the
    victim sees no events, and is told to look."""

    is_double: bool = False
    loses_index: bool = False
    is_blind: bool = False


@dataclass(slots=True)
class Outcome:
    """How it went."""

    point: Point
    kills: int = 0
    wrong: list[str] = field(default_factory=list)


class NotSettled(Exception):
    """The agents did not come to agree in time."""


class Round:
    """Everything of one round lives below ``place``."""

    def __init__(self, place: Path, point: Point, variant: Variant) -> None:
        self.place, self.point, self.variant = place, point, variant
        self.peer = Node("a", place / "a", place / "state-a", free_port(), place / "a.log")
        self.victim = Node("b", place / "b", place / "state-b", 0, place / "b.log", [self.peer.address], listens=False)
        if variant.is_blind:
            self.victim.options = ",watch=poll,poll_interval=1h"
        self.dots, self.outcome = Dots(), Outcome(point)

    def play(self) -> Outcome:
        """Fill, start, edit; the kill comes when it comes."""
        for node, fill in ((self.peer, workload.fill_peer), (self.victim, workload.fill_victim)):
            node.volume.mkdir(parents=True)
            fill(node.volume)
        try:
            self._play()
        except (NotSettled, AssertionError) as error:
            self.outcome.wrong.append(f"{error}\n{self._tail()}")
        finally:
            self._kill_both()
        return self.outcome

    def _play(self) -> None:
        self.peer.launch()
        self._launch_victim(self.point)
        is_edited = self._settles()
        if is_edited:
            workload.edit_peer(self.peer.volume)
            workload.edit_victim(self.victim.volume)
            self._look()
            if self._settles():
                self._check(is_edited)
                return
        self._recover()
        self._check(is_edited)

    # -- killing and restarting ----------------------------------------------------------------

    def _launch_victim(self, point: Point | None) -> None:
        trace = str(self.place / f"trace{self.outcome.kills}")
        self.victim.prefix = []
        if point is not None:
            how = [point.who, point.kind, str(point.number), trace]
            self.victim.prefix = [sys.executable, "-P", victim.__file__, *how]
        self.victim.launch()

    def _recover(self) -> None:
        self._bury()
        if self.variant.loses_index:
            for file in self.victim.state.glob("data.index*"):
                file.unlink()
        if self.variant.is_double:
            self._launch_victim(again(self.point))
            if self._settles():
                return
            self._bury()
        self._launch_victim(None)
        if not self._settles():
            raise NotSettled("the restarted agent died")

    def _bury(self) -> None:
        """The victim is dead: what its index says now must hold for ever."""
        assert self.victim.process is not None
        assert self.victim.process.wait() == -9, f"ended with {self.victim.process.returncode}"
        self.victim.process = None
        self.outcome.kills += 1
        self._read_dots(self.victim)

    def _settles(self) -> bool:
        """Wait until all is in sync and equal; False if the victim is dead instead."""
        assert self.victim.process is not None
        deadline = time.monotonic() + SETTLE_SECONDS
        while self.victim.process.poll() is None:
            if self._is_in_sync() and self._are_equal():
                return True
            if self.peer.process is None or self.peer.process.poll() is not None:
                raise NotSettled(f"the other agent ended: {self.peer.log.read_text(errors='replace')[-1500:]}")
            if time.monotonic() > deadline:
                raise NotSettled(
                    difference([tree_of(node.volume) for node in (self.peer, self.victim)]) or "not in sync"
                )
            time.sleep(0.02)
        return False

    def _is_in_sync(self) -> bool:
        try:
            return all(
                client(node).ask("/v1/wait", timeout=WAIT_SECONDS, members=2)["reached"]
                for node in (self.victim, self.peer)
            )
        except CommandError:
            return False  # not yet up, or no longer

    def _are_equal(self) -> bool:
        try:
            return tree_of(self.peer.volume) == tree_of(self.victim.volume)
        except OSError:
            return False  # it changed while it was read

    def _look(self) -> None:
        if self.variant.is_blind:
            try:
                client(self.victim).order("/v1/rescan", volume="data")
            except CommandError:
                pass  # dead already

    # -- the comparison ------------------------------------------------------------------------

    def _check(self, is_edited: bool) -> None:
        wanted = workload.expected(self.place, is_edited)
        tree, wrong = tree_of(self.victim.volume), self.outcome.wrong
        if self.variant.loses_index and self.outcome.kills:
            if lost := contents(wanted) - contents(self.victim.volume):
                wrong.append(f"lost: {[content[:40] for content in lost]}")
        else:
            trees = [workload.without_times(tree_of(wanted)), workload.without_times(tree)]
            if trees[0] != trees[1]:
                wrong.append(f"not as expected: {difference(trees)}")
        if leftovers := self._leftovers():
            wrong.append(f"left over: {leftovers}")
        self._kill_both()
        self._read_dots(self.peer)
        self._read_dots(self.victim)
        wrong += [f"reused: {dot}" for dot in self.dots.reused]

    def _leftovers(self) -> list[str]:
        """What is still staged. It goes soon after all is in sync."""
        deadline = time.monotonic() + SETTLE_SECONDS / 3
        while True:
            staging = [node.volume / ".syncagent" / "staging" for node in (self.peer, self.victim)]
            found = [file.name for place in staging if place.exists() for file in place.iterdir()]
            if not found or time.monotonic() > deadline:
                return found
            time.sleep(0.1)

    def _kill_both(self) -> None:
        for node in (self.peer, self.victim):
            if node.process is not None:
                node.kill()

    def _read_dots(self, node: Node) -> None:
        if (file := node.state / "data.index").exists() and file.stat().st_size:
            self.dots.read(file)

    def _tail(self) -> str:
        return self.victim.log.read_text(errors="replace")[-1500:]


def again(point: Point) -> Point:
    """Where the recovery is killed: another place for each first kill, over what a restart mostly does."""
    places = [("engine", "pwrite64", 23), ("engine", "fdatasync", 2), ("main", "pwrite64", 3), ("engine", "fsync", 3)]
    who, kind, most = places[point.number % len(places)]
    return Point(who, kind, 1 + point.number // len(places) % most)


def client(node: Node) -> Client:
    """Asks this agent, without a process of its own."""
    return Client(UnixAddress(os.fspath(node.socket)))


def play(place: Path, point: Point, variant: Variant) -> Outcome:
    """One round below ``place``, which is removed unless something is wrong."""
    outcome = Round(place, point, variant).play()
    if not outcome.wrong:
        shutil.rmtree(place)
    return outcome
