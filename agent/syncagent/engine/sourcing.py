"""Where the content of a pending file comes from: moved, copied from a file here, or fetched."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable

from syncagent.disk.errors import describe
from syncagent.engine.context import SAME_CONTENT_MAX, Context
from syncagent.engine.problems import printable
from syncproto import limits
from syncproto.model import Entry, Kind, Path
from syncproto.version import Dot, covers

RENAME_SECONDS = 0.25
COPIES_MAX = 64


class Sourcer:
    """Finds contents on this disk first."""

    def __init__(
        self,
        context: Context,
        *,
        want: Callable[[Entry], None],
        look_again: Callable[[Path, float], None],
        wake: Callable[[Iterable[Entry]], None],
        park_until: Callable[[Entry, float], None],
        park: Callable[[Entry, str], None],
    ) -> None:
        self._context = context
        self._want = want
        self._look_again = look_again
        self._wake = wake
        self._park_until = park_until
        self._park = park
        self._copying: set[bytes] = set()
        self._renamed: dict[Dot, float] = {}

    def forget(self, dot: Dot) -> None:
        """The entry is resolved."""
        self._renamed.pop(dot, None)

    def delete_of_a_rename(self, entry: Entry, held: Container[Dot]) -> Entry | None:
        """The pending delete of the name under which the content of ``entry`` is here: then the file is moved."""
        index = self._context.index
        here = index.entry(entry.path)
        if entry.kind != Kind.FILE or entry.content is None or (here is not None and here.is_live):
            return None
        for row in index.by_content(entry.content, SAME_CONTENT_MAX):
            if not covers(dict(entry.carried), row.entry.dot):
                continue
            for pending in index.pending_at(row.entry.path):
                if not pending.is_live and pending.has_seen(row.entry) and pending.dot not in held:
                    return pending
        return None

    def stage_or_want(self, needed: Entry, entry: Entry) -> None:
        """Stage a content from the file here that has it, else have it fetched."""
        context, digest = self._context, needed.content or b""
        rows = [row for row in context.index.by_content(digest, 1) if row.stat is not None]
        if not rows:
            self._want(needed if needed.dot == entry.dot else entry)
            return
        if digest in self._copying:
            return
        path, stat = rows[0].entry.path, rows[0].stat
        assert stat is not None
        if covers(dict(entry.carried), rows[0].entry.dot) and self._waits_for_its_delete(entry):
            return

        def failed() -> None:
            self._look_again(path, context.now)
            self._park(entry, f"its content could not be copied from {printable(path)}")

        self._copy(
            entry, needed, lambda count: context.tree.stage_copy(digest, path, stat, needed.sparse, count), failed
        )

    def stage_kept(self, entry: Entry) -> bool:
        """Stage the content of a pending file from the history, if it is kept there; False if it is not."""
        context, digest = self._context, entry.content or b""
        if digest in self._copying:
            return True
        kept = next(iter(context.index.kept_with_content(digest, 1)), None)
        if kept is None:
            return False

        def failed() -> None:
            context.index.unkeep(kept.number)  # it was written to, or is gone: ``recover`` tells which
            context.is_changed = True
            self._wake([entry])

        self._copy(entry, entry, lambda count: context.tree.stage_kept(digest, kept.kept, entry.sparse, count), failed)
        return True

    def _copy(self, entry: Entry, needed: Entry, stage: Callable[[int], bool], failed: Callable[[], None]) -> None:
        """Have a worker stage the content of ``needed``.

        A staged content is placed once: whoever else wants a small one gets a copy in the same go. One more than can be
        served is woken: it has the next copies made.
        """
        context, digest = self._context, needed.content or b""
        count_max = COPIES_MAX if needed.size <= limits.CHUNK_BYTES_MAX else 1
        count = max(1, len(context.index.pending_with_content(digest, count_max)))

        def done(result: object) -> None:
            self._copying.discard(digest)
            if result is True:
                self._wake([entry, *context.index.pending_with_content(digest, count_max + 1)])
            elif context.history.gives_way(result, needed.size * count):
                self._wake([entry])
            elif isinstance(result, OSError):
                self._park(entry, f"its content could not be copied, {describe(result)}")
            else:
                failed()

        self._copying.add(digest)
        context.workers.submit(lambda: stage(count), done)

    def _waits_for_its_delete(self, entry: Entry) -> bool:
        """What looks like a renamed file is moved, not copied, if the delete of its old name comes soon."""
        now = self._context.now
        since = self._renamed.setdefault(entry.dot, now)
        if now - since >= RENAME_SECONDS:
            return False
        self._park_until(entry, since + RENAME_SECONDS)
        return True
