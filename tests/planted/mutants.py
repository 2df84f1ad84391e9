"""Planted bugs of the whole product, as patches: each is applied to a copy of the repository, where a test must fail.

``python -m planted.mutants [NAME…]``, in the directory ``tests``, prints which test catches each; 1 if any survives.
``--whole`` runs all tests that need only Python on each copy, not just those that the patch names.

A patch in ``mutants/`` begins with lines ``Bug: what is wrong`` and ``Test: a file or a test`` (one or more, the
likeliest first), and goes on as ``git diff`` prints it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MUTANTS = Path(__file__).resolve().parent / "mutants"
SECONDS_MAX = 600
_FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)
_NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "dist", "build", "*.egg-info")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One planted bug; ``tests`` are what pytest is given."""

    name: str
    meaning: str
    tests: tuple[str, ...]
    patch: Path


@dataclass(frozen=True, slots=True)
class Verdict:
    """``caught_by`` is the test that failed, None if the bug survived; ``said`` is the end of what pytest printed."""

    mutant: Mutant
    caught_by: str | None
    seconds: float
    said: str


def mutants() -> list[Mutant]:
    """All there are, by name."""
    return [_read(path) for path in sorted(MUTANTS.glob("*.patch"))]


def _read(path: Path) -> Mutant:
    header = path.read_text().partition("diff --git")[0].splitlines()
    fields = [line.partition(": ") for line in header if line]
    meaning = " ".join(value for key, _, value in fields if key == "Bug")
    tests = tuple(value.strip() for key, _, value in fields if key == "Test")
    return Mutant(path.stem, meaning, tests, path)


def plant(mutant: Mutant, tree: Path) -> None:
    """Copy the sources to ``tree`` and apply the patch. Raises ``CalledProcessError`` if it does not fit."""
    for each in ("agent", "protocol", "tests"):
        shutil.copytree(ROOT / each, tree / each, ignore=_NOT_COPIED, symlinks=True)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, tree)
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(tree.parent)}
    command = ["git", "apply", "--recount", "-C2", str(mutant.patch)]
    subprocess.run(command, cwd=tree, env=environment, check=True, capture_output=True, text=True)


def hunt(mutant: Mutant, is_whole: bool = False) -> Verdict:
    """Run the tests on a copy that has the bug, up to the first that fails; that one must pass without the bug."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-", ignore_cleanup_errors=True) as place:
        tree = Path(place)
        plant(mutant, tree)
        chosen = ["-m", "not root and not strace and not engine"] if is_whole else mutant.tests
        done = _pytest(tree, *chosen)
        failed = _FAILED.search(done.stdout) if done.returncode == 1 else None
        caught_by, said = failed.group(1) if failed else None, done.stdout[-3000:] + done.stderr[-1000:]
    if caught_by is not None and _pytest(ROOT, caught_by).returncode != 0:
        caught_by, said = None, f"{caught_by} fails without the bug too\n{said}"
    return Verdict(mutant, caught_by, time.monotonic() - begun, said)


def _pytest(tree: Path, *chosen: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *chosen]
    packages = os.pathsep.join(str(tree / each) for each in ("agent", "protocol", "tests"))
    environment = os.environ | {"PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, cwd=tree, env=environment, check=False, capture_output=True, text=True, timeout=SECONDS_MAX
    )


def main(arguments: Sequence[str]) -> int:
    """Print a line for each mutant; 1 if any survives."""
    is_whole = "--whole" in arguments
    names = {argument for argument in arguments if not argument.startswith("-")}
    chosen = [mutant for mutant in mutants() if not names or mutant.name in names]
    if unknown := names - {mutant.name for mutant in chosen}:
        print(f"no such mutant: {', '.join(sorted(unknown))}")
        return 2
    survived = []
    with ThreadPool(2) as pool:
        for verdict in pool.imap(lambda mutant: hunt(mutant, is_whole), chosen):
            name, caught = verdict.mutant.name, verdict.caught_by
            print(f"{name}: {f'caught by {caught}' if caught else 'SURVIVED'} ({verdict.seconds:.0f} s)", flush=True)
            if caught is None:
                survived.append(name)
                print(verdict.said)
    print(f"{len(chosen)} planted bugs, {len(survived)} survived{': ' if survived else ''}{', '.join(survived)}")
    return 1 if survived else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
