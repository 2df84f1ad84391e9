"""Which part of a volume's engine takes which message."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from syncagent.engine.context import PeerView
from syncagent.ports import PeerMessage
from syncproto import messages as m

if TYPE_CHECKING:
    from syncagent.engine.volume import Volume

Frames = tuple[bytes, ...]
Handler = Callable[[PeerView, Any, Frames], None]


class Router:
    """One handler for each message of a volume."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._handlers: dict[type[m.Message], Handler] = {
            m.VolumeState: self._state,
            m.Members: self._members,
            m.Pull: self._pull,
            m.Delta: lambda view, delta, frames: volume.receiver.on_delta(view, delta, frames),
            m.ManifestRequest: lambda view, request, _: volume.publisher.on_manifest_request(view, request),
            m.ManifestData: lambda view, data, _: volume.fetcher.on_manifest(view.peer, data),
            m.ChunkRequest: lambda view, request, _: volume.publisher.on_chunk_request(view, request),
            m.ChunkData: self._chunks,
            m.Barrier: lambda view, barrier, _: volume.barriers.on_barrier(view, barrier),
            m.BarrierReply: lambda view, reply, _: volume.barriers.on_reply(view, reply),
            m.Recall: lambda view, asked, _: volume.recaller.on_recall(view, asked),
            m.Recalled: lambda view, told, _: volume.recaller.on_recalled(view, told),
        }

    def route(self, view: PeerView, event: PeerMessage) -> None:
        """Hand the message to its part; bulk is worked off when that returns."""
        self._handlers[type(event.message)](view, event.message, event.frames)

    def _state(self, view: PeerView, state: m.VolumeState, _: Frames) -> None:
        volume = self._volume
        if not volume.strangers.heard(view, state):
            return
        volume.rounds.clocks.heard(view, state)
        if volume.membership.on_state(view, state):
            volume.fetcher.peer_progressed(view.peer)
        volume.receiver.heard_state(view, state)

    def _members(self, view: PeerView, listed: m.Members, _: Frames) -> None:
        if self._volume.membership.on_members(listed):
            self._volume.applier.release_up_to(self._volume.membership.released)
            self._volume.tell_members()

    def _pull(self, view: PeerView, pull: m.Pull, _: Frames) -> None:
        self._volume.finish()  # what is told must be committed first
        self._volume.publisher.on_pull(view, pull)

    def _chunks(self, view: PeerView, chunks: m.ChunkData, frames: Frames) -> None:
        self._volume.fetcher.on_chunks(view.peer, chunks, frames)
