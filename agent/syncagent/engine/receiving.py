"""Takes units of entries from peers: whole, in one index transaction, or not at all."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from syncagent.core.starts import has_minted
from syncagent.engine.applying import Applier
from syncagent.engine.context import Context, PeerView
from syncagent.engine.fetching import Fetcher
from syncproto.messages import Delta, Pull, VolumeState
from syncproto.model import Entry, Kind, Path
from syncproto.version import covers_all

log = logging.getLogger("syncagent.engine")

PULL_DELAY_SECONDS = 0.15
PULL_TIMEOUT_SECONDS = 15.0


@dataclass(slots=True)
class _Unit:
    """The parts of one unit as they come in."""

    entries: list[Entry] = field(default_factory=list)
    inline: list[tuple[bytes, bytes]] = field(default_factory=list)
    parts: int = 0


@dataclass(slots=True)
class _Source:
    """How far taking in from one peer is."""

    request: int = 0
    asked_at: float | None = None
    pull_due: float | None = None
    wants_full: bool = False
    units: dict[int, _Unit] = field(default_factory=dict)


class Receiver:
    """The taking side of one volume."""

    def __init__(
        self,
        context: Context,
        applier: Applier,
        fetcher: Fetcher,
        *,
        rolled_back: Callable[[str], None],
        look_again: Callable[[Path, float], None],
    ) -> None:
        self._context = context
        self._applier = applier
        self._fetcher = fetcher
        self._rolled_back = rolled_back
        self._look_again = look_again
        self._sources: dict[str, _Source] = {}
        self._next_request = 1

    # -- pulls -------------------------------------------------------------------------------------------

    def peer_up(self, view: PeerView) -> None:
        """The first pull follows at once."""
        self._sources[view.peer] = _Source()
        self._pull(view)

    def peer_gone(self, peer: str) -> None:
        """What was half received is dropped."""
        self._sources.pop(peer, None)

    def next_due(self) -> float | None:
        """When a pull is due."""
        return min((s.pull_due for s in self._sources.values() if s.pull_due is not None), default=None)

    def run(self) -> None:
        """Send pulls that are due; repeat those that were not answered."""
        now = self._context.now
        for view in list(self._context.views.values()):
            source = self._sources.get(view.peer)
            if source is None or self._context.halt:
                continue
            is_late = source.asked_at is not None and now - source.asked_at > PULL_TIMEOUT_SECONDS
            is_due = source.pull_due is not None and source.pull_due <= now
            if is_late or is_due and source.asked_at is None:
                self._pull(view)

    def heard_state(self, view: PeerView, state: VolumeState) -> None:
        """The peer tells its sequence: if no push brings what we lack, it is pulled."""
        source = self._sources.get(view.peer)
        if source is None or source.pull_due is not None or source.asked_at is not None:
            return
        if self._is_behind(state):
            source.pull_due = self._context.now + PULL_DELAY_SECONDS

    def _is_behind(self, state: VolumeState) -> bool:
        """Whether the peer knows more: not always an entry, for what it took may have changed nothing there."""
        epoch, sequence = self._context.index.cursor(state.incarnation)
        if epoch != state.incarnation or sequence < state.sequence:
            return True
        return not covers_all(self._context.index.known, state.known.items())

    def _pull(self, view: PeerView) -> None:
        context, source = self._context, self._sources[view.peer]
        source.pull_due = None
        if context.halt:
            return
        if view.state is not None and view.is_pulled and not source.wants_full and not self._is_behind(view.state):
            return  # a push was faster
        source.request, source.asked_at = self._next_request, context.now
        self._next_request += 1
        source.units = {number: unit for number, unit in source.units.items() if number == 0}
        epoch, sequence = context.index.cursor(view.incarnation)
        pull = Pull(context.id, source.request, context.index.known, epoch, sequence, source.wants_full)
        context.count("pulls_sent")
        context.peers.send(view.peer, pull)

    # -- units ---------------------------------------------------------------------------------------------

    def on_delta(self, view: PeerView, message: Delta, frames: tuple[bytes, ...]) -> None:
        """Collect the parts of a unit; take it when it is whole."""
        source = self._sources.get(view.peer)
        if source is None or self._context.halt:
            return
        if message.request not in (0, source.request):
            return
        if message.request and source.asked_at is not None:
            source.asked_at = self._context.now
        unit = source.units.get(message.request)
        if unit is None or message.part == 0:
            unit = source.units[message.request] = _Unit()
        if unit.parts != message.part:
            del source.units[message.request]  # a part was lost: nothing of it is taken
            if message.request:
                source.asked_at = None  # the answer will never be whole
            source.pull_due = self._context.now
            return
        unit.parts += 1
        unit.entries.extend(message.entries)
        unit.inline.extend(zip(message.inline, frames, strict=True))
        if not message.is_last:
            return
        del source.units[message.request]
        if message.request:
            source.asked_at = None
        self._whole(view, source, message, unit)

    def _whole(self, view: PeerView, source: _Source, last: Delta, unit: _Unit) -> None:
        context, index = self._context, self._context.index
        epoch, sequence = index.cursor(view.incarnation)
        if last.request == 0 and (epoch != last.epoch or sequence < last.first):
            if source.asked_at is None:
                source.pull_due = context.now  # something before it is missing here
            return
        if last.epoch != view.incarnation:
            return
        if context.reconciler.needs_full(last.collected) and not last.is_full:
            source.wants_full = True
            self._pull(view)
            return
        source.wants_full = False
        if self._shows_dots_of_ours(last, unit):
            return
        self._take(view, last, unit)

    def _shows_dots_of_ours(self, last: Delta, unit: _Unit) -> bool:
        """A peer that knows changes of ours which we do not: our index is older than what we have told."""
        index = self._context.index
        known = last.known.get(index.origin, 0)
        if not has_minted(index.starts, index.counter, known):
            self._rolled_back(f"peers know change {known} of this replica, which it does not know")
            return True
        return False

    def _take(self, view: PeerView, last: Delta, unit: _Unit) -> None:
        context, index = self._context, self._context.index
        before = index.sequence
        if last.is_full:
            if not self._drop_what_is_gone(view, last, unit):
                return
            context.reconciler.adopt_registers(unit.entries, last.known)
            context.reconciler.join_collected(last.collected, last.floor)
        for entry in unit.entries:
            context.reconciler.receive(entry)
        context.reconciler.take([], last.known)
        index.set_cursor(view.incarnation, last.epoch, last.last)
        view.is_pulled = True
        context.is_changed = True
        for entry in unit.entries:
            self._applier.styler.later(entry.path)
        fresh = [e for e in index.changed_since(before) if index.pending_entry(e.dot) is not None]
        self._applier.wake(fresh)
        for entry in fresh:
            self._applier.wake_path(entry.path)
        self._take_inline(dict(unit.inline), fresh)
        if unit.entries:
            context.count("entries_received", len(unit.entries))
            log.info("volume %s: %d entries from %s", context.options.name, len(unit.entries), view.name)

    def _take_inline(self, contents: dict[bytes, bytes], fresh: list[Entry]) -> None:
        """Stage the contents that came along, as far as they are wanted."""
        wanted: dict[bytes, bytes] = {}
        for entry in fresh:
            digest = entry.content
            if entry.kind == Kind.FILE and digest in contents and not self._context.tree.is_staged(digest):
                self._fetcher.want(entry)
                wanted[digest] = contents[digest]
        self._fetcher.stage_inline(list(wanted.items()))

    def _drop_what_is_gone(self, view: PeerView, last: Delta, unit: _Unit) -> bool:
        """Drop what the source once knew and no longer has: their deletes were missed here.

        If the disk has moved on at any of them, nothing of the unit is taken: the fence must stay until all are gone.
        """
        source, is_done = self._sources[view.peer], True
        for entry in self._context.reconciler.missing_from(unit.entries, last.known):
            if not self._applier.drop_collected(entry, last.known):
                self._look_again(entry.path, self._context.now)
                is_done = False
        self._context.is_changed = True
        if not is_done:
            source.wants_full, source.pull_due = True, self._context.now + 4 * PULL_DELAY_SECONDS
        return is_done
