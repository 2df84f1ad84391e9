"""Is a peer who it says it is, and do peers know us as we are? Clones are refused, and who was rolled back is told."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from syncagent.core.starts import Remembered, common_counter, has_minted, is_older
from syncagent.engine.context import PeerView
from syncagent.ports import PeerUp
from syncproto.messages import Doubt, Start, VolumeHello, VolumeState

if TYPE_CHECKING:
    from syncagent.engine.volume import Volume

log = logging.getLogger("syncagent.engine")

ROLLED_BACK, CLONE, ORIGINAL, OVER = "rolled-back", "clone", "original", ""
NOTHING = Remembered()
REMEDY = (
    "stop one of the two agents, empty its state directory, and start it again: "
    "what it has is then united with what the others have"
)


class Strangers:
    """Judges the Hellos of peers about one volume, and what peers say of ours."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._context = volume.context
        self._refused: dict[str, VolumeHello] = {}
        """Clones, by peer."""
        self._doubted: set[str] = set()
        self._told: dict[str, str] = {}
        """What peers said of this replica: the codes, by peer."""
        self._unanswered: Doubt | None = None

    # -- who they are ------------------------------------------------------------------------------------------

    def accepts(self, event: PeerUp, hello: VolumeHello) -> bool:
        """Whether the peer's incarnation is what it says: no clone of one that is connected, and not rolled back."""
        index = self._context.index
        if hello.incarnation == index.origin:
            self._refuse(event, hello, None)
            return False
        for rival in [v for v in self._context.views.values() if v.incarnation == hello.incarnation]:
            if not _follows(hello, rival, event.hello.agent):
                self._refuse(event, hello, rival)
                return False
            self._volume.peer_down(rival.peer)  # it was started again, and its old session is over
        remembered = index.remembered.get(hello.incarnation, NOTHING)
        if is_older(hello.starts, remembered):
            self._doubt(event, hello, remembered)
            return False
        starts = _ids(hello.starts)
        is_same = starts[-1:] == remembered.starts[-1:]
        self._remember(hello.incarnation, starts, remembered.counter if is_same else 0)
        return True

    def _refuse(self, event: PeerUp, hello: VolumeHello, rival: PeerView | None) -> None:
        """Two have one incarnation, and both are online: a person must say which one is to begin anew."""
        context, other = self._context, rival.name if rival else "this replica"
        text = (
            f"{event.hello.agent} at {event.address} has the same identity as {other} ({hello.incarnation}): "
            "the state of one is a copy of the other's, or of both was restored; it is refused"
        )
        log.error("volume %s: %s", context.options.name, text)
        self._refused[event.peer] = hello
        context.problems.add(CLONE, text, remedy=REMEDY, is_blocking=True, wall_ns=context.clock.wall_ns())
        if rival is not None:
            told = f"{context.agent} is connected to {other}, which has the same identity ({hello.incarnation})"
            self._tell(event.peer, hello.incarnation, CLONE, told)
            self._tell(rival.peer, hello.incarnation, ORIGINAL, f"{event.hello.agent} at {event.address}")

    def _doubt(self, event: PeerUp, hello: VolumeHello, remembered: Remembered) -> None:
        context = self._context
        text = f"{event.hello.agent} has come back with an older state than it had, and is told to begin anew"
        log.warning("volume %s: %s", context.options.name, text)
        self._doubted.add(event.peer)
        context.problems.add(ROLLED_BACK, text, remedy="none is needed", wall_ns=context.clock.wall_ns())
        self._tell(event.peer, hello.incarnation, ROLLED_BACK, "", remembered)

    def _tell(self, peer: str, incarnation: str, code: str, text: str, remembered: Remembered = NOTHING) -> None:
        doubt = Doubt(self._context.id, incarnation, code, text, remembered.starts, remembered.counter)
        self._context.peers.send(peer, doubt)

    def gone(self, peer: str, view: PeerView | None) -> None:
        """The session with a peer is over, joined or refused."""
        problems = self._context.problems
        self._hear(peer, OVER, "")
        self._doubted.discard(peer)
        if not self._doubted:
            problems.clear(ROLLED_BACK)
        if (hello := self._refused.pop(peer, None)) is not None:
            if not self._refused:
                problems.clear(CLONE)
            for rival in [v for v in self._context.views.values() if v.incarnation == hello.incarnation]:
                self._tell(rival.peer, hello.incarnation, OVER, "")
        elif view is not None and any(each.incarnation == view.incarnation for each in self._refused.values()):
            self._volume.rehello()  # who was refused for its sake may come now

    # -- what is remembered of them ------------------------------------------------------------------------------

    def heard(self, view: PeerView, state: VolumeState) -> bool:
        """Remember the peer's own counter; False if what it knows of us shows that we were rolled back."""
        index = self._context.index
        known = state.known.get(index.origin, 0)
        if not has_minted(index.starts, index.counter, known):
            self._volume.identity.rolled_back(f"peers know change {known} of this replica, which it does not know", 0)
            return False
        self._remember(view.incarnation, _ids(view.hello.starts), state.known.get(view.incarnation, 0))
        return True

    def _remember(self, incarnation: str, starts: tuple[bytes, ...], counter: int) -> None:
        seen, index = Remembered(starts, counter), self._context.index
        if starts and index.remembered.get(incarnation) != seen:
            index.remember(incarnation, seen)
            self._context.is_changed = True

    # -- what they say of us --------------------------------------------------------------------------------------

    def on_doubt(self, peer: str, doubt: Doubt) -> None:
        """A peer doubts this replica, or tells of a clone of it."""
        index = self._context.index
        if doubt.incarnation != index.origin:
            return  # that one has ended
        if doubt.code == ROLLED_BACK:
            self._judge(doubt)
            return
        if doubt.code == CLONE:
            self._volume.peer_down(peer)  # it takes nothing from us, and tells us nothing
        self._hear(peer, doubt.code, doubt.text)

    def resumed(self) -> None:
        """The halt is over."""
        doubt, self._unanswered = self._unanswered, None
        if doubt is not None and doubt.incarnation == self._context.index.origin:
            self._judge(doubt)

    def _judge(self, doubt: Doubt) -> None:
        index, remembered = self._context.index, Remembered(doubt.starts, doubt.counter)
        if self._context.halt:
            self._unanswered = doubt
        elif is_older(index.starts, remembered):
            self._volume.identity.rolled_back(
                "the index is older than what peers have seen of this replica: it was restored, or is a copy",
                common_counter(index.starts, remembered),
            )

    def _hear(self, peer: str, code: str, text: str) -> None:
        context = self._context
        old = self._told.pop(peer, None)
        if old is not None and old not in self._told.values():
            context.problems.clear(f"told-{old}")
        if code not in (CLONE, ORIGINAL):
            return
        self._told[peer] = code
        if code == CLONE:
            text = f"refused: {text}: the state of this replica is a copy of the other's, or of both was restored"
        else:
            text = f"{text} has the same identity as this replica, and was refused: its state is a copy of this one's"
        is_new = context.problems.add(
            f"told-{code}", text, remedy=REMEDY, is_blocking=code == CLONE, wall_ns=context.clock.wall_ns()
        )
        if is_new:
            log.error("volume %s: %s", context.options.name, text)


def _ids(starts: Iterable[Start]) -> tuple[bytes, ...]:
    return tuple(start.id for start in starts)


def _follows(hello: VolumeHello, rival: PeerView, name: str) -> bool:
    """Whether the Hello is of the very replica of that session, started again since."""
    if not hello.starts or not rival.hello.starts:
        return rival.name == name
    return rival.hello.starts[-1].id in _ids(hello.starts[:-1])
