"""Runs every check: lint, format, types, import contracts, and the tests that need only Python.

``python tests`` from the repository's root. ``python tests root strace`` runs the tests with those marks instead: a
tool that they need and that is missing is an error there. The last line counts what was not selected, and why.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

MARKS = {"root": "need root", "strace": "need strace", "engine": "need a Docker engine"}
ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent


def run(title: str, *command: str) -> bool:
    """Run one check and say how it went."""
    print(f"-- {title}", flush=True)
    is_good = subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    if not is_good:
        print(f"-- {title}: FAILED", flush=True)
    return is_good


def count_of(mark: str) -> int:
    """How many tests have this mark."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", mark]  # "-q" twice: a line a file
    listing = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True).stdout
    return sum(int(line.rpartition(": ")[2]) for line in listing.splitlines() if ".py: " in line)


def main(marks: list[str]) -> int:
    unknown = [mark for mark in marks if mark not in MARKS]
    if unknown:
        print(f"no such mark: {', '.join(unknown)}; there are {', '.join(MARKS)}")
        return 2
    if marks:
        return 0 if run(f"tests marked {', '.join(marks)}", *pytest(" or ".join(marks))) else 1
    results = [
        run("lint", str(TOOLS / "ruff"), "check", "."),
        run("format", str(TOOLS / "ruff"), "format", "--check", "--quiet", "."),
        run("types", sys.executable, "-m", "mypy"),
        run("import contracts", str(TOOLS / "lint-imports"), "--no-cache"),
        run("tests", *pytest(" and ".join(f"not {mark}" for mark in MARKS))),
    ]
    left = {mark: count for mark in MARKS if (count := count_of(mark))}
    if not all(results):
        print("FAILED: see the lines marked FAILED above")
    reasons = ", ".join(f"{count} {MARKS[mark]}" for mark, count in left.items())
    print(f"not selected: {sum(left.values())} tests{': ' if reasons else ''}{reasons}; .ci/run runs them")
    return 0 if all(results) else 1


def pytest(expression: str) -> list[str]:
    """The command that runs the tests selected by a mark expression."""
    workers = str(os.cpu_count() or 1)
    return [sys.executable, "-m", "pytest", "-n", workers, "--dist", "loadfile", "-m", expression]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
