"""What users do at both ends, and what must come of it. The two sides never touch the same path."""

from __future__ import annotations

import os
import random
import shutil
import stat
from pathlib import Path

Tree = dict[bytes, tuple[object, ...]]

BIG, EDITED_AT = 700_000, 300_000


def _noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def fill_peer(root: Path) -> None:
    """What the unharmed agent has at the start: files small and big, directories, a symlink."""
    for number in range(5):
        (root / f"f{number}").write_bytes(b"file %d of the peer" % number)
    (root / "f3").chmod(0o640)
    (root / "d" / "z").mkdir(parents=True)
    for name in ("d/x", "d/y", "d/z/w"):
        (root / name).write_bytes(name.encode())
    (root / "e").mkdir()
    (root / "e" / "k").write_bytes(b"k")
    (root / "big").write_bytes(_noise(1, BIG))
    (root / "link").symlink_to("f0")


def fill_victim(root: Path) -> None:
    """What the victim brings."""
    for number in range(3):
        (root / f"own{number}").write_bytes(b"file %d of the victim" % number)
    (root / "od").mkdir()
    (root / "od" / "p").write_bytes(b"p")


def edit_peer(root: Path) -> None:
    """Saved over a new name, edited in place, renamed, deleted, replaced by another type, and another mode."""
    (root / ".f0.new").write_bytes(b"file 0, saved again")
    os.replace(root / ".f0.new", root / "f0")
    with (root / "big").open("r+b") as file:
        file.seek(EDITED_AT)
        file.write(b"edited in the middle")
        file.seek(0, os.SEEK_END)
        file.write(_noise(2, 50_000))
    os.rename(root / "f1", root / "g1")
    shutil.rmtree(root / "d")
    (root / "f2").unlink()
    (root / "f2").symlink_to("nowhere")
    shutil.rmtree(root / "e")
    (root / "e").write_bytes(b"was a directory")
    (root / "f3").chmod(0o600)
    (root / "n" / "m").mkdir(parents=True)
    (root / "n" / "m" / "new").write_bytes(b"new")
    (root / "also-big").write_bytes(_noise(3, 300_000))


def edit_victim(root: Path) -> None:
    """The same in small."""
    (root / "own3").write_bytes(b"new at the victim")
    (root / "own0").write_bytes(b"edited at the victim")
    os.rename(root / "od" / "p", root / "od" / "q")
    (root / "own1").unlink()
    (root / "own2").chmod(0o600)


def expected(place: Path, is_edited: bool) -> Path:
    """A directory in which both sides did all that, alone."""
    root = place / ("edited" if is_edited else "filled")
    root.mkdir()
    fill_peer(root)
    fill_victim(root)
    if is_edited:
        edit_peer(root)
        edit_victim(root)
    return root


def without_times(tree: Tree) -> Tree:
    """The trees of agents are compared with their times, but they were made at another time than the expected one."""
    return {p: facts[:5] + facts[6:] if facts[0] == stat.S_IFREG else facts for p, facts in tree.items()}
