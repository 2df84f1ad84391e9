"""The commit order, read from the system calls of a real agent that applies what its peer did.

Content flushed, then renamed; directories flushed, then the index; and only then is anything acknowledged.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from process.cluster import Cluster, Node, eventually

pytestmark = pytest.mark.strace

CALLS = "openat,openat2,write,pwrite64,copy_file_range,ftruncate,fsync,fdatasync,syncfs,rename,renameat,renameat2"
WRITES = {"write", "pwrite64", "copy_file_range", "ftruncate"}
FLUSHES = {"fsync", "fdatasync"}
RENAMES = {"rename", "renameat", "renameat2"}
_LINE = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>(.*)|(\w+)\((.*))")
_FD = re.compile(r"\d+<([^>]*)>")
_PLACE = re.compile(r'\d+<([^>]*)>, "([^"]*)"')
_CONTENT = re.compile(r"/\.syncagent/staging/([0-9a-f]{64})(\.part)?$")


@dataclass(frozen=True, slots=True)
class Call:
    """A system call: where it began and where it had ended, in lines of the trace; ``paths`` of its descriptors."""

    name: str
    begun: int
    ended: int
    paths: list[str]
    places: list[str]
    """Directory and name, joined, for calls that take such pairs."""


def calls_in(trace: str) -> list[Call]:
    """All that succeeded, by their end."""
    begun: dict[str, tuple[int, str]] = {}
    found = []
    for number, line in enumerate(trace.splitlines()):
        match = _LINE.match(line)
        if match is None:
            continue
        thread, resumed, rest, name, text = match.groups()
        if resumed is None and text.endswith("<unfinished ...>"):
            begun[thread] = number, text
            continue
        first, text = (number, text) if resumed is None else _joined(begun.pop(thread, (number, "")), rest)
        if " = -1 " not in text:
            places = [f"{directory}/{last}" for directory, last in _PLACE.findall(text)]
            found.append(Call(name or resumed, first, number, _FD.findall(text), places))
    return found


def _joined(start: tuple[int, str], rest: str) -> tuple[int, str]:
    return start[0], start[1] + rest


@contextmanager
def traced(node: Node, trace: Path) -> Iterator[None]:
    """Record what the running agent does, as long as the block lasts."""
    assert node.process is not None
    command = [
        "strace",
        "-f",
        "-y",
        "-s",
        "4096",
        "-e",
        f"trace={CALLS}",
        "-o",
        str(trace),
        "-p",
        str(node.process.pid),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as strace:
        assert strace.stderr is not None
        assert b"attached" in strace.stderr.readline()
        try:
            yield
        finally:
            strace.terminate()
            strace.communicate(timeout=20)


def work(volume: Path) -> None:
    """Few files, so that each is flushed by itself: new, replaced, big, below new directories, renamed, removed."""
    (volume / "new").mkdir()
    for number in range(5):
        (volume / "new" / f"f{number}").write_bytes(b"content %d" % number * 50)
    (volume / "old").write_bytes(b"replaced")
    (volume / "big").write_bytes(os.urandom(3 << 20))
    (volume / "name").rename(volume / "other-name")
    (volume / "gone").unlink()
    (volume / "link").symlink_to("old")


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    """What B does while it applies the work of A."""
    root = tmp_path_factory.mktemp("order")
    with Cluster(root, "ab") as cluster:
        a, b = cluster["a"], cluster["b"]
        for name in ("old", "name", "gone"):
            (a.volume / name).write_bytes(name.encode())
        cluster.converge()
        with traced(b, root / "trace"):
            work(a.volume)
            eventually(lambda: not (b.volume / "gone").exists() and (b.volume / "big").exists())
            cluster.converge()
        found = calls_in((root / "trace").read_text())
    assert len([call for call in found if call.name in RENAMES]) >= 8
    return found


def volume_of(calls: list[Call]) -> str:
    staged = next(place for call in calls if call.name in RENAMES for place in call.places if _CONTENT.search(place))
    return staged.partition("/.syncagent/")[0]


def test_a_content_is_flushed_after_its_last_write_and_before_it_gets_its_name(calls: list[Call]) -> None:
    placed = 0
    for call in calls:
        if call.name not in RENAMES or not (content := _CONTENT.search(call.places[0])) or content.group(2):
            continue
        if _CONTENT.search(call.places[1]):
            continue  # still in the staging directory
        digest, placed = content.group(1), placed + 1
        flushes = [c for c in calls if c.ended < call.begun and _flushes(c, digest)]
        assert flushes, f"{call.places[1]} was never flushed"
        last = flushes[-1].begun
        late = [c for c in calls if last < c.ended < call.begun and c.name in WRITES and _is_of(c, digest)]
        assert not late, f"{call.places[1]} was written to after it had been flushed"
    assert placed >= 7


def _is_of(call: Call, digest: str) -> bool:
    return any(digest in path for path in call.paths[-1:])


def _flushes(call: Call, digest: str) -> bool:
    return call.name == "syncfs" or call.name in FLUSHES and _is_of(call, digest)


def test_directories_are_flushed_after_what_was_renamed_in_them_and_before_the_index(calls: list[Call]) -> None:
    volume, checked = volume_of(calls), 0
    commits = [call for call in calls if call.name in FLUSHES and call.paths[0].endswith("-wal")]
    assert commits
    for call in calls:
        if call.name not in RENAMES or call.places[1].startswith(f"{volume}/.syncagent"):
            continue
        directory, checked = call.places[1].rpartition("/")[0], checked + 1
        commit = next(each for each in commits if each.begun > call.ended)
        between = [c for c in calls if call.ended < c.begun and c.ended < commit.begun]
        flushed = {path for c in between if c.name in FLUSHES for path in c.paths}
        is_whole = any(c.name == "syncfs" for c in between)
        assert is_whole or directory in flushed, f"{call.places[1]}: its directory was not flushed before the index"
    assert checked >= 8


def test_a_removal_is_flushed_before_the_index(calls: list[Call]) -> None:
    volume = volume_of(calls)
    (removal,) = [c for c in calls if c.name in RENAMES and c.places[0] == f"{volume}/gone"]
    commit = next(c for c in calls if c.name in FLUSHES and c.paths[0].endswith("-wal") and c.begun > removal.ended)
    between = [c for c in calls if removal.ended < c.begun and c.ended < commit.begun]
    assert any(c.name == "syncfs" or c.name in FLUSHES and volume in c.paths for c in between)
