"""What happens in the demo, step by step; each step ends when the three trees are equal and as the ledger has them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from syncagent.cli.demo import edits
from syncagent.cli.demo.agents import Agent, DemoFailed
from syncagent.cli.demo.ledger import Ledger
from syncagent.cli.demo.screen import Screen, behind
from syncagent.cli.demo.trees import copy, differences, library_files, walk
from syncagent.cli.exits import CommandError
from syncagent.cli.output import count, size

STEP_SECONDS = 60.0
BARRIER_SECONDS = 2.0
"""An agent is asked for so long before progress is told; it answers as soon as all have everything."""
POLL_SECONDS = 0.02
KILL_AFTER_BYTES = 4 << 20
KILL_TRIES = 3
NOTICE_SECONDS = 2.0
DELETE_ENTRIES_MAX = 80
"""Below the brake, which holds more than 100 deletes a minute for a person to look at."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is done."""

    files: int = 2500
    edits: int = 60
    big_bytes: int = 96 << 20


QUICK = Scale(files=600, edits=15, big_bytes=48 << 20)


@dataclass(slots=True)
class Facts:
    """What the end of the demo reports."""

    seconds: dict[str, float] = field(default_factory=dict)
    edits: int = 0
    conflicts: int = 0
    received: int = 0
    big: int = 0


