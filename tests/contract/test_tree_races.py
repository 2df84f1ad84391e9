"""The tree and the scanner while other programs work on the same directories, and while the agent is killed."""

from __future__ import annotations

import mmap
import os
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path as FilePath
from tempfile import TemporaryDirectory

import blake3
import pytest

from contract.tree_steps import OURS, OURS_TO_ENTER, place
from contract.volume_harness import RealVolume
from syncagent.core.chunking import digest_of
from syncagent.core.plan import Keep, MakeDirectory, MakeSymlink, Move, Place, Remove, SetAttributes, StatKey, Step
from syncagent.disk import syscalls
from syncagent.disk.syscalls import rename_exchange
from syncagent.ports import Absent, Applied, Busy, Observation, Outcome, ScanProblem, Stale
from syncagent.scanner import VolumeScanner
from syncagent.tree import VolumeTree
from syncproto.model import Attributes, Kind, Path

TRIES = 3000


@pytest.fixture
def volume(tmp_path: FilePath) -> Iterator[RealVolume]:
    """Where possible on a file system that is quick: the more happens in a test, the better."""
    with TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else tmp_path) as directory:
        made = RealVolume(os.fsencode(directory))
        yield made
        made.close()


@contextmanager
def another_program(work: Callable[[], None]) -> Iterator[None]:
    """Does ``work`` over and over in a process of its own."""
    child = os.fork()
    if child == 0:
        try:
            while True:
                work()
        finally:
            os._exit(1)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def stat_of(scanner: VolumeScanner, path: Path) -> StatKey | None:
    finding = scanner.examine(path, None)
    return finding.stat if isinstance(finding, Observation) else None


# -- nothing outside is touched or read --------------------------------------------------------------


def snapshot(directory: bytes) -> list[tuple[bytes, os.stat_result, bytes]]:
    found = []
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        st = os.lstat(path)
        with open(path, "rb") as file:
            found.append((name, st, file.read()))
    return found


def test_a_directory_that_is_swapped_for_a_link_leads_nowhere(volume: RealVolume) -> None:
    scanner, tree = volume.open()
    outside = volume.path + b".outside"
    os.mkdir(outside)
    for name in (b"f", b"g", b"secret"):
        with open(os.path.join(outside, name), "wb") as file:
            file.write(b"outside " + name)
    volume.mkdir(b"d")
    volume.write(b"d/f", b"f")
    volume.write(b"d/secret", b"inside")
    volume.symlink(b"swap", outside)
    before, root = snapshot(outside), os.open(volume.path, os.O_RDONLY)
    outcomes: list[Outcome] = []
    seen: set[bytes | None] = set()
    expect = stat_of(scanner, b"d/f")
    with another_program(lambda: rename_exchange(root, b"d", root, b"swap")):
        for number in range(TRIES):
            outcomes += _one_try(tree, number, expect)
            expect = stat_of(scanner, b"d/f") or expect
            finding = scanner.examine(b"d/secret", None)
            assert isinstance(finding, Observation | Absent | ScanProblem), finding
            seen.add(finding.content if isinstance(finding, Observation) else None)
    os.close(root)
    after = snapshot(outside)
    assert [(n, s[:2] + s[3:7] + s[8:], c) for n, s, c in after] == [
        (n, s[:2] + s[3:7] + s[8:], c) for n, s, c in before
    ]
    assert seen <= {blake3.blake3(b"inside").digest(), None}
    assert sum(isinstance(outcome, Applied) for outcome in outcomes) > 20


def _one_try(tree: VolumeTree, number: int, expect: StatKey | None) -> list[Outcome]:
    match number % 7:
        case 0:
            return tree.apply([place(tree, b"d/f", b"%d" % number, expect)])
        case 1:
            return tree.apply([place(tree, b"d/new%d" % number, b"%d" % number)])
        case 2:
            return tree.apply([MakeDirectory(b"d/dir%d" % number, None, OURS_TO_ENTER, None)])
        case 3:
            wanted = Attributes(0o600 | number % 8, os.getuid(), os.getgid(), ((b"user.n", b"%d" % number),))
            return tree.apply([SetAttributes(b"d/f", expect, Kind.FILE, wanted, None)])
        case 4:
            return tree.apply([Keep(b"d/f", expect, b"d/kept%d" % number)])
        case 5:
            return tree.apply([Move(b"d/f", expect, b"moved"), Move(b"moved", expect, b"d/f")])
        case _:
            link = MakeSymlink(b"d/link%d" % number, None, b"t", OURS, 1)
            return [*tree.apply([link]), *tree.apply([Remove(b"d/f", expect, Kind.FILE)])]


