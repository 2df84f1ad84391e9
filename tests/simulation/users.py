"""What users do, by name and with plain arguments, on any replica, at any moment. What cannot be done is not done.

A path ``b"~2"`` stands for the third of the conflict copies that are there, ``b"?2"`` for the third of all paths.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from simulation.ledger import Ledger, tree_of
from simulation.machine import Machine
from simulation.world import World
from syncagent.core.ignore import IGNORE_FILE
from syncagent.disk.stat import kind_of
from syncproto.model import Kind, Path
from syncproto.paths import above, is_below, name, parent
from twins.disk import MemoryVolume, Writer

COPY_PREFIX, ANY_PREFIX = b"~", b"?"


def content_of(number: int, size: int) -> bytes:
    """What the write of this number writes: like no other."""
    return b"write %d " % number + Random(number).randbytes(size)


class Users:
    """Does what a history says users do, and has the ledger note what each saw and did."""

    def __init__(self, world: World, ledger: Ledger) -> None:
        self.world, self.ledger = world, ledger
        self.writers: list[tuple[Machine, Writer]] = []
        self.about_to_act: Callable[[Machine], None] = lambda machine: None
        self.has_acted: Callable[[Machine], None] = lambda machine: None

    def act(self, machine: Machine, what: str, args: tuple[Any, ...]) -> bool:
        """Do what is called so, if it can be done."""
        paths = [_resolve(machine.volume, arg) if isinstance(arg, bytes) else arg for arg in args]
        if None in paths:
            return False
        return self.do(machine, lambda volume: ACTS[what](self, volume, *paths), what)

    def do(self, machine: Machine, work: Callable[[MemoryVolume], str | None], what: str = "") -> bool:
        """Do this on the machine's volume, for the record; ``work`` says what it did. False if it cannot be done."""
        if not machine.volume.is_writable:
            return False
        self.about_to_act(machine)
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
        self.world.count(f"user: {what}")
        self.ledger.note_act(machine, before, after, what)
        self.has_acted(machine)
        return True

    # -- contents ------------------------------------------------------------------------------

    def write(self, volume: MemoryVolume, path: Path, content: bytes) -> str | None:
        """Write a file in place, and make the directories that it needs."""
        node = volume.look(path)
        if node is not None and kind_of(node.mode) not in (Kind.FILE, Kind.SYMLINK):
            return None
        self._make_directories(volume, path)
        if node is not None and kind_of(node.mode) == Kind.SYMLINK:
            volume.delete(path)
        volume.write(path, content)
        return f"writes {path!r} {content[:12]!r}"

    def _write(self, volume: MemoryVolume, path: Path, number: int, size: int) -> str | None:
        return self.write(volume, path, content_of(number, size))

    def _write_the_same(self, volume: MemoryVolume, path: Path, number: int) -> str | None:
        return self.write(volume, path, b"shared %d" % number)

    def _save(self, volume: MemoryVolume, path: Path, number: int, size: int) -> str | None:
        """As editors do: write beside, and rename over it."""
        node = volume.look(path)
        beside = path + b".new"
        if node is None or kind_of(node.mode) != Kind.FILE or volume.look(beside) is not None:
            return None
        volume.write(beside, content_of(number, size))
        volume.rename(beside, path)
        return f"saves {path!r} {volume.read(path)[:12]!r}"

    def _append(self, volume: MemoryVolume, path: Path, number: int) -> str | None:
        node = volume.look(path)
        if node is None or kind_of(node.mode) != Kind.FILE:
            return None
        volume.append(path, b"+%d" % number)
        return f"appends +{number} to {path!r}"

    def _symlink(self, volume: MemoryVolume, path: Path, number: int) -> str | None:
        node = volume.look(path)
        if node is not None and kind_of(node.mode) not in (Kind.FILE, Kind.SYMLINK):
            return None
        self._make_directories(volume, path)
        volume.symlink(path, b"target %d" % number)
        return f"links {path!r} to target {number}"

    def _ignore(self, volume: MemoryVolume, *patterns: bytes) -> str | None:
        """Rewrite the rules."""
        return self.write(volume, IGNORE_FILE, b"\n".join(patterns))

    # -- names ---------------------------------------------------------------------------------

    def _make_directories(self, volume: MemoryVolume, path: Path) -> None:
        missing = [directory for directory in sorted(above(path)) if volume.look(directory) is None]
        first = missing[0] if missing else path
        volume.find_directory(parent(first))  # raises before anything is done
        for directory in missing:
            volume.mkdir(directory)

    def delete(self, volume: MemoryVolume, path: Path) -> str | None:
        """Delete a file, or a directory with all that is in it."""
        if path not in tree_of(volume):
            return None
        volume.delete(path)
        return f"deletes {path!r}"

    def _delete_all(self, volume: MemoryVolume, share: int) -> str | None:
        """Delete at least so many percent of what there is."""
        everything = list(tree_of(volume))
        doomed = everything[: -(-len(everything) * share // 100)]
        for path in doomed:
            if volume.look(path) is not None:
                volume.delete(path)
        return f"deletes {len(doomed)} of {len(everything)}" if doomed else None

    def rename(self, volume: MemoryVolume, old: Path, new: Path) -> str | None:
        """Rename a file or a directory; onto a file only a leaf may go, onto a directory nothing."""
        node, there = volume.look(old), volume.look(new)
        directory = volume.look(parent(new))
        if node is None or directory is None or not directory.is_directory or new == old or is_below(new, old):
            return None
        if there is not None and (there.is_directory or node.is_directory or kind_of(there.mode) is None):
            return None
        volume.rename(old, new)
        return f"renames {old!r} to {new!r}"

    def _swap(self, volume: MemoryVolume, one: Path, other: Path) -> str | None:
        """Exchange two names."""
        is_possible = all(volume.look(path) is not None for path in (one, other)) and one != other
        if not is_possible or is_below(one, other) or is_below(other, one):
            return None
        volume.exchange(one, other)
        return f"swaps {one!r} and {other!r}"

    def _mkdir(self, volume: MemoryVolume, path: Path) -> str | None:
        if volume.look(path) is not None:
            return None
        self._make_directories(volume, path)
        volume.mkdir(path)
        return f"makes {path!r}"

    def _change_type(self, volume: MemoryVolume, path: Path, number: int, size: int) -> str | None:
        node = volume.find(path)
        if (deleted := self.delete(volume, path)) is None:
            return None
        if node.is_directory:
            return f"{deleted} and {self._write(volume, path, number, size)}"
        return f"{deleted} and {self._mkdir(volume, path)}"

    def _fifo(self, volume: MemoryVolume, path: Path) -> str | None:
        """What is not replicated stands in the way."""
        if volume.look(path) is not None:
            return None
        volume.fifo(path)
        return f"makes the FIFO {path!r}"

    def remove_strangers(self, volume: MemoryVolume) -> str | None:
        """Remove what is not replicated."""
        strangers = list(_strangers(volume, b""))
        for path in strangers:
            volume.delete(path)
        return f"removes {strangers}" if strangers else None

    # -- attributes ----------------------------------------------------------------------------

    def _chmod(self, volume: MemoryVolume, path: Path, mode: int) -> str | None:
        node = volume.find(path)
        if kind_of(node.mode) in (None, Kind.SYMLINK) or node.mode & 0o777 == mode:
            return None
        volume.chmod(path, mode)
        return f"chmods {path!r} {mode:o}"

    def _chown(self, volume: MemoryVolume, path: Path, uid: int, gid: int) -> str | None:
        node = volume.find(path)
        if kind_of(node.mode) is None or (node.uid, node.gid) == (uid, gid):
            return None
        volume.chown(path, uid, gid)
        return f"chowns {path!r} {uid}:{gid}"

    def _set_xattr(self, volume: MemoryVolume, path: Path, value: int) -> str | None:
        node = volume.find(path)
        if kind_of(node.mode) in (None, Kind.SYMLINK):
            return None
        volume.set_xattr(path, b"user.note", b"%d" % value)
        return f"sets an attribute of {path!r} to {value}"

    def _touch(self, volume: MemoryVolume, path: Path, seconds: int) -> str | None:
        if kind_of(volume.find(path).mode) != Kind.FILE:
            return None
        volume.touch(path, volume.now_ns() - seconds * 10**9)
        return f"touches {path!r}"

    # -- files that stay open ------------------------------------------------------------------

    def open_writer(self, machine: Machine, path: Path) -> Writer | None:
        """Open a file for writing."""
        resolved = None if machine.volume.is_gone else _resolve(machine.volume, path)
        node = None if resolved is None else machine.volume.look(resolved)
        if resolved is None or node is None or kind_of(node.mode) != Kind.FILE:
            return None
        self.world.note(f"{machine.name} user opens {resolved!r}")
        writer = machine.volume.open_writer(resolved)
        self.writers.append((machine, writer))
        return writer

    def write_on(self, machine: Machine, writer: Writer, piece: bytes) -> None:
        """Write into an open file, wherever that file is by now; if it is nowhere nobody is told."""

        def append(volume: MemoryVolume) -> str:
            writer.write(piece)
            return f"writes on in {volume.paths_of(writer.node)} {piece!r}"

        if any(each is writer for _, each in self.writers):
            self.do(machine, append, "write on")

    def close_writers(self, *of: Writer) -> None:
        """These are done, or everybody."""
        for each in [(machine, writer) for machine, writer in self.writers if not of or writer in of]:
            self.writers.remove(each)
            each[1].close()


def _resolve(volume: MemoryVolume, path: Path) -> Path | None:
    if not path.startswith((COPY_PREFIX, ANY_PREFIX)):
        return path
    there = [each for each in tree_of(volume) if each != IGNORE_FILE]
    if path.startswith(COPY_PREFIX):
        there = [each for each in there if COPY_PREFIX in name(each)]
    return there[int(path[1:]) % len(there)] if there else None


def _strangers(volume: MemoryVolume, directory: Path) -> list[Path]:
    found: list[Path] = []
    for child, node in sorted(volume.find(directory).children.items()):
        path = directory + b"/" + child if directory else child
        if node.is_directory:
            found += _strangers(volume, path)
        elif kind_of(node.mode) is None:
            found.append(path)
    return found


ACTS: dict[str, Callable[..., str | None]] = {
    "write": Users._write,
    "write the same": Users._write_the_same,
    "save": Users._save,
    "append": Users._append,
    "symlink": Users._symlink,
    "ignore": Users._ignore,
    "delete": Users.delete,
    "delete all": Users._delete_all,
    "rename": Users.rename,
    "swap": Users._swap,
    "mkdir": Users._mkdir,
    "change type": Users._change_type,
    "fifo": Users._fifo,
    "remove strangers": Users.remove_strangers,
    "chmod": Users._chmod,
    "chown": Users._chown,
    "set xattr": Users._set_xattr,
    "touch": Users._touch,
}