class Story:
    """The steps, in the order in which they are to be called. All raise DemoFailed."""

    def __init__(self, agents: list[Agent], screen: Screen, scale: Scale) -> None:
        self.agents = {agent.name: agent for agent in agents}
        self.ledger = Ledger({agent.name: agent.volume for agent in agents})
        self.facts = Facts()
        self._screen = screen
        self._scale = scale

    def start(self) -> None:
        """Start the agents on empty directories, and wait until each has met the others."""
        began = time.monotonic()
        for agent in self.agents.values():
            agent.start()
            self._screen.line(f"agent {agent.name} runs, on {agent.volume.decode(errors='replace')}")
        self._converged("meeting", began)

    def first_copy(self) -> None:
        """Copy the library into one replica, under the eyes of its agent."""
        sources = library_files(self._scale.files)
        for source in sources:
            copy(source, self.agents["a"].volume)
        self.ledger.take_stock("a")
        files, directories = len(self.ledger.paths("file")), len(self.ledger.paths("directory"))
        volume = sum(node.size for node in walk(self.agents["a"].volume, is_read=False).values())
        what = f"copied {count(files, 'file')} and {count(directories, 'directory')} ({size(volume)}) into a"
        self._step("first copy", what)

    def edit_everywhere(self) -> None:
        """Edit different files on all three sides at the same time."""
        shares = edits.shares(self.ledger.paths("file"), "abc", self._scale.edits)
        done: Counter[str] = Counter()
        failures: list[BaseException] = []

        def edit(side: str) -> None:
            try:
                done.update(edits.edit(self.ledger, side, shares[side]))
            except (OSError, KeyError) as error:
                failures.append(error)

        threads = [threading.Thread(target=edit, args=(side,)) for side in shares]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise DemoFailed(f"an edit of the demo itself failed: {failures[0]!r}")
        self.facts.edits = done.total()
        told = ", ".join(f"{number} {kind}" for kind, number in sorted(done.items()))
        self._step("edits", f"{done.total()} edits on three sides at once: {told}")

    def rename_big_directory(self) -> None:
        """Rename the directory with the most files."""
        path, inside = edits.biggest_directory(self.ledger, None)
        self.ledger.rename("b", path, path + b"-renamed")
        self._step("rename", f"renamed {os.fsdecode(path)}/ with {count(inside, 'entry')} on b")

    def delete_directory(self) -> None:
        """Delete a directory that is as big as the brake lets pass."""
        path, inside = edits.biggest_directory(self.ledger, DELETE_ENTRIES_MAX)
        self.ledger.delete_directory("c", path)
        self._step("deletion", f"deleted {os.fsdecode(path)}/ with {count(inside, 'entry')} on c")

    def conflict(self) -> None:
        """Edit the same files on two sides that cannot have heard of each other: one agent stands still meanwhile."""
        files = edits.spread(self.ledger.paths("file"), 6)
        self.agents["b"].send(signal.SIGSTOP)
        try:
            self.facts.conflicts = edits.clash(self.ledger, "a", "b", files)
            self._until(lambda: edits.has_arrived(self.agents["c"].volume, files, "a"), "the edits of a to reach c")
        finally:
            self.agents["b"].send(signal.SIGCONT)
        what = (
            f"edited {self.facts.conflicts} files on a and b while b's agent stood still; "
            "also: edit against delete, edit against chmod"
        )
        self._step("conflict", what)

    def kill(self) -> None:
        """Kill an agent while it receives a big file, and start it again."""
        victim = self.agents["b"]
        for attempt in range(KILL_TRIES):
            self.facts.big = self._scale.big_bytes << attempt
            path = b"big-%d.bin" % attempt
            self._write_big(path)
            received = self._kill_in_transfer(victim, path)
            if received:
                break
            victim.start()
        else:
            raise DemoFailed("the transfers were over before an agent could be killed in one; this machine is too fast")
        self.facts.received = received
        self._screen.line(f"killed b's agent with {size(received)} of {size(self.facts.big)} received; a's status now:")
        self._let_notice("b")
        self._screen.table(self.agents["a"].status())
        began = time.monotonic()
        victim.start()
        self._step("kill", "started b's agent again", began)

    def _write_big(self, path: bytes) -> None:
        self.ledger.write("a", path, os.urandom(self.facts.big))

    def _kill_in_transfer(self, victim: Agent, path: bytes) -> int:
        """Kill it when some of the file has arrived; gives how much, 0 if the whole was there already."""
        deadline = time.monotonic() + STEP_SECONDS
        while time.monotonic() < deadline:
            if os.path.lexists(os.path.join(victim.volume, path)):
                return 0
            if _staged(victim) >= KILL_AFTER_BYTES:
                victim.kill()
                return 0 if os.path.lexists(os.path.join(victim.volume, path)) else _staged(victim)
            time.sleep(0.001)
        raise DemoFailed(f"agent {victim.name} did not begin to receive {os.fsdecode(path)} in {STEP_SECONDS:.0f} s")

    def _let_notice(self, name: str) -> None:
        """Give a some time to notice that an agent is gone; it need not."""
        deadline = time.monotonic() + NOTICE_SECONDS
        while time.monotonic() < deadline:
            replicas = self.agents["a"].status()["volumes"][0]["replicas"]
            if not any(replica["name"] == name and replica["connected"] for replica in replicas):
                return
            time.sleep(5 * POLL_SECONDS)

    # -- convergence ---------------------------------------------------------------------------------

    def _step(self, name: str, what: str, since: float | None = None) -> None:
        took = self._converged(name, time.monotonic() if since is None else since)
        self._screen.line(f"{what}: equal everywhere after {took:.2f} s")

    def _converged(self, name: str, since: float) -> float:
        """Wait for it: the agents have to say so, and the disks have to show it. Gives the seconds since ``since``."""
        first, *others = self.agents.values()
        deadline = time.monotonic() + STEP_SECONDS
        while not (first.is_converged(len(self.agents), BARRIER_SECONDS) and self._is_equal()):
            if time.monotonic() > deadline:
                raise DemoFailed(f"{name}: not equal after {STEP_SECONDS:.0f} s: {self._first_fault()}")
            for agent in others:
                agent.check_alive()
            self._tell_progress()
            time.sleep(POLL_SECONDS)
        self.facts.seconds[name] = time.monotonic() - since
        for agent in others:
            if not agent.is_converged(len(self.agents), STEP_SECONDS):
                raise DemoFailed(f"{name}: the trees are equal, and agent {agent.name} does not say so")
        return self.facts.seconds[name]

    def _is_equal(self) -> bool:
        try:
            first, *others = (walk(agent.volume, is_read=False) for agent in self.agents.values())
        except OSError:
            return False  # something went away under the walk: it is not over yet
        return self.ledger.is_met(first) and all(first == other for other in others)

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + STEP_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise DemoFailed(f"waited {STEP_SECONDS:.0f} s in vain for {what}: {self._first_fault()}")
            self._tell_progress()
            time.sleep(POLL_SECONDS)

    def _tell_progress(self) -> None:
        if self._screen.is_due():
            self._screen.progress(self._behind())

    def _behind(self) -> str:
        try:
            return behind(self.agents["a"].status())
        except CommandError as error:
            return str(error)

    def _first_fault(self) -> str:
        """The first thing that is not as it should be, and what the agents say of themselves."""
        trees = {name: walk(agent.volume, is_read=True) for name, agent in self.agents.items()}
        faults = [f"on {name}, {fault}" for name, tree in trees.items() for fault in self.ledger.faults(tree)]
        first = next(iter([*faults, *differences(trees)]), "all is as it should be now")
        return "\n".join([first, *(f"  agent {agent.name}: {agent.verdict()}" for agent in self.agents.values())])


def _staged(agent: Agent) -> int:
    """Bytes on disk in the agent's own directory inside the volume."""
    total = 0
    for directory, _, names in os.walk(Path(os.fsdecode(agent.volume)) / ".syncagent"):
        for name in names:
            try:
                total += os.lstat(os.path.join(directory, name)).st_blocks * 512
            except OSError:
                continue  # it was placed or dropped just now
    return total
