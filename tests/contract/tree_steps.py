"""Steps as tests give them: contents staged, stats looked up, outcomes that must be good."""

from __future__ import annotations

import os

from syncagent.core.chunking import digest_of
from syncagent.core.plan import Place, StatKey, Step
from syncagent.ports import Applied, Observation, Outcome, Scanner, Tree
from syncproto.model import Attributes, Path

OURS = Attributes(0o644, os.getuid(), os.getgid())
OURS_TO_ENTER = Attributes(0o755, os.getuid(), os.getgid())
MTIME = 1_700_000_000_123_456_789


def stat_of(scanner: Scanner, path: Path) -> StatKey:
    """The stat of what stands at a path."""
    finding = scanner.examine(path, None)
    assert isinstance(finding, Observation), finding
    return finding.stat


def place(
    tree: Tree, path: Path, data: bytes, expect: StatKey | None = None, attributes: Attributes | None = OURS
) -> Place:
    """Stage a content and give the step that places it."""
    assert tree.stage_whole([(digest_of(data), data)]) == []
    return Place(path, expect, digest_of(data), len(data), attributes, MTIME)


def applied(tree: Tree, *steps: Step) -> list[Applied]:
    """All steps are done."""
    outcomes = tree.apply(steps)
    done = [outcome for outcome in outcomes if isinstance(outcome, Applied)]
    assert len(done) == len(steps), outcomes
    return done


def only(outcomes: list[Outcome]) -> Outcome:
    """The outcome of a single step."""
    (outcome,) = outcomes
    return outcome
