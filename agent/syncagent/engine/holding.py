"""The brake at the receiver: a mass of deletes that peers made is held here too, until a person releases it."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from syncagent.core.brake import Brake
from syncagent.engine.context import SAME_CONTENT_MAX, Context
from syncproto.model import Entry, Kind
from syncproto.version import Dot, Vector, covers

log = logging.getLogger("syncagent.engine")


class Holding:
    """Which pending deletes may pass."""

    def __init__(self, context: Context, brake: Brake) -> None:
        self._context = context
        self._brake = brake
        self._judged: set[Dot] = set()
        self._released_up_to: Vector = {}
        self.held: set[Dot] = set()

    def forget(self, dot: Dot) -> None:
        """The entry is resolved."""
        self._judged.discard(dot)
        self.held.discard(dot)

    def release_up_to(self, released: Vector) -> list[Dot]:
        """A person released deletes, here or elsewhere: those at or below the vector pass; gives those held so far."""
        self._released_up_to = released
        freed = [dot for dot in self.held if covers(released, dot)]
        self.held.difference_update(freed)
        return freed

    def judge(self, dots: Iterable[Dot]) -> None:
        """Judge together the deletes among these that were not judged yet."""
        context = self._context
        fresh = [dot for dot in dots if dot not in self._judged]
        if not fresh:
            return
        self._judged.update(fresh)
        entries = [e for dot in fresh if (e := context.index.pending_entry(dot)) is not None]
        deletes = [e.dot for e in entries if not covers(self._released_up_to, e.dot) and self._removes_something(e)]
        if self._brake.allows(len(deletes), context.index.live_count, context.now):
            self._brake.record(len(deletes), context.now)
        else:
            self.held.update(deletes)
            log.warning("volume %s: %d deletes from peers are held", context.options.name, len(deletes))

    def _removes_something(self, tombstone: Entry) -> bool:
        """Whether the delete takes away what is here, and is no half of a rename."""
        index = self._context.index
        here = index.entry(tombstone.path)
        if here is None or not here.is_live or not tombstone.has_seen(here):
            return False
        if here.kind != Kind.FILE or here.content is None:
            return True
        candidates = [row.entry for row in index.by_content(here.content, SAME_CONTENT_MAX)]
        candidates += index.pending_with_content(here.content, SAME_CONTENT_MAX)
        return not any(e.path != here.path and covers(dict(e.carried), here.dot) for e in candidates)