def test_what_takes_the_place_in_the_last_instant_is_not_moved(
    volume: RealVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanner, tree = volume.open()
    volume.write(b"f", b"expected")
    expect = stat_of(scanner, b"f")

    def rename_a_moment_later(*names: int | bytes) -> None:
        monkeypatch.undo()
        volume.write(b"other", b"of another program")
        volume.rename(b"other", b"f")
        syscalls.rename_new(*names)  # type: ignore[arg-type]

    monkeypatch.setattr(syscalls, "rename_new", rename_a_moment_later)
    (outcome,) = tree.apply([Move(b"f", expect, b"moved")])
    assert isinstance(outcome, Stale) and volume.names() == [b"f"]
    assert volume.read(b"f") == b"of another program"


# -- no bytes are lost -------------------------------------------------------------------------------


def contents(directory: bytes) -> list[bytes]:
    found = []
    for above, _, names in os.walk(directory):
        for name in names:
            with open(os.path.join(above, name), "rb") as file:
                found.append(file.read())
    return found


def test_what_another_program_puts_there_is_never_lost(volume: RealVolume) -> None:
    """It exchanges files of its own with the one at the path, keeps what it gets, and now and then appends.

    Each of its contents must be with it, in the volume, or be one that was seen before it was replaced.
    """
    scanner, tree = volume.open()
    theirs = volume.path + b".theirs"
    os.mkdir(theirs)
    volume.write(b"f", b"first\n")
    number = 0

    def their_work() -> None:
        nonlocal number
        number += 1
        time.sleep(0.0001)
        if number % 3:
            with open(volume.at(b"f"), "ab") as file:
                os.fstat(file.fileno())  # a moment in which the file is open and not yet written to
                file.write(b"<%d>" % number)
        else:
            with open(theirs + b"/%d" % number, "wb") as file:
                file.write(b"<%d>" % number)
            rename_exchange(-100, theirs + b"/%d" % number, -100, volume.at(b"f"))

    replaced: list[bytes] = []
    with another_program(their_work):
        for step in range(TRIES):
            if len(replaced) == 300:
                break
            finding = scanner.examine(b"f", None)
            if isinstance(finding, Busy):
                continue
            assert isinstance(finding, Observation), finding
            content = tree.read(b"f", finding.stat, 0, finding.stat.size)
            outcome = tree.apply([place(tree, b"f", b"ours %d\n" % step, finding.stat)])[-1]
            if isinstance(outcome, Applied) and content is not None:
                replaced.append(content)
            if step % 50 == 0:
                tree.flush()
    tree.flush()
    tree.close()
    volume._opened.remove(tree)
    everything = b"".join([*contents(volume.path), *contents(theirs), *replaced])
    found = {int(token) for token in re.findall(rb"<(\d+)>", everything)}
    missing = set(range(1, max(found))) - found
    assert not missing and max(found) > 50 and replaced, (missing, max(found), len(replaced))


MAPPED_BYTES = 512 * 1024


def generation(first: int, last: int) -> bytes:
    """A file with a number at either end."""
    return first.to_bytes(8, "big") + bytes(MAPPED_BYTES - 16) + last.to_bytes(8, "big")


def mapped_writer(path: bytes, pause_seconds: float) -> Callable[[], None]:
    """Counts up the number at the start, then that at the end, through a mapping: no time stamp tells of it."""
    with open(path, "r+b") as file:
        mapping = mmap.mmap(file.fileno(), MAPPED_BYTES)
    number = 0

    def work() -> None:
        nonlocal number
        number += 1
        mapping[:8] = number.to_bytes(8, "big")
        mapping[-8:] = number.to_bytes(8, "big")
        time.sleep(pause_seconds)

    return work


def test_what_is_found_is_what_a_file_held_at_one_instant(volume: RealVolume) -> None:
    scanner, _ = volume.open()
    volume.write(b"f", generation(0, 0))
    with another_program(mapped_writer(volume.at(b"f"), 0.01)):
        findings = [scanner.examine(b"f", None) for _ in range(300)]
    found = {finding.content for finding in findings if isinstance(finding, Observation)}
    numbers = range(int.from_bytes(volume.read(b"f")[:8], "big") + 1)
    whole = {digest_of(generation(first, last)) for last in numbers for first in (last, last + 1)}
    assert found and found <= whole


def test_a_file_that_never_rests_is_busy(volume: RealVolume) -> None:
    scanner, _ = volume.open()
    volume.write(b"f", generation(0, 0))
    with another_program(mapped_writer(volume.at(b"f"), 0)):
        assert any(isinstance(scanner.examine(b"f", None), Busy) for _ in range(20))


# -- killed at any moment ----------------------------------------------------------------------------


def _endless_work(volume: RealVolume) -> None:
    scanner, tree = VolumeScanner(volume.path), VolumeTree(volume.path)
    number = 0
    while True:
        number += 1
        mode = 0o640 if number % 2 else 0o600
        wanted = Attributes(mode, os.getuid(), os.getgid(), ((b"user.generation", b"%d" % (number % 2)),))
        data = b"odd" if number % 2 else b"even"
        step = place(tree, b"f", data, stat_of(scanner, b"f"))
        steps: list[Step] = [
            Place(b"f", step.expect, step.digest, step.size, wanted, 1),
            MakeSymlink(b"l", stat_of(scanner, b"l"), data, OURS, 1),
        ]
        there = stat_of(scanner, b"d")
        if there is None:
            tree.apply([*steps, MakeDirectory(b"d", None, Attributes(0o750, os.getuid(), os.getgid()), None)])
        else:
            tree.apply([*steps, Remove(b"d", there, Kind.DIRECTORY)])
        tree.flush()


def test_a_kill_at_any_moment_leaves_the_old_or_the_new(volume: RealVolume) -> None:
    dice = random.Random(7)
    volume.write(b"f", b"even")
    volume.chmod(b"f", 0o600)
    volume.set_xattr(b"f", b"user.generation", b"0")
    for _ in range(25):
        with another_program(lambda: _endless_work(volume)):
            time.sleep(dice.uniform(0.005, 0.05))
        _, tree = volume.open()
        tree.unstage(None)
        found = {path: (content, attributes) for path, _, content, attributes in volume.walk()}
        assert set(found) <= {b"f", b"l", b"d"} and b".syncagent" not in volume.names()
        content, held = found[b"f"]
        generation = {b"odd": (0o640, b"1"), b"even": (0o600, b"0")}[content or b""]
        assert (held.mode, held.xattrs) == (generation[0], ((b"user.generation", generation[1]),))
        assert found.get(b"l", (b"odd", OURS))[0] in (b"odd", b"even")
        assert b"d" not in found or found[b"d"][1].mode == 0o750
