"""Which dots are in an index, and what for."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from syncagent.index import Index
from syncproto.version import Dot, Vector, covers

Uses = dict[Dot, tuple[object, ...]]


class Dots:
    """All dots that were ever seen in one round: each has one use for ever."""

    def __init__(self) -> None:
        self._uses: Uses = {}
        self.reused: list[str] = []
        self.known: list[Vector] = []

    def read(self, file: Path) -> None:
        """From a copy; whoever had the index open is dead."""
        with tempfile.TemporaryDirectory() as place:
            copy = Path(place) / "index"
            shutil.copy(file, copy)
            if (log := file.with_name(file.name + "-wal")).exists():
                shutil.copy(log, copy.with_name("index-wal"))
            index = Index.open(copy, new_origin=lambda: "nobody.0")
            try:
                self._read(index)
            finally:
                index.close()

    def _read(self, index: Index) -> None:
        self.known.append(dict(index.known))
        own = index.origin
        for entry in [*index.entries(), *index.pending()]:
            use = entry.path, entry.kind, entry.content
            if self._uses.setdefault(entry.dot, use) != use:
                self.reused.append(f"{entry.dot}: {self._uses[entry.dot]} and {use}")
        for known in self.known:
            if not covers({own: index.counter}, (own, known.get(own, 0))):
                self.reused.append(f"{own} counts from {index.counter}, and {known[own]} was seen")
