"""Users who do at random what users do, on any replica, at any moment. Each content they write is new, or shared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from simulation.ledger import Ledger, tree_of
from simulation.machine import Machine
from simulation.world import World
from syncproto.model import Path
from syncproto.paths import above, is_below, parent
from twins.disk import MemoryVolume, Writer

PATHS: list[Path] = [b"x", b"y.txt", b"d", b"d/x", b"d/y", b"d/e", b"d/e/z", b"x/z"]
MODES = [0o600, 0o640, 0o644, 0o755]
TRIES = 6


class Users:
    """``paths``: where they work. ``sizes``: how much they write."""

    def __init__(self, world: World, ledger: Ledger, random: Random, paths: Sequence[Path]) -> None:
        self.world, self.ledger, self.random, self.paths = world, ledger, random, paths
        self.sizes = [0, 1, 30]
        self.writes = 0
        self.writers: list[tuple[Machine, Writer]] = []
        self._kinds: list[Callable[[MemoryVolume, Path], str | None]] = [
            *[self._write] * 5,
            *[self._save] * 2,
            *[self._append] * 2,
            *[self._delete] * 4,
            *[self._rename] * 4,
            *[self._mkdir] * 2,
            self._chmod,
            self._touch,
            self._symlink,
            self._change_type,
            self._write_the_same,
        ]

    # -- acts ----------------------------------------------------------------------------------

    def act(self, machine: Machine) -> None:
        """Do something at random."""
        for _ in range(TRIES):
            kind, path = self.random.choice(self._kinds), self._path(machine)
            if self.do(machine, lambda volume, kind=kind, path=path: kind(volume, path)):  # type: ignore[misc]
                return

    def do(self, machine: Machine, work: Callable[[MemoryVolume], str | None]) -> bool:
        """Do this on the machine's volume, for the record; ``work`` says what it did. False if it cannot be done."""
        if machine.volume.is_gone:
            return False
        before = tree_of(machine.volume)
        try:
            done = work(machine.volume)
        except OSError:
            done = None
        after = tree_of(machine.volume)
        if done is None:
            assert before == after, "a user's act that failed has changed something"
            return False
        self.world.note(f"{machine.name} user {done}")
        self.ledger.note_act(machine, before, after)
        return True

    def _path(self, machine: Machine) -> Path:
        there = [path for path in tree_of(machine.volume) if b"~" in path or self.random.random() < 0.3]
        return self.random.choice([*self.paths, *there])

    def _content(self) -> bytes:
        self.writes += 1
        return b"write %d " % self.writes + self.random.randbytes(self.random.choice(self.sizes))

    # -- what they do --------------------------------------------------------------------------

    def _write(self, volume: MemoryVolume, path: Path) -> str | None:
        return self.write(volume, path, self._content())

    def write(self, volume: MemoryVolume, path: Path, content: bytes) -> str | None:
        """Write a file in place, and make the directories that it needs."""
        node = volume.look(path)
        if node is not None and node.is_directory:
            return None
        self._make_directories(volume, path)
        if node is not None and node.mode & 0o170000 == 0o120000:
            volume.delete(path)
        volume.write(path, content)
        return f"writes {path!r} {content[:12]!r}"

    def _make_directories(self, volume: MemoryVolume, path: Path) -> None:
        for directory in sorted(above(path)):
            if volume.look(directory) is None:
                volume.mkdir(directory)

    def _write_the_same(self, volume: MemoryVolume, path: Path) -> str | None:
        return self.write(volume, path, b"shared %d" % self.random.randrange(2))

    def _save(self, volume: MemoryVolume, path: Path) -> str | None:
        """As editors do: write beside, and rename over it."""
        node = volume.look(path)
        beside = path + b".new"
        if node is None or node.is_directory or volume.look(beside) is not None:
            return None
        volume.write(beside, self._content())
        volume.rename(beside, path)
        return f"saves {path!r} {volume.read(path)[:12]!r}"

    def _append(self, volume: MemoryVolume, path: Path) -> str | None:
        node = volume.look(path)
        if node is None or node.mode & 0o170000 != 0o100000:
            return None
        self.writes += 1
        volume.append(path, b"+%d" % self.writes)
        return f"appends +{self.writes} to {path!r}"

    def _delete(self, volume: MemoryVolume, path: Path) -> str | None:
        return self.delete(volume, path)

    def delete(self, volume: MemoryVolume, path: Path) -> str | None:
        """Delete a file, or a directory with all that is in it."""
        if path not in tree_of(volume):
            return None
        volume.delete(path)
        return f"deletes {path!r}"

    def _rename(self, volume: MemoryVolume, path: Path) -> str | None:
        things = [p for p in tree_of(volume) if p != path and not is_below(path, p)]
        return self.rename(volume, self.random.choice(things), path) if things else None

    def rename(self, volume: MemoryVolume, old: Path, new: Path) -> str | None:
        """Rename a file or a directory; onto a file only a leaf may go, onto a directory nothing."""
        node, there = volume.find(old), volume.look(new)
        directory = volume.look(parent(new))
        if directory is None or not directory.is_directory or is_below(new, old):
            return None
        if there is not None and (there.is_directory or node.is_directory):
            return None
        volume.rename(old, new)
        return f"renames {old!r} to {new!r}"

    def _mkdir(self, volume: MemoryVolume, path: Path) -> str | None:
        if volume.look(path) is not None:
            return None
        self._make_directories(volume, path)
        volume.mkdir(path)
        return f"makes {path!r}"

    def _chmod(self, volume: MemoryVolume, path: Path) -> str | None:
        mode = self.random.choice(MODES)
        node = volume.find(path)
        if node.mode & 0o170000 == 0o120000 or node.mode & 0o777 == mode:
            return None
        volume.chmod(path, mode)
        return f"chmods {path!r} {mode:o}"

    def _touch(self, volume: MemoryVolume, path: Path) -> str | None:
        if volume.find(path).mode & 0o170000 != 0o100000:
            return None
        volume.touch(path, volume.now_ns() - self.random.choice([0, 10**9, 10**12]))
        return f"touches {path!r}"

    def _symlink(self, volume: MemoryVolume, path: Path) -> str | None:
        node = volume.look(path)
        if node is not None and node.is_directory:
            return None
        self._make_directories(volume, path)
        self.writes += 1
        volume.symlink(path, b"target %d" % self.writes)
        return f"links {path!r} to target {self.writes}"

    def _change_type(self, volume: MemoryVolume, path: Path) -> str | None:
        node = volume.find(path)
        deleted = self.delete(volume, path)
        assert deleted is not None
        if node.is_directory:
            made = self.write(volume, path, self._content())
        else:
            made = self._mkdir(volume, path)
        assert made is not None
        return f"{deleted} and {made}"

    # -- files that stay open ------------------------------------------------------------------

    def open_writer(self, machine: Machine) -> bool:
        """Open some file for writing."""
        files = [path for path, thing in tree_of(machine.volume).items() if thing.content is not None]
        files = [path for path in files if machine.volume.find(path).mode & 0o170000 == 0o100000]
        if machine.volume.is_gone or not files:
            return False
        path = self.random.choice(files)
        self.world.note(f"{machine.name} user opens {path!r}")
        self.writers.append((machine, machine.volume.open_writer(path)))
        return True

    def write_on(self) -> None:
        """Whoever has a file open writes something, wherever that file is by now; if it is nowhere nobody is told."""
        for machine, writer in self.writers:
            self.writes += 1
            piece = b"+%d" % self.writes

            def append(volume: MemoryVolume, writer: Writer = writer, piece: bytes = piece) -> str:
                writer.write(piece)
                return f"writes on in {volume.paths_of(writer.node)} {piece!r}"

            self.do(machine, append)

    def close_writers(self) -> None:
        """Everybody is done."""
        for _, writer in self.writers:
            writer.close()
        self.writers.clear()
