"""What can be wrong with an index as a whole; all are ``IndexFailed``, which callers may catch."""

from __future__ import annotations

from syncagent.ports import IndexFailed


class IndexCorrupt(IndexFailed):
    """The file is damaged. Opening it again moves it aside and starts a new index."""

    moved_to = ""
    """Where it was moved; empty while it is where it was."""


class IndexLocked(IndexFailed):
    """Another process uses the index."""


class IndexTooNew(IndexFailed):
    """The file has a schema that a later version of the program wrote."""
