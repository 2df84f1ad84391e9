"""The index of one volume: what its entries are and what its disk last showed, in SQLite.

The only package that imports sqlite3. One process opens an index, one thread at a time uses it.
"""

from __future__ import annotations

from syncagent.index.errors import IndexCorrupt, IndexLocked, IndexTooNew
from syncagent.index.index import Index

__all__ = ["Index", "IndexCorrupt", "IndexLocked", "IndexTooNew"]
