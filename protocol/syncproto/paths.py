"""Which names may travel: checked on receipt and again when they touch a disk."""

from __future__ import annotations

from syncproto import limits
from syncproto.model import Path

RESERVED_NAME = b".syncagent"
"""The agent's own directory at a volume's root: never replicated."""


def why_not_canonical(path: Path) -> str | None:
    """The reason why ``path`` is no canonical relative path of a volume, or None if it is one."""
    if not path:
        return "it is empty"
    if len(path) > limits.PATH_BYTES_MAX:
        return f"it is longer than {limits.PATH_BYTES_MAX} bytes"
    if b"\0" in path:
        return "it has a NUL byte"
    parts = path.split(b"/")
    if any(part in (b"", b".", b"..") for part in parts):
        return "it has an empty, '.' or '..' component"
    if any(len(part) > limits.NAME_BYTES_MAX for part in parts):
        return f"it has a component longer than {limits.NAME_BYTES_MAX} bytes"
    if parts[0] == RESERVED_NAME:
        return f"{RESERVED_NAME.decode()} is reserved"
    return None


def parent(path: Path) -> Path:
    """The directory that holds ``path``; b'' for the root."""
    return path.rpartition(b"/")[0]


def name(path: Path) -> bytes:
    """The last component."""
    return path.rpartition(b"/")[2]


def above(path: Path) -> list[Path]:
    """Every directory above ``path``, from the top, without the root."""
    parts = path.split(b"/")
    return [b"/".join(parts[:depth]) for depth in range(1, len(parts))]


def is_below(path: Path, directory: Path) -> bool:
    """Whether ``path`` is strictly inside ``directory``; everything is inside the root b''."""
    return not directory or path.startswith(directory + b"/")
