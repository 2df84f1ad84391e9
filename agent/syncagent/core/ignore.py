"""Which paths are left out: ``.syncignore`` at the root, in gitignore's syntax, rules all replicas."""

from __future__ import annotations

from pathspec import GitIgnoreSpec

from syncproto.model import Path
from syncproto.paths import above

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
            except ValueError as error:
                self.faults.append(f"line {number} of .syncignore is no gitignore pattern: {error}")
            else:
                lines.append(raw)
        self._spec = GitIgnoreSpec.from_lines(lines)
        self._is_empty = not any(pattern.include is not None for pattern in self._spec.patterns)
        self._directories: dict[Path, bool] = {}

    def ignores(self, path: Path, *, is_directory: bool = False) -> bool:
        """Whether ``path`` is left out. The rules themselves never are."""
        if self._is_empty or path == IGNORE_FILE:
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
