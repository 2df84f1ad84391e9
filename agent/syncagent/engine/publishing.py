"""Tells peers what is new here, and answers what they ask: units of entries, manifests, bytes.

A unit covers the sequence numbers of this index between two marks, with the vector as it was at the start; who has all
before the first mark takes it, anybody else pulls.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from syncagent.disk.errors import describe
from syncagent.engine.context import Context, PeerView
from syncagent.engine.problems import split
from syncagent.ports import Row
from syncproto import limits
from syncproto.messages import ChunkData, ChunkRequest, Delta, ManifestData, ManifestRequest, Pull, Range
from syncproto.model import Entry, Kind, Path, is_news
from syncproto.version import Vector, covers

log = logging.getLogger("syncagent.engine")

UNSERVED_CODE = "unserved"
DELTA_BYTES_MAX = 1024 * 1024
INLINE_FILES_MAX = 64


class Publisher:
    """The sending side of one volume."""

    def __init__(self, context: Context, *, look_again: Callable[[Path, float], None]) -> None:
        self._context = context
        self._look_again = look_again
        self._unanswered: dict[str, Pull] = {}

    # -- units ---------------------------------------------------------------------------------------------

    def push(self) -> None:
        """Send what is new since the last push to every peer that has all before it."""
        index = self._context.index
        fresh: dict[int, list[Entry]] = {}
        for view in self._context.views.values():
            if view.pushed is None or view.pushed >= index.sequence:
                continue
            if view.pushed not in fresh:
                fresh[view.pushed] = list(index.changed_since(view.pushed))
            known = view.state.known if view.state else {}
            news = [e for e in fresh[view.pushed] if is_news(e, known) or not covers(known, e.metadata.dot)]
            news.sort(key=lambda entry: entry.dot)
            self._send_unit(view, 0, view.pushed, news, is_full=False)
            view.pushed = index.sequence

    def resumed(self) -> None:
        """The halt is over: answer what was asked meanwhile."""
        unanswered, self._unanswered = self._unanswered, {}
        for peer, pull in unanswered.items():
            if (view := self._context.views.get(peer)) is not None:
                self.on_pull(view, pull)

    def on_pull(self, view: PeerView, message: Pull) -> None:
        """Answer a pull, whole."""
        context = self._context
        if context.halt:
            self._unanswered[view.peer] = message
            return
        index = context.index
        is_cursor_ours = message.epoch == index.origin and message.sequence <= index.sequence and not message.is_full
        first = message.sequence if is_cursor_ours else 0
        known: Vector = {} if message.is_full else message.known
        news = context.reconciler.unknown_to(known, first)
        if message.is_full:
            first = 0
        self._send_unit(view, message.request, first, news, is_full=message.is_full)
        view.pushed = index.sequence
        context.count("pulls_answered")

    def _send_unit(self, view: PeerView, request: int, first: int, entries: list[Entry], *, is_full: bool) -> None:
        context, index = self._context, self._context.index
        parts = list(_parts(entries))
        budget = limits.INLINE_BYTES_MAX if request == 0 else 0
        for number, part in enumerate(parts):
            inline, frames = self._inline(part, budget)
            budget -= sum(map(len, frames))
            delta = Delta(
                volume=context.id,
                request=request,
                epoch=index.origin,
                first=first,
                last=index.sequence,
                part=number,
                is_last=number == len(parts) - 1,
                is_full=is_full,
                known=index.known,
                collected=index.collected,
                floor=index.floor,
                entries=tuple(part),
                inline=tuple(inline),
            )
            context.peers.send(view.peer, delta, frames)
        context.count("entries_sent", len(entries))

    def _inline(self, part: list[Entry], budget: int) -> tuple[list[bytes], list[bytes]]:
        """The contents of small files of this part, as far as the budget goes."""
        inline: list[bytes] = []
        frames: list[bytes] = []
        for entry in part:
            if entry.kind != Kind.FILE or entry.size > min(limits.INLINE_FILE_BYTES_MAX, budget):
                continue
            if entry.content in inline or len(inline) >= INLINE_FILES_MAX or entry.dot in self._context.moved:
                continue
            row = self._context.index.row(entry.path)
            if row is None or row.stat is None or row.entry.content != entry.content or not entry.content:
                continue
            data = self._read(row, 0, entry.size)
            if data is not None:
                inline.append(entry.content)
                frames.append(data)
                budget -= len(data)
        return inline, frames

    def _read(self, row: Row, offset: int, length: int) -> bytes | None:
        found = self._served(row, offset, length)
        return None if isinstance(found, OSError) else found

    def _served(self, row: Row, offset: int, length: int) -> bytes | None | OSError:
        if row.stat is None:
            return None
        try:
            return self._context.tree.read(row.entry.path, row.stat, offset, length)
        except OSError as error:
            return error

    def _judge_reading(self, path: Path, found: bytes | None | OSError) -> None:
        """A file that looks as ever, and cannot be read, is a problem until it can be."""
        context = self._context
        if isinstance(found, OSError):
            cause, remedy = split(describe(found), "see to this cause")
            text, now = f"cannot be read for a peer that lacks it: {cause}", context.clock.wall_ns()
            context.problems.add(UNSERVED_CODE, text, remedy=remedy, path=path, is_blocking=True, wall_ns=now)
            return
        context.problems.clear(UNSERVED_CODE, path)
        if found is None:  # it is no longer as it was looked at
            self._look_again(path, context.now)

    def _read_kept(self, name: bytes | None, wanted: Range) -> bytes | None:
        try:
            return self._context.tree.read_kept(name, wanted.offset, wanted.length) if name is not None else None
        except OSError:
            return None

    # -- contents --------------------------------------------------------------------------------------------

    def on_manifest_request(self, view: PeerView, message: ManifestRequest) -> None:
        """Send a part of a manifest."""
        context = self._context
        manifest = context.index.manifest(message.digest)
        if manifest is None or context.halt:
            reply = ManifestData(context.id, message.request, message.digest, 0, 0, ())
        else:
            end = message.first + limits.CHUNKS_PER_MESSAGE_MAX
            chunks = manifest.chunks[message.first : end]
            total = len(manifest.chunks)
            reply = ManifestData(context.id, message.request, message.digest, message.first, total, chunks)
        context.peers.send(view.peer, reply)

    def on_chunk_request(self, view: PeerView, message: ChunkRequest) -> None:
        """Read the ranges in a worker and send them; what is no longer on the disk is not found."""
        context = self._context
        rows: list[Row | None] = []
        kept: dict[bytes, bytes] = {}
        for wanted in message.ranges:
            found = [] if context.halt else context.index.by_content(wanted.digest, 4)
            rows.append(next((row for row in found if row.stat is not None), None))
            if rows[-1] is None and not context.halt:
                kept.update((wanted.digest, past.kept) for past in context.index.kept_with_content(wanted.digest, 1))

        def job() -> list[bytes | None | OSError]:
            pairs = zip(message.ranges, rows, strict=True)
            return [
                self._served(row, r.offset, r.length) if row is not None else self._read_kept(kept.get(r.digest), r)
                for r, row in pairs
            ]

        def done(result: object) -> None:
            found = result if isinstance(result, list) else [None] * len(rows)
            data = [None if isinstance(each, OSError) else each for each in found]
            for row, each in zip(rows, found, strict=True):
                if row is not None:
                    self._judge_reading(row.entry.path, each)
            frames = [bytes(each) for each in data if each is not None]
            reply = ChunkData(context.id, message.request, tuple(each is not None for each in data))
            context.peers.send(view.peer, reply, frames)
            context.count("bytes_served", sum(map(len, frames)))

        context.workers.submit(job, done)


def _parts(entries: list[Entry]) -> Iterable[list[Entry]]:
    """Cut a unit into messages by number and size; an empty unit is one empty message."""
    part: list[Entry] = []
    size = 0
    for entry in entries:
        weight = 200 + len(entry.path) + len(entry.content or b"") + 60 * (len(entry.version) + len(entry.carried))
        if entry.metadata.value is not None:
            weight += sum(len(name) + len(value) + 8 for name, value in entry.metadata.value.xattrs)
        if part and (len(part) >= limits.DELTA_ENTRIES_MAX or size + weight > DELTA_BYTES_MAX):
            yield part
            part, size = [], 0
        part.append(entry)
        size += weight
    yield part
