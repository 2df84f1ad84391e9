"""Copies of an agent's volume and state, and how they come back: as backups and snapshots of machines do."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

from process.cluster import Node, eventually


class Snapshot:
    """The volume and the state of an agent at one time."""

    def __init__(self, node: Node, place: Path) -> None:
        self._node = node
        self.volume, self.state = place / "volume", place / "state"
        eventually(self._copies_the_volume)
        copy_state(node.state, self.state)

    def _copies_the_volume(self) -> bool:
        """False if the agent's own directory went away just then."""
        try:
            shutil.copytree(self._node.volume, self.volume, symlinks=True)
        except shutil.Error:
            shutil.rmtree(self.volume)
            return False
        return True

    def restore_volume(self) -> None:
        """The same directory, with the content and the marks of then."""
        root = self._node.volume
        for child in root.iterdir():
            shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()
        for child in self.volume.iterdir():
            if child.is_dir() and not child.is_symlink():
                shutil.copytree(child, root / child.name, symlinks=True)
            else:
                shutil.copy2(child, root / child.name, follow_symlinks=False)
        shutil.copystat(self.volume, root)

    def restore_state(self) -> None:
        """The index of then."""
        shutil.rmtree(self._node.state)
        copy_state(self.state, self._node.state)


def copy_state(source: Path, target: Path) -> None:
    """All but sockets."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.sock"))


def clone(original: Node, copy: Node) -> None:
    """Make ``copy`` what a cloned machine has: the same files, the same state, even the same inode number of the root.

    Both must be stopped. The number is written into the index, for no two directories here can have the same one.
    """
    shutil.rmtree(copy.volume)
    shutil.copytree(original.volume, copy.volume, symlinks=True)
    shutil.rmtree(copy.state, ignore_errors=True)
    copy_state(original.state, copy.state)
    database = sqlite3.connect(copy.state / "data.index")
    with database:
        database.execute(
            "UPDATE settings SET value = ? WHERE key = 'root'", (str(os.stat(copy.volume).st_ino).encode(),)
        )
    database.close()
