"""Gets contents that pending entries want: from whichever peer has them, against bounded requests.

Small files travel many to a request. A file of several chunks starts with its manifest; chunks that are here already,
from an older version or a broken transfer, are not asked for. Whole contents are verified before they count.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from syncagent.engine.context import Context, PeerView
from syncproto import limits
from syncproto.messages import ChunkData, ChunkRequest, ManifestData, ManifestRequest, Range
from syncproto.model import Chunk, Entry, Kind, Manifest, Path
from syncproto.version import Dot, covers

log = logging.getLogger("syncagent.engine")

REQUESTS_PER_PEER_MAX = 8
SILENCE_SECONDS = 15.0
ASK_AGAIN_SECONDS = 1.0
BIG_AT_ONCE_MAX = 2
"""Big files are assembled two at a time: more would only spread the same bytes."""


@dataclass(slots=True)
class Want:
    """One content that is wanted, and how far its fetching is."""

    digest: bytes
    size: int
    sparse: bool
    path: Path
    dots: set[Dot] = field(default_factory=set)
    asked: dict[str, float] = field(default_factory=dict)
    """Peers that did not have it, and when they said so."""
    chunks: list[Chunk] = field(default_factory=list)
    manifest: Manifest | None = None
    missing: list[Range] = field(default_factory=list)
    open_requests: int = 0
    is_busy: bool = False
    """A job or a request of it is under way."""
    has_started: bool = False
    faults: int = 0

    @property
    def is_big(self) -> bool:
        return self.size > limits.CHUNK_BYTES_MAX


@dataclass(slots=True)
class _Request:
    peer: str
    ranges: tuple[Range, ...]
    size: int


class Fetcher:
    """The wants of one volume and the requests that are under way."""

    def __init__(self, context: Context, staged: Callable[[set[Dot]], None]) -> None:
        self._context = context
        self._staged = staged
        self._wants: dict[bytes, Want] = {}
        self._small: dict[bytes, None] = {}
        self._requests: dict[int, _Request] = {}
        self._heard: dict[str, float] = {}
        self._next_request = 1

    def __len__(self) -> int:
        return len(self._wants)

    def want(self, entry: Entry) -> None:
        """The content of this pending file is wanted."""
        digest = entry.content
        if entry.kind != Kind.FILE or digest is None:
            return
        want = self._wants.get(digest)
        if want is None:
            want = self._wants[digest] = Want(digest, entry.size, entry.sparse, entry.path)
            if not want.is_big:
                self._small[digest] = None
        want.dots.add(entry.dot)

    def drop_unwanted(self) -> None:
        """Forget contents that no pending entry wants any more."""
        index = self._context.index
        for digest, want in list(self._wants.items()):
            want.dots = {dot for dot in want.dots if index.pending_entry(dot) is not None}
            if not want.dots and not want.is_busy and not want.open_requests:
                self._forget(digest)

    def unobtainable(self) -> list[Want]:
        """What every connected peer was asked for and none has."""
        peers = self._context.views.keys()
        return [w for w in self._wants.values() if peers and all(peer in w.asked for peer in peers) and not w.is_busy]

    def wants_of(self, dot: Dot) -> Want | None:
        """The want of one pending entry."""
        return next((want for want in self._wants.values() if dot in want.dots), None)

    # -- peers come, go, and progress -------------------------------------------------------------------

    def peer_gone(self, peer: str) -> None:
        """Its requests are void."""
        for request in [number for number, r in self._requests.items() if r.peer == peer]:
            self._fail(request)
        self._heard.pop(peer, None)

    def peer_progressed(self, peer: str) -> None:
        """The peer has applied more: it may have now what it lacked."""
        for want in self._wants.values():
            want.asked.pop(peer, None)

    # -- one turn ----------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Send as many requests as the bounds allow."""
        if self._context.halt or not self._wants:
            return
        now = self._context.now
        for peer, heard in list(self._heard.items()):
            if now - heard > SILENCE_SECONDS and any(r.peer == peer for r in self._requests.values()):
                for request in [number for number, r in self._requests.items() if r.peer == peer]:
                    self._fail(request)
        self._pump_small()
        started = [want for want in self._wants.values() if want.is_big and want.has_started]
        waiting = (want for want in self._wants.values() if want.is_big and not want.has_started)
        while len(started) < BIG_AT_ONCE_MAX and (want := next(waiting, None)) is not None:
            if self._peer_for(want) is not None:
                want.has_started = True
                started.append(want)
        for want in started:
            self._pump_big(want)

    def _peer_for(self, want: Want) -> str | None:
        """A peer that may have it, the one that has applied it first; None if all were asked lately."""
        now = self._context.now
        able = [v for v in self._context.views.values() if now - want.asked.get(v.peer, -1e9) > ASK_AGAIN_SECONDS]
        able = [view for view in able if self._open_requests(view.peer) < REQUESTS_PER_PEER_MAX]
        if not able:
            return None
        dot = next(iter(want.dots), ("", 0))

        def preference(view: PeerView) -> tuple[bool, int]:
            has_applied = view.state is not None and covers(view.state.applied, dot)
            return not has_applied, self._open_requests(view.peer)

        return min(able, key=preference).peer

    def _open_requests(self, peer: str) -> int:
        return sum(request.peer == peer for request in self._requests.values())

    def _pump_small(self) -> None:
        batches: dict[str, list[Range]] = {}
        sizes: dict[str, int] = {}
        for digest in list(self._small):
            want = self._wants[digest]
            if want.size == 0:
                del self._small[digest]
                self._stage_whole([(digest, b"")])
                continue
            peer = self._peer_for(want)
            if peer is None:
                if self._context.views and all(
                    self._open_requests(p) >= REQUESTS_PER_PEER_MAX for p in self._context.views
                ):
                    break
                continue
            batch = batches.setdefault(peer, [])
            if len(batch) >= limits.RANGES_MAX or sizes.get(peer, 0) + want.size > limits.REQUEST_BYTES_MAX:
                self._request(peer, batch)
                batch = batches[peer] = []
                sizes[peer] = 0
            batch.append(Range(digest, 0, want.size))
            sizes[peer] = sizes.get(peer, 0) + want.size
            del self._small[digest]
        for peer, batch in batches.items():
            if batch:
                self._request(peer, batch)

    def _request(self, peer: str, ranges: Sequence[Range]) -> None:
        number = self._next_request
        self._next_request += 1
        size = sum(r.length for r in ranges)
        self._requests[number] = _Request(peer, tuple(ranges), size)
        if self._open_requests(peer) == 1:
            self._heard[peer] = self._context.now
        for wanted in ranges:
            self._wants[wanted.digest].open_requests += 1
        self._context.count("chunk_requests_sent")
        self._context.peers.send(peer, ChunkRequest(self._context.id, number, tuple(ranges)))

    def _fail(self, number: int) -> None:
        """The answer will not come: ask again, of anybody."""
        request = self._requests.pop(number)
        for wanted in request.ranges:
            want = self._wants.get(wanted.digest)
            if want is None:
                continue
            want.open_requests -= 1
            if not want.is_big:
                self._small[want.digest] = None
            elif wanted.length:
                want.missing.append(wanted)
            else:
                want.is_busy = False

    # -- answers -----------------------------------------------------------------------------------------

    def on_chunks(self, peer: str, message: ChunkData, frames: tuple[bytes, ...]) -> None:
        """Take what was asked for; anything else is dropped."""
        self._heard[peer] = self._context.now
        request = self._requests.get(message.request)
        if request is None or request.peer != peer or len(message.found) != len(request.ranges):
            return
        del self._requests[message.request]
        small: list[tuple[bytes, bytes]] = []
        bulk = iter(frames)
        for wanted, is_found in zip(request.ranges, message.found, strict=True):
            data = next(bulk, None) if is_found else None
            want = self._wants.get(wanted.digest)
            if want is None:
                continue
            want.open_requests -= 1
            if data is None or len(data) != wanted.length:
                self._not_found(want, peer, wanted)
            elif want.is_big:
                self._write(want, wanted, data)
            else:
                small.append((want.digest, data))
        self._context.count("bytes_fetched", sum(map(len, frames)))
        if small:
            self._stage_whole(small)

    def _not_found(self, want: Want, peer: str, wanted: Range) -> None:
        want.asked[peer] = self._context.now
        if want.is_big:
            want.missing.append(wanted)
        else:
            self._small[want.digest] = None

    def stage_inline(self, contents: list[tuple[bytes, bytes]]) -> None:
        """Contents that came with the entries themselves."""
        self._stage_whole(contents)

    def _stage_whole(self, contents: list[tuple[bytes, bytes]]) -> None:
        context = self._context

        def done(result: object) -> None:
            if isinstance(result, BaseException) or not isinstance(result, list):
                self._cannot_stage(result, [digest for digest, _ in contents])
                return
            context.problems.clear("staging")
            for digest, _ in contents:
                want = self._wants.get(digest)
                if digest not in result:
                    self._finished(digest)
                elif want is not None:
                    want.faults += 1
                    self._small[digest] = None

        for digest, _ in contents:
            if (want := self._wants.get(digest)) is not None:
                want.is_busy = True
        context.workers.submit(lambda: context.tree.stage_whole(contents), done)

    def _cannot_stage(self, error: object, digests: Sequence[bytes]) -> None:
        context = self._context
        context.problems.add(
            "staging",
            f"contents cannot be staged: {error}",
            remedy="free space on the volume's file system, or make it writable",
            is_blocking=True,
            wall_ns=context.clock.wall_ns(),
        )
        for digest in digests:
            if (want := self._wants.get(digest)) is not None:
                want.is_busy = False
                want.asked = dict.fromkeys(context.views, context.now)
                if not want.is_big:
                    self._small[digest] = None

    def _finished(self, digest: bytes) -> None:
        want = self._wants.get(digest)
        self._forget(digest)
        dots = set(want.dots) if want else set()
        dots |= {entry.dot for entry in self._context.index.pending_with_content(digest)}
        self._staged(dots)

    def _forget(self, digest: bytes) -> None:
        self._wants.pop(digest, None)
        self._small.pop(digest, None)

    # -- big contents --------------------------------------------------------------------------------------

    def _pump_big(self, want: Want) -> None:
        if want.is_busy:
            return
        if want.manifest is None:
            known = self._context.index.manifest(want.digest)
            if known is not None:
                self._begin(want, known)
            elif (peer := self._peer_for(want)) is not None:
                want.is_busy = True
                number = self._next_request
                self._next_request += 1
                self._requests[number] = _Request(peer, (Range(want.digest, 0, 0),), 0)
                self._heard.setdefault(peer, self._context.now)
                want.open_requests += 1
                first = len(want.chunks)
                self._context.peers.send(peer, ManifestRequest(self._context.id, number, want.digest, first))
            return
        while want.missing and (peer := self._peer_for(want)) is not None:
            self._request(peer, [want.missing.pop(0)])
        if not want.missing and not want.open_requests:
            self._finish(want)

    def on_manifest(self, peer: str, message: ManifestData) -> None:
        """A part of a manifest that was asked for."""
        self._heard[peer] = self._context.now
        request = self._requests.get(message.request)
        if request is None or request.peer != peer or request.ranges[0].digest != message.digest:
            return
        del self._requests[message.request]
        want = self._wants.get(message.digest)
        if want is None:
            return
        want.open_requests -= 1
        want.is_busy = False
        if message.total == 0 or message.first != len(want.chunks) or not message.chunks:
            want.asked[peer] = self._context.now
            return
        want.chunks.extend(message.chunks)
        if len(want.chunks) < message.total:
            return
        manifest = Manifest(want.digest, want.size, tuple(want.chunks))
        if sum(chunk.length for chunk in want.chunks) != want.size:
            want.chunks, want.asked[peer] = [], self._context.now
            return
        self._begin(want, manifest)

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
                self._cannot_stage(result, [want.digest])

        context.workers.submit(job, done)

    def _write(self, want: Want, wanted: Range, data: bytes) -> None:
        context = self._context
        want.open_requests += 1  # until it is on disk

        def done(result: object) -> None:
            want.open_requests -= 1
            if isinstance(result, BaseException):
                want.missing.append(wanted)
                self._cannot_stage(result, [want.digest])

        context.workers.submit(lambda: context.tree.stage_write(want.digest, wanted.offset, data), done)

    def _finish(self, want: Want) -> None:
        context, manifest = self._context, want.manifest
        assert manifest is not None
        want.is_busy = True

        def done(result: object) -> None:
            want.is_busy = False
            if not isinstance(result, list):
                self._cannot_stage(result, [want.digest])
            elif result:
                want.faults += 1
                want.missing = ranges_of(manifest, result)
            else:
                context.index.put_manifest(manifest)
                context.is_changed = True
                self._finished(want.digest)

        context.workers.submit(lambda: context.tree.stage_finish(manifest, want.sparse), done)


def ranges_of(manifest: Manifest, numbers: Sequence[int]) -> list[Range]:
    """The byte ranges of these chunks; neighbours are asked for together."""
    wanted, result, offset = set(numbers), list[Range](), 0
    start, length = 0, 0
    for number, chunk in enumerate(manifest.chunks):
        if number in wanted and length and start + length == offset and length + chunk.length <= limits.RANGE_BYTES_MAX:
            length += chunk.length
        elif number in wanted:
            if length:
                result.append(Range(manifest.digest, start, length))
            start, length = offset, chunk.length
        offset += chunk.length
    if length:
        result.append(Range(manifest.digest, start, length))
    return result
