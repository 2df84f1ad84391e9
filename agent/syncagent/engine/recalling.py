"""Asks all members that can be reached what stood at paths before they were changed; and reverts those changes.

The replica whose user made a change knows best what stood there, and the others keep the content: so everybody tells
what it knows, the best of it counts, and one replica, the one that was ordered, makes the new versions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import xxhash

from syncagent.engine.context import PeerView
from syncagent.engine.problems import printable
from syncagent.engine.wayback import LISTED_MAX, Wishes, is_at_hand, is_within, require_sound
from syncagent.ports import Past
from syncagent.status import UndoResult
from syncproto import limits
from syncproto.messages import Former, Recall, Recalled
from syncproto.model import Entry, Path

if TYPE_CHECKING:
    from syncagent.engine.volume import Volume

HOPS = 8
QUIET_SECONDS = 5.0
"""So long a volume that is not quiet may make everybody wait."""
ANSWER_SECONDS = 20.0
LIVE_NS = 60 * 10**9
"""Who saw a new path so soon after its stamp saw it made."""
KEPT_SECONDS = 3600.0
PART_BYTES_MAX = 500_000

Formers = dict[Path, Former]


@dataclass(slots=True)
class _Active:
    since: int
    path: Path
    started: float
    asked_by: str | None
    patience: float
    take: Callable[[Formers, list[str]], UndoResult] | None = None
    waiting: dict[str, str] = field(default_factory=dict)
    """Peers whose answers are missing, with their names."""
    silent: list[str] = field(default_factory=list)
    formers: Formers = field(default_factory=dict)
    has_own: bool = False
    is_done: bool = False
    result: UndoResult | None = None


class Recaller:
    """The questions that pass through one volume, and what was asked here."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._active: dict[bytes, _Active] = {}
        self._drawn = 0

    def begin(self, since: int, path: Path, take: Callable[[Formers, list[str]], UndoResult]) -> bytes:
        """Ask everybody; ``take`` makes something of the answers and of the names of those who gave none."""
        require_sound(self._volume)
        context = self._volume.context
        self._drawn += 1
        seed = f"{context.index.origin}:recall:{self._drawn}:{context.clock.wall_ns()}"
        number: bytes = xxhash.xxh64(seed.encode()).digest()
        self._start(number, Recall(context.id, number, HOPS, since, path), None)
        self._active[number].take = take
        return number

    def result(self, number: bytes) -> UndoResult | None:
        """What became of it, None while answers are missing."""
        active = self._active.get(number)
        return UndoResult(reverted=0, unchanged=0) if active is None else active.result

    def _start(self, number: bytes, asked: Recall, asked_by: str | None) -> None:
        context = self._volume.context
        patience = ANSWER_SECONDS * (asked.hops + 1) / (HOPS + 1)  # whoever is asked later gives up earlier
        active = self._active[number] = _Active(asked.since, asked.path, context.now, asked_by, patience)
        for view in list(context.views.values()) if asked.hops > 0 else ():
            if view.peer != asked_by:
                active.waiting[view.peer] = view.name
                context.peers.send(view.peer, Recall(context.id, number, asked.hops - 1, asked.since, asked.path))

    # -- messages --------------------------------------------------------------------------------------

    def on_recall(self, view: PeerView, message: Recall) -> None:
        """Pass it on and answer; one that came already by another way is answered at once."""
        if message.id in self._active:
            self._volume.context.peers.send(view.peer, Recalled(self._volume.context.id, message.id, (), True))
        else:
            self._start(message.id, message, view.peer)

    def on_recalled(self, view: PeerView, message: Recalled) -> None:
        """A part of a peer's answer."""
        active = self._active.get(message.id)
        if active is None or view.peer not in active.waiting:
            return
        _take_in(active.formers, message.formers)
        if message.is_last:
            del active.waiting[view.peer]

    def peer_gone(self, view: PeerView) -> None:
        """Its answer will not come."""
        for active in self._active.values():
            if (name := active.waiting.pop(view.peer, None)) is not None:
                active.silent.append(name)

    # -- turns -----------------------------------------------------------------------------------------

    def next_due(self) -> float | None:
        """When a question may be answered that waits only for time."""
        times = [
            a.started + (a.patience if a.has_own else QUIET_SECONDS) for a in self._active.values() if not a.is_done
        ]
        return min(times, default=None)

    def run(self) -> None:
        """Answer what can be answered."""
        now = self._volume.context.now
        for number, active in list(self._active.items()):
            if active.is_done:
                if now - active.started > KEPT_SECONDS:
                    del self._active[number]
                continue
            if not active.has_own and (self._volume.is_quiet() or now - active.started >= QUIET_SECONDS):
                active.has_own = True
                _take_in(active.formers, self._own(active))
            if active.has_own and (not active.waiting or now - active.started >= active.patience):
                self._finish(number, active)

    def _finish(self, number: bytes, active: _Active) -> None:
        active.is_done = True
        active.silent += active.waiting.values()
        if active.take is not None:
            active.result = active.take(active.formers, sorted(active.silent))
            self._volume.finish()
        elif active.asked_by is not None:
            context = self._volume.context
            parts = list(_parts(active.formers.values()))
            for place, part in enumerate(parts, start=1):
                context.peers.send(active.asked_by, Recalled(context.id, number, part, place == len(parts)))
        active.formers = {}

    def _own(self, active: _Active) -> Iterable[Former]:
        """What the history here says: of each path its first change since then."""
        volume = self._volume
        if volume.context.halt:
            return
        seen: set[Path] = set()
        for past in volume.context.index.history_since(active.since):
            if past.path in seen or not past.dot[0] or not is_within(past.path, active.path):
                continue  # a row that was made anew from the store alone knows no change
            seen.add(past.path)
            yield self._former(past)

    def _former(self, past: Past) -> Former:
        before = past.before
        if before is not None and not before.counter:  # likewise
            before = None
        is_kept = before is not None and (not before.is_live or is_at_hand(self._volume, before))
        return Former(past.path, before, before is not None or past.at_ns - past.stamp <= LIVE_NS, is_kept)


