"""How the demo ends: the comparison, five lines that say what was proved, and how to go on with ``--keep``."""

from __future__ import annotations

import os
import time
from pathlib import Path

from syncagent.cli.demo.agents import Agent, DemoFailed
from syncagent.cli.demo.story import Story
from syncagent.cli.demo.trees import differences, walk
from syncagent.cli.output import count, size

FAULTS_SHOWN = 10


def proof(story: Story, began: float) -> list[str]:
    """Compare everything; five lines that say what that proves. ``began`` is a time of the monotonic clock.

    Raises DemoFailed with what is wrong.
    """
    trees = {name: walk(agent.volume, is_read=True) for name, agent in story.agents.items()}
    faults = [fault for _, fault in zip(range(FAULTS_SHOWN), differences(trees), strict=False)]
    tree = next(iter(trees.values()))
    faults += [fault for _, fault in zip(range(FAULTS_SHOWN), story.ledger.faults(tree), strict=False)]
    if faults:
        raise DemoFailed("\n".join(["the replicas are not as they should be:", *(f"  {fault}" for fault in faults)]))
    kinds = [node.kind for node in tree.values()]
    content = sum(node.size for node in tree.values())
    facts, counted = story.facts, story.ledger.count
    times = ", ".join(f"{name} {took:.2f} s" for name, took in facts.seconds.items())
    return [
        f"Equal: {len(trees)} trees byte for byte, each {count(kinds.count('file'), 'file')}, "
        f"{count(kinds.count('directory'), 'directory')}, {count(kinds.count('symlink'), 'symlink')}, {size(content)} "
        "(kinds, modes, times, link targets, SHA-256).",
        f"Nothing lost: of {counted.written:,} contents written, {counted.in_place:,} are in place, "
        f"{counted.in_copies} in conflict copies, {counted.overwritten} were overwritten and "
        f"{counted.deleted} deleted knowingly.",
        f"Conflicts: {facts.conflicts} files edited on two sides at once kept both contents on all replicas; an edit "
        "outlived a delete; an edit and a chmod both took effect.",
        f"Killed: agent b by SIGKILL with {size(facts.received)} of {size(facts.big)} received; started again, it "
        "caught up by itself.",
        f"Times to converge: {times}; the whole demo {time.monotonic() - began:.0f} s.",
    ]


def keep_report(agents: list[Agent], base: Path) -> list[str]:
    """How to talk to agents that are left running, and how to end them."""
    lines = ["The agents go on running:"]
    for agent in agents:
        lines.append(f"  {agent.name}: {os.fsdecode(agent.volume)}")
        lines.append(f"     syncctl --agent {agent.home / 'state'} status")
    pids = " ".join(str(agent.process.pid) for agent in agents if agent.process is not None)
    return [*lines, f"  to end them: kill {pids}; rm -r {base}", ""]
