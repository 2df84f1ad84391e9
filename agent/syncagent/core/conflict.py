"""Where a conflict copy goes: names that are a pure function of the loser.

``report.txt`` lost as (laptop.3f9a2c1d, 17) becomes ``report~laptop.3f9a2c1d-17.txt``, and if that name is taken
``report~laptop.3f9a2c1d-17~2.txt``: replicas that preserve the same loser at once create the same file.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from itertools import count

import blake3

from syncproto import limits, paths
from syncproto.model import Entry, Path

EXTENSION_BYTES_MAX = 17
"""With its dot. What is longer is no extension, but a part of the name."""

DISPLACED = b"~displaced-%d"
"""Ends the name of a file that was written to after it was replaced: a conflict copy too, but of no known dot."""
_DISPLACED = re.compile(rb".*~displaced-\d+", re.DOTALL)

_PLAIN = frozenset(string.ascii_letters + string.digits + "._-")


def conflict_paths(loser: Entry) -> Iterator[Path]:
    """The series of paths for a copy of ``loser``, without end; each is one that may travel.

    The copy stays in the directory of the loser, unless that is so deep that no name fits: then it goes to the nearest
    directory above in which one does.
    """
    yield _conflict_path(loser, b"")
    for number in count(2):
        yield _conflict_path(loser, b"~%d" % number)


def _conflict_path(loser: Entry, number: bytes) -> Path:
    directory, name = paths.parent(loser.path), paths.name(loser.path)
    stem, extension = _split(name)
    origin = "".join(letter if letter in _PLAIN else "_" for letter in loser.origin)
    label = f"~{origin}-{loser.counter}".encode()
    tail = label + number + extension
    if origin == loser.origin and len(stem) + len(tail) <= _room(directory):
        return _inside(directory, stem + tail)
    tail = label + b"~" + _fingerprint(loser) + number + extension
    while _room(directory) <= len(tail):
        directory = paths.parent(directory)
    return _inside(directory, _cut(stem, _room(directory) - len(tail)) + tail)


def _split(name: bytes) -> tuple[bytes, bytes]:
    """The name and its extension with the dot, if it has one by which an application would know the file."""
    stem, dot, extension = name.rpartition(b".")
    if not stem.strip(b".") or not extension.isalnum() or len(dot + extension) > EXTENSION_BYTES_MAX:
        return name, b""
    return stem, dot + extension


def _room(directory: Path) -> int:
    """How many bytes a name in ``directory`` may have."""
    above = len(directory) + 1 if directory else 0
    return min(limits.NAME_BYTES_MAX, limits.PATH_BYTES_MAX - above)


def _inside(directory: Path, name: bytes) -> Path:
    return directory + b"/" + name if directory else name


def _cut(stem: bytes, size: int) -> bytes:
    """At most ``size`` bytes of ``stem``, never ending inside a UTF-8 character."""
    if len(stem) <= size:
        return stem
    while size > 0 and stem[size] & 0xC0 == 0x80:
        size -= 1
    return stem[:size]


def _fingerprint(loser: Entry) -> bytes:
    """20 hexadecimal digits that tell losers apart whose names no longer do."""
    digest = blake3.blake3(derive_key_context="syncagent 2026 conflict name")
    digest.update(f"{loser.origin}\0{loser.counter}\0".encode() + loser.path)
    return digest.hexdigest(length=10).encode()


_COPY = re.compile(rb"(?P<stem>.*)~(?P<origin>[^~]+)-\d+(?:~\d+)?(?P<extension>\.[A-Za-z0-9]{1,16})?", re.DOTALL)


def copied_from(path: Path) -> tuple[Path, str]:
    """Whose copy a conflict copy's name says it is: the path, and the origin that wrote the content.

    As far as the name tells: a shortened one gives a shortened path; no name of a copy gives itself, and no origin.
    """
    directory, slash, name = path.rpartition(b"/")
    found = _COPY.fullmatch(name)
    if found is None:
        return path, ""
    original = directory + slash + found["stem"] + (found["extension"] or b"")
    return original, found["origin"].decode("ascii", "replace")


def ordinary_paths(copy: Path) -> Iterator[Path]:
    """Names that tell no conflict copy, for one that stays: ``report-laptop.txt``, ``report-laptop-2.txt``, ..."""
    original, origin = copied_from(copy)
    directory, (stem, extension) = paths.parent(original), _split(paths.name(original))
    agent = (origin.rpartition(".")[0] or origin or "copy").encode()
    for number in count(1):
        tail = b"-" + agent + (b"-%d" % number if number > 1 else b"") + extension
        yield _inside(directory, _cut(stem, _room(directory) - len(tail)) + tail)


def is_displaced(path: Path) -> bool:
    """Whether the name says that this was written to after it was replaced."""
    return _DISPLACED.fullmatch(paths.name(path)) is not None
