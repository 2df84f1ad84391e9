"""No dot is used twice: every dot that any index has ever held stands for one content, or one register."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from process.cluster import Cluster, Node
from syncagent.index.rows import decode_entry
from syncproto.model import Entry
from syncproto.version import Dot

_ENTRIES = (
    "SELECT entry FROM entries",
    "SELECT entry FROM pending",
    "SELECT entry FROM lineage",
    "SELECT before FROM history WHERE before IS NOT NULL",
)


class Dots:
    """Adds up what indexes hold, at any times, of running agents and of stopped ones, and of copies of their states."""

    def __init__(self) -> None:
        self._contents: dict[Dot, tuple[object, ...]] = {}
        self._registers: dict[Dot, tuple[object, ...]] = {}

    def __len__(self) -> int:
        return len(self._contents)

    def read(self, *places: Cluster | Node | Path) -> None:
        """Take in all indexes of these clusters, agents and state directories."""
        for state in _states(places):
            for index in sorted(state.glob("*.index")):
                for entry in entries_of(index):
                    self._note(entry, index)

    def _note(self, entry: Entry, index: Path) -> None:
        content = (entry.path, entry.kind, entry.content, entry.stamp, entry.size, entry.mtime_ns)
        register = entry.metadata
        if entry.counter:  # else it is a content of which nobody knows where it came from
            self._compare(self._contents, entry.dot, content, index)
        if register.counter:
            self._compare(self._registers, register.dot, (entry.path, register.value, register.stamp), index)

    def _compare(self, known: dict[Dot, tuple[object, ...]], dot: Dot, what: tuple[object, ...], index: Path) -> None:
        first = known.setdefault(dot, what)
        assert first == what, f"dot {dot} stands for {first!r}, and in {index} for {what!r}"


def entries_of(index: Path) -> Iterator[Entry]:
    """Every entry that an index holds, current, pending or past. A copy is read: the agent has the file to itself."""
    with tempfile.TemporaryDirectory() as directory:
        for suffix in ("", "-wal"):
            if Path(f"{index}{suffix}").exists():
                shutil.copyfile(f"{index}{suffix}", f"{directory}/index{suffix}")
        database = sqlite3.connect(f"{directory}/index")
        try:
            for query in _ENTRIES:
                yield from (decode_entry(row[0]) for row in database.execute(query))
        finally:
            database.close()


def _states(places: Iterable[Cluster | Node | Path]) -> Iterator[Path]:
    for place in places:
        if isinstance(place, Cluster):
            yield from (node.state for node in place.nodes.values())
        else:
            yield place.state if isinstance(place, Node) else place
