"""Edits as people and programs make them, through the ledger that keeps account of them."""

from __future__ import annotations

import os
from collections import Counter

from syncagent.cli.demo.ledger import Ledger
from syncagent.cli.demo.trees import Path

KINDS = ("overwritten", "appended", "replaced", "chmod", "renamed", "created", "symlinked")


def spread(paths: list[Path], number: int) -> list[Path]:
    """So many of ``paths``, at even distances."""
    number = min(number, len(paths))
    return [paths[index * len(paths) // number] for index in range(number)]


def shares(paths: list[Path], sides: str, number: int) -> dict[str, list[Path]]:
    """For each side ``number`` files that no other side touches."""
    chosen = spread(paths, number * len(sides))
    return {side: chosen[index :: len(sides)] for index, side in enumerate(sides)}


def edit(ledger: Ledger, side: str, files: list[Path]) -> Counter[str]:
    """Do to each file one thing of ``KINDS`` in turn; gives how often which was done."""
    done: Counter[str] = Counter()
    for number, path in enumerate(files):
        kind = KINDS[number % len(KINDS)]
        _edit_one(ledger, side, path, kind, number)
        done[kind] += 1
    ledger.make_directory(side, b"empty-on-" + side.encode())
    ledger.write(side, b"not-utf-8-\xff-of-" + side.encode(), _content(side, "name", 0))
    done["created"] += 2
    return done


def _edit_one(ledger: Ledger, side: str, path: Path, kind: str, number: int) -> None:
    content = _content(side, kind, number)
    if kind == "overwritten":
        ledger.write(side, path, content)
    elif kind == "appended":
        ledger.write(side, path, content, is_append=True)
    elif kind == "replaced":
        ledger.replace(side, path, content)
    elif kind == "chmod":
        ledger.change_mode(side, path, 0o600)
    elif kind == "renamed":
        ledger.rename(side, path, path + b".renamed")
    elif kind == "created":
        ledger.write(side, path + b".new", content)
    else:
        ledger.make_symlink(side, path + b".link", os.path.basename(path))


def biggest_directory(ledger: Ledger, most: int | None) -> tuple[Path, int]:
    """The directory with the most entries, itself included, or the most that are no more than ``most``."""
    inside: Counter[Path] = Counter()
    for kind in ("file", "directory", "symlink"):
        for path in ledger.paths(kind):
            if kind == "directory":
                inside[path] += 1
            parts = path.split(b"/")
            inside.update(b"/".join(parts[:depth]) for depth in range(1, len(parts)))
    return max(
        ((path, number) for path, number in inside.items() if most is None or number <= most),
        key=lambda found: (found[1], found[0]),
    )


def clash(ledger: Ledger, left: str, right: str, files: list[Path]) -> int:
    """Edit both sides of ``files`` without either having seen the other; gives how many have two contents now.

    The first is edited here and deleted there, the second edited here and given another mode there.
    """
    revived, styled, *edited = files
    for number, path in enumerate(files):
        ledger.write(left, path, _content(left, "clash", number))
    ledger.delete(right, revived)
    ledger.change_mode(right, styled, 0o640)
    for number, path in enumerate(edited):
        ledger.replace(right, path, _content(right, "clash", number))
    return len(edited)


def has_arrived(root: bytes, files: list[Path], side: str) -> bool:
    """Whether all files below ``root`` have the content that ``clash`` gave them on a side."""
    for number, path in enumerate(files):
        with open(os.path.join(root, path), "rb") as file:
            if file.read() != _content(side, "clash", number):
                return False
    return True


def _content(side: str, kind: str, number: int) -> bytes:
    """Some lines that nothing else in the demo writes."""
    return b"".join(b"# %s on %s, file %d, line %d\n" % (kind.encode(), side.encode(), number, n) for n in range(40))