def _take_in(formers: Formers, more: Iterable[Former]) -> None:
    """Per path the line of whoever knew the latest counts; who has the content may be somebody else."""
    for new in more:
        old = formers.get(new.path)
        if old is None or old.entry is None and new.entry is not None:
            formers[new.path] = new
        elif old.entry is None or new.entry is None:
            formers[new.path] = old if old.entry is not None or old.is_sure else new
        else:
            best = new if new.entry.rank > old.entry.rank else old
            is_same = old.entry.same_payload(new.entry)
            is_kept = old.is_kept or new.is_kept if is_same else best.is_kept
            formers[new.path] = Former(new.path, best.entry, True, is_kept)


def _parts(formers: Iterable[Former]) -> Iterable[tuple[Former, ...]]:
    """Cut an answer into messages; the last may be empty."""
    part: list[Former] = []
    size = 0
    for former in formers:
        part.append(former)
        size += 300 + 2 * len(former.path) + (0 if former.entry is None else _weight(former.entry))
        if len(part) >= limits.DELTA_ENTRIES_MAX or size >= PART_BYTES_MAX:
            yield tuple(part)
            part, size = [], 0
    yield tuple(part)


def _weight(entry: Entry) -> int:
    value = entry.metadata.value
    xattrs = sum(len(name) + len(held) for name, held in value.xattrs) if value is not None else 0
    return xattrs + len(entry.content or b"") + 60 * (len(entry.version) + len(entry.carried))


# -- undo --------------------------------------------------------------------------------------------------


def undo(volume: Volume, formers: Formers, silent: list[str]) -> UndoResult:
    """Make new versions that are as all was before; gives counts, and what could not be."""
    wishes, lacking, unsure, unchanged = Wishes(volume), list[str](), list[str](), 0
    for path, former in sorted(formers.items()):
        before = former.entry
        if before is None and not former.is_sure:
            here = volume.context.index.entry(path)
            if here is not None and here.is_live:
                unsure.append(printable(path))
        elif before is None or not before.is_live:
            unchanged += not wishes.let_go(path)
        elif not former.is_kept and not is_at_hand(volume, before):
            here = volume.context.index.entry(path)
            if here is not None and here.same_payload(before):
                unchanged += 1
            else:
                lacking.append(printable(path))
        else:
            unchanged += not wishes.bring_back(path, before)
    wishes.grant()
    return UndoResult(
        reverted=len(wishes),
        unchanged=unchanged,
        lacking=lacking[:LISTED_MAX],
        unsure=unsure[:LISTED_MAX],
        silent=silent,
    )
