"""Assembles contents of several chunks: the manifest, then what of it is here already, then the rest by ranges."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from syncagent.engine.context import Context
from syncagent.engine.requests import Requests
from syncagent.engine.wants import Want, ranges_of
from syncproto.messages import ChunkRequest, ManifestData, ManifestRequest, Range
from syncproto.model import Kind, Manifest


class Assembler:
    """Big contents under way."""

    def __init__(
        self,
        context: Context,
        requests: Requests,
        *,
        finished: Callable[[bytes], None],
        failed: Callable[[object, Sequence[bytes]], None],
    ) -> None:
        self._context = context
        self._requests = requests
        self._finished = finished
        self._failed = failed

    def pump(self, want: Want) -> None:
        """Take the next step for this content."""
        if want.is_busy:
            return
        if want.manifest is None:
            self._get_manifest(want)
            return
        while want.missing and (peer := self._requests.peer_for(want)) is not None:
            self._ask(peer, want, want.missing.pop(0))
        if not want.missing and not want.open_requests:
            self._finish(want)

    def _ask(self, peer: str, want: Want, wanted: Range) -> None:
        number = self._requests.open(peer, [wanted])
        want.open_requests += 1
        self._context.count("chunk_requests_sent")
        self._context.peers.send(peer, ChunkRequest(self._context.id, number, (wanted,)))

    def _get_manifest(self, want: Want) -> None:
        known = self._context.index.manifest(want.digest)
        if known is None and want.chunks and sum(chunk.length for chunk in want.chunks) == want.size:
            known = Manifest(want.digest, want.size, tuple(want.chunks))  # it is whole: staging could not begin
        if known is not None:
            self._begin(want, known)
        elif (peer := self._requests.peer_for(want)) is not None:
            want.is_busy = True
            want.open_requests += 1
            number = self._requests.open(peer, [Range(want.digest, 0, 0)])
            self._context.peers.send(peer, ManifestRequest(self._context.id, number, want.digest, len(want.chunks)))

    def on_manifest(self, peer: str, want: Want, message: ManifestData) -> None:
        """A part of the manifest that was asked for."""
        want.answered()
        want.is_busy = False
        if message.total == 0 or message.first != len(want.chunks) or not message.chunks:
            want.asked[peer] = self._context.now
            return
        want.chunks.extend(message.chunks)
        if len(want.chunks) < message.total:
            return
        if sum(chunk.length for chunk in want.chunks) != want.size:
            want.chunks, want.asked[peer] = [], self._context.now
            return
        self._begin(want, Manifest(want.digest, want.size, tuple(want.chunks)))

    def _begin(self, want: Want, manifest: Manifest) -> None:
        """Find out which chunks are here already: in a broken transfer's rest, or in the file's older version."""
        context, want.is_busy = self._context, True
        row = context.index.row(want.path)
        source = None
        if row is not None and row.stat is not None and row.entry.kind == Kind.FILE and row.entry.content is not None:
            source = context.index.manifest(row.entry.content)
        stat = row.stat if row else None

        def job() -> list[int]:
            present = set(context.tree.stage_begin(manifest))
            absent = [number for number in range(len(manifest.chunks)) if number not in present]
            if source is not None and stat is not None and absent:
                filled = set(context.tree.stage_local(manifest, absent, want.path, source))
                absent = [number for number in absent if number not in filled]
            return absent

        def done(result: object) -> None:
            want.is_busy = False
            if isinstance(result, list):
                want.manifest = manifest
                want.missing = ranges_of(manifest, result)
            else:
                self._failed(result, [want.digest])

        context.workers.submit(job, done)

    def write(self, want: Want, wanted: Range, data: bytes) -> None:
        """Put what came at its place."""
        context = self._context
        want.open_requests += 1  # until it is on the disk

        def done(result: object) -> None:
            want.answered()
            if isinstance(result, BaseException):
                want.manifest = None  # begin anew: what is at its place is counted then
                self._failed(result, [want.digest])

        context.workers.submit(lambda: context.tree.stage_write(want.digest, wanted.offset, data), done)

    def _finish(self, want: Want) -> None:
        context, manifest = self._context, want.manifest
        assert manifest is not None
        want.is_busy = True

        def done(result: object) -> None:
            want.is_busy = False
            if not isinstance(result, list):
                want.manifest = None
                self._failed(result, [want.digest])
            elif result:
                want.blame(self._context.now)
                want.missing = ranges_of(manifest, result)
            else:
                context.index.put_manifest(manifest)
                context.is_changed = True
                self._finished(want.digest)

        context.workers.submit(lambda: context.tree.stage_finish(manifest, want.sparse), done)
