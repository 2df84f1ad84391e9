"""The requests that are under way: bounded per peer, void when the peer goes or falls silent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syncagent.engine.context import Context, PeerView
from syncagent.engine.wants import Want
from syncproto.messages import Range
from syncproto.version import covers

REQUESTS_PER_PEER_MAX = 8
SILENCE_SECONDS = 15.0
ASK_AGAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked of whom. A range of no length stands for a manifest."""

    peer: str
    ranges: tuple[Range, ...]


class Requests:
    """Numbers requests, and knows whom to ask."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._open: dict[int, Request] = {}
        self._heard: dict[str, float] = {}
        self._next = 1

    def open(self, peer: str, ranges: Sequence[Range]) -> int:
        """Note a request; gives its number."""
        number = self._next
        self._next += 1
        if not self.count(peer):
            self._heard[peer] = self._context.now
        self._open[number] = Request(peer, tuple(ranges))
        return number

    def answered(self, peer: str, number: int) -> Request | None:
        """The request that this answers; None if it is not (or no longer) awaited from this peer."""
        self._heard[peer] = self._context.now
        request = self._open.get(number)
        if request is None or request.peer != peer:
            return None
        return self._open.pop(number)

    def count(self, peer: str) -> int:
        """How many requests the peer has not answered."""
        return sum(request.peer == peer for request in self._open.values())

    def is_full(self, peer: str) -> bool:
        """Whether the peer has as many as it may have."""
        return self.count(peer) >= REQUESTS_PER_PEER_MAX

    def void(self, peer: str) -> list[Request]:
        """The peer's requests will not be answered; gives them."""
        numbers = [number for number, request in self._open.items() if request.peer == peer]
        return [self._open.pop(number) for number in numbers]

    def silent_peers(self) -> list[str]:
        """Peers that owe answers and have sent none for long."""
        now = self._context.now
        return [peer for peer, at in self._heard.items() if now - at > SILENCE_SECONDS and self.count(peer)]

    def peer_for(self, want: Want) -> str | None:
        """A peer that may have the content, one that has applied it first; None if all are busy or were asked."""
        now = self._context.now
        able = [
            view
            for view in self._context.views.values()
            if now - want.asked.get(view.peer, -1e9) > ASK_AGAIN_SECONDS and not self.is_full(view.peer)
        ]
        if not able:
            return None
        dot = min(want.dots, default=("", 0))

        def preference(view: PeerView) -> tuple[bool, int]:
            has_applied = view.state is not None and covers(view.state.applied, dot)
            return not has_applied, self.count(view.peer)

        return min(able, key=preference).peer
