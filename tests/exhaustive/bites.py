"""How many of the planted bugs the small scope notices: ``python -m exhaustive.bites [OPS]``, in ``tests``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from multiprocessing.pool import ThreadPool
from pathlib import Path

import exhaustive
import model
import syncagent
import syncproto
from planted.bugs import BUGS, Bug

HUNT_SECONDS = 3600
FLOOR = 10
"""So many are noticed at the least; the others need a third replica, or more acts."""


def caught(bug: Bug, ops: int) -> str | None:
    """The history that fails in a copy of the sources with this bug."""
    with tempfile.TemporaryDirectory() as place:
        tree = Path(place)
        for package in (syncproto, model, exhaustive):
            _copy(Path(str(package.__file__)).parent, tree / package.__name__)
        agent = Path(str(syncagent.__file__)).parent
        _copy(agent / "core", tree / "syncagent" / "core")
        shutil.copy(agent / "__init__.py", tree / "syncagent")
        file = tree / bug.file
        source = file.read_text()
        if source.count(bug.old) != 1:
            raise ValueError(f"{bug.name} does not apply to {bug.file}: its old text must occur once")
        file.write_text(source.replace(bug.old, bug.new))
        return _hunt(tree, ops)


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "test_*"))


def _hunt(tree: Path, ops: int) -> str | None:
    command = [sys.executable, "-m", "exhaustive.hunt", str(ops)]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, check=False, timeout=HUNT_SECONDS
    )
    if done.returncode != 0:  # a bug may also end in an error
        return done.stderr.strip().rpartition("\n")[2]
    found = json.loads(done.stdout)
    return None if found is None else str(found)


def main(ops: int = 2) -> int:
    """Print what catches each bug, and the count."""
    histories = []
    with ThreadPool(2) as pool:
        for bug, history in zip(BUGS, pool.imap(lambda bug: caught(bug, ops), BUGS, chunksize=1), strict=True):
            histories.append(history)
            print(f"{bug.name}: {history or 'not within this scope'}", flush=True)
    noticed = sum(history is not None for history in histories)
    print(f"{noticed} of {len(BUGS)} planted bugs are noticed, at least {FLOOR} must be")
    return 0 if noticed >= FLOOR else 1


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])))
