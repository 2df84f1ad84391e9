"""Each planted bug is noticed: a schedule fails on a copy of the sources that has it, and passes on the sources."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import model
import planted
import syncagent
import syncproto
from model.check import outcome
from planted.bugs import BUGS, Bug

RULES = 15


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_noticed(bug: Bug, tmp_path: Path) -> None:
    _copy_sources(tmp_path)
    _plant(bug, tmp_path)
    caught = _hunt(bug.caught_by, tmp_path)
    assert caught, f"nothing fails when {bug.meaning}"
    schedule, _ = caught
    assert outcome(schedule) is None, f"{schedule} fails without {bug.name} too"


def test_the_copy_itself_has_nothing_wrong(tmp_path: Path) -> None:
    _copy_sources(tmp_path)
    assert _hunt("0 links", tmp_path) is None


def test_every_rule_has_a_planted_bug() -> None:
    assert {bug.rule for bug in BUGS} == set(range(1, RULES + 1))
    assert len({bug.name for bug in BUGS}) == len(BUGS) == 30


def _copy_sources(tree: Path) -> None:
    """The packages that a schedule runs on; of the agent only its pure core."""
    for package in (syncproto, model, planted):
        _copy(Path(str(package.__file__)).parent, tree / package.__name__)
    agent = Path(str(syncagent.__file__)).parent
    _copy(agent / "core", tree / "syncagent" / "core")
    shutil.copy(agent / "__init__.py", tree / "syncagent")


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "test_*"))


def _plant(bug: Bug, tree: Path) -> None:
    file = tree / bug.file
    source = file.read_text()
    assert source.count(bug.old) == 1, f"{bug.name} does not apply to {bug.file}: its old text must occur once"
    file.write_text(source.replace(bug.old, bug.new))


def _hunt(schedule: str, tree: Path) -> tuple[str | int, str] | None:
    command = [sys.executable, "-m", "planted.hunt", schedule]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return tuple(found) if found else None
