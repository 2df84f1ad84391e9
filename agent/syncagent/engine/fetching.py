"""Gets contents that pending entries want: from whichever peer has them, against bounded requests.

Small files travel many to a request. A file of several chunks is assembled from ranges: see ``assembling``. Whole
contents are verified before they count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from syncagent.disk.errors import describe
from syncagent.engine.assembling import Assembler
from syncagent.engine.context import Context
from syncagent.engine.problems import split
from syncagent.engine.requests import Request, Requests
from syncagent.engine.wants import Want
from syncproto import limits
from syncproto.messages import ChunkData, ChunkRequest, ManifestData, Range
from syncproto.model import Entry, Kind
from syncproto.version import Dot

BIG_AT_ONCE_MAX = 2
"""Big files are assembled two at a time: more would only spread the same bytes."""
PAUSE_SECONDS = 1.0
PAUSE_SECONDS_MAX = 4.0
"""What the disk refused is fetched anew each time: less and less often, and soon enough when it has room again."""


class Fetcher:
    """The wants of one volume."""

    def __init__(self, context: Context, staged: Callable[[set[Dot]], None]) -> None:
        self._context = context
        self._staged = staged
        self._wants: dict[bytes, Want] = {}
        self._small: dict[bytes, None] = {}
        self._requests = Requests(context)
        self._assembler = Assembler(context, self._requests, finished=self._finished, failed=self._cannot_stage)
        self._paused_until = 0.0
        self._refused = 0

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
        """What every connected peer was asked for and none has; everything, while nobody is connected."""
        peers = self._context.views.keys()
        return [w for w in self._wants.values() if all(peer in w.asked for peer in peers) and not w.is_busy]

    # -- peers come, go, and progress -------------------------------------------------------------------

    def peer_gone(self, peer: str) -> None:
        """Its requests are void."""
        for request in self._requests.void(peer):
            self._ask_again(request)

    def peer_progressed(self, peer: str) -> None:
        """The peer has applied more: it may have now what it lacked."""
        for want in self._wants.values():
            want.asked.pop(peer, None)

    def _ask_again(self, request: Request) -> None:
        for wanted in request.ranges:
            want = self._wants.get(wanted.digest)
            if want is None:
                continue
            want.answered()
            if not want.is_big:
                self._small[want.digest] = None
            elif wanted.length:
                want.missing.append(wanted)
            else:
                want.is_busy = False

    # -- one turn ----------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Send as many requests as the bounds allow."""
        if not self._wants:
            self._context.problems.clear("staging")
        if self._context.halt or not self._wants or self._context.now < self._paused_until:
            return
        for peer in self._requests.silent_peers():
            self.peer_gone(peer)
        self._pump_small()
        big = [want for want in self._wants.values() if want.is_big and want.dots]
        started = [want for want in big if want.has_started]
        waiting = (want for want in big if not want.has_started)
        while len(started) < BIG_AT_ONCE_MAX and (want := next(waiting, None)) is not None:
            if self._requests.peer_for(want) is not None:
                want.has_started = True
                started.append(want)
        for want in started:
            self._assembler.pump(want)

    def _pump_small(self) -> None:
        batches: dict[str, list[Range]] = {}
        sizes: dict[str, int] = {}
        for digest in list(self._small):
            want = self._wants[digest]
            if not want.dots:
                continue
            if want.size == 0:
                del self._small[digest]
                self._stage_whole([(digest, b"")])
                continue
            peer = self._requests.peer_for(want)
            if peer is None:
                if all(self._requests.is_full(each) for each in self._context.views):
                    break
                continue
            batch = batches.get(peer, [])
            if batch and (len(batch) >= limits.RANGES_MAX or sizes[peer] + want.size > limits.REQUEST_BYTES_MAX):
                self._request(peer, batches.pop(peer))
                sizes[peer] = 0
            batches.setdefault(peer, []).append(Range(digest, 0, want.size))
            sizes[peer] = sizes.get(peer, 0) + want.size
            del self._small[digest]
        for peer, batch in batches.items():
            self._request(peer, batch)

    def _request(self, peer: str, ranges: Sequence[Range]) -> None:
        number = self._requests.open(peer, ranges)
        for wanted in ranges:
            self._wants[wanted.digest].open_requests += 1
        self._context.count("chunk_requests_sent")
        self._context.peers.send(peer, ChunkRequest(self._context.id, number, tuple(ranges)))

    # -- answers -----------------------------------------------------------------------------------------

    def on_manifest(self, peer: str, message: ManifestData) -> None:
        """A part of a manifest that was asked for."""
        request = self._requests.answered(peer, message.request)
        if request is None or request.ranges[0].digest != message.digest:
            return
        if (want := self._wants.get(message.digest)) is not None:
            self._assembler.on_manifest(peer, want, message)

    def on_chunks(self, peer: str, message: ChunkData, frames: tuple[bytes, ...]) -> None:
        """Take what was asked for; anything else is dropped."""
        request = self._requests.answered(peer, message.request)
        if request is None:
            return
        if len(message.found) != len(request.ranges):
            self._ask_again(request)
            return
        small: list[tuple[bytes, bytes]] = []
        bulk = iter(frames)
        for wanted, is_found in zip(request.ranges, message.found, strict=True):
            data = next(bulk, None) if is_found else None
            want = self._wants.get(wanted.digest)
            if want is None:
                continue
            want.answered()
            if data is None or len(data) != wanted.length:
                self._not_found(want, peer, wanted)
                continue
            want.givers.add(peer)
            if want.is_big:
                self._assembler.write(want, wanted, data)
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

    # -- staging -----------------------------------------------------------------------------------------

    def stage_inline(self, contents: list[tuple[bytes, bytes]]) -> None:
        """Contents that came with the entries themselves."""
        if contents:
            self._stage_whole(contents)

    def _stage_whole(self, contents: list[tuple[bytes, bytes]]) -> None:
        context = self._context

        def done(result: object) -> None:
            for digest, _ in contents:
                if (want := self._wants.get(digest)) is not None:
                    want.is_busy = False
            if not isinstance(result, list):
                self._cannot_stage(result, [digest for digest, _ in contents])
                return
            for digest, _ in contents:
                if digest not in result:
                    self._finished(digest)
                elif (want := self._wants.get(digest)) is not None:
                    want.blame(context.now)
                    self._small[digest] = None

        for digest, _ in contents:
            if (want := self._wants.get(digest)) is not None:
                want.is_busy = True
                self._small.pop(digest, None)
        context.workers.submit(lambda: context.tree.stage_whole(contents), done)

    def _cannot_stage(self, error: object, digests: Sequence[bytes]) -> None:
        context = self._context
        wants = [want for digest in digests if (want := self._wants.get(digest)) is not None]
        if context.history.gives_way(error, sum(want.size for want in wants)):
            self._small.update((want.digest, None) for want in wants if not want.is_big)
            return
        reason = describe(error) if isinstance(error, OSError) else str(error)
        cause, remedy = split(reason, "see to this cause")
        context.problems.add(
            "staging",
            f"contents cannot be staged: {cause}",
            remedy=f"{remedy}; it is tried again",
            is_blocking=True,
            wall_ns=context.clock.wall_ns(),
        )
        self._paused_until = context.now + min(PAUSE_SECONDS * 2**self._refused, PAUSE_SECONDS_MAX)
        self._refused = min(self._refused + 1, 10)
        self._small.update((want.digest, None) for want in wants if not want.is_big)

    def _finished(self, digest: bytes) -> None:
        self._context.problems.clear("staging")
        self._refused = 0
        want = self._wants.get(digest)
        self._forget(digest)
        dots = set(want.dots) if want else set()
        dots |= {entry.dot for entry in self._context.index.pending_with_content(digest, 64)}
        self._staged(dots)

    def _forget(self, digest: bytes) -> None:
        self._wants.pop(digest, None)
        self._small.pop(digest, None)
