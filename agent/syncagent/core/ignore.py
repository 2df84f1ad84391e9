"""Which paths are left out: some by their name, the rest by ``.syncignore`` at the root.

The file is in gitignore's syntax, is replicated itself, and rules all replicas.
"""

from __future__ import annotations

import re

from pathspec import GitIgnoreSpec

from syncagent.core.conflict import copied_from
from syncproto.model import Path
from syncproto.paths import RESERVED_NAME, above, name

IGNORE_FILE = b".syncignore"


class IgnoreRules:
    """The rules of one volume. A path below an ignored directory is ignored."""

    def __init__(self, text: bytes | None = None) -> None:
        """Parse the file's content; a line that is no pattern is noted in ``faults`` and has no effect."""
        self.text = text or b""
        self.faults: list[str] = []
        lines = []
        for number, raw in enumerate(self.text.decode("utf-8", "surrogateescape").splitlines(), 1):
            try:
                GitIgnoreSpec.from_lines([raw])
            except (ValueError, re.error) as error:
                self.faults.append(f"line {number} of .syncignore is no gitignore pattern: {error}")
            else:
                lines.append(raw)
        self._spec = GitIgnoreSpec.from_lines(lines)
        self._is_empty = not any(pattern.include is not None for pattern in self._spec.patterns)
        self._directories: dict[Path, bool] = {}

    def ignores(self, path: Path, *, is_directory: bool = False) -> bool:
        """Whether ``path`` is left out. The rules themselves never are; a conflict copy is if its original is.

        A copy whose name alone is ignored would be made nowhere, and what lost would be gone.
        """
        if self._is_empty:
            return False
        while (original := copied_from(path)[0]) != path and name(original):
            path = original
        if path == IGNORE_FILE:
            return False
        if any(self._ignores_directory(directory) for directory in above(path)):
            return True
        return self._matches(path + b"/" if is_directory else path)

    def _ignores_directory(self, path: Path) -> bool:
        known = self._directories.get(path)
        if known is None:
            if len(self._directories) > 10_000:
                self._directories.clear()
            known = self._directories[path] = self._matches(path + b"/")
        return known

    def _matches(self, path: bytes) -> bool:
        return bool(self._spec.match_file(path.decode("utf-8", "surrogateescape")))


def why_left_out(path: Path) -> str | None:
    """The reason why a path is never replicated because of its own name, whatever stands there; None for all others."""
    last = name(path)
    if path == RESERVED_NAME:
        return "it is the agent's own"
    if path == b"lost+found":
        return "lost+found belongs to the file system"
    if last == b".snapshot":
        return ".snapshot belongs to the file server"
    if last.startswith(b".nfs"):
        return "an NFS client keeps a deleted file under this name"
    return None


def why_beyond(path: Path) -> str | None:
    """The same, of its own name or that of a directory above it."""
    return next((reason for each in (*above(path), path) if (reason := why_left_out(each))), None)
