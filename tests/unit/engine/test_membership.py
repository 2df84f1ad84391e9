"""How long a member is remembered."""

from __future__ import annotations

from typing import cast

import pytest

from syncagent.core.reconcile import Reconciler
from syncagent.engine.context import Context, PeerView, VolumeOptions, Workers
from syncagent.engine.membership import Membership
from syncagent.engine.problems import Problems
from syncagent.ports import Peers, Scanner, Tree
from syncproto.messages import Relayed, VolumeHello, VolumeState
from syncproto.model import Member
from twins.index import MemoryDisk, MemoryIndex

DAY = 86400.0
OPTIONS = VolumeOptions("data", b"/data", forget_after=30 * DAY)


class Clock:
    """Time that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def wall_ns(self) -> int:
        return int(self.now * 1e9)

    def monotonic(self) -> float:
        return self.now

    def entropy(self, size: int) -> bytes:
        return bytes(size)


class Volume:
    """A member list that knows b since the beginning."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.index = MemoryIndex.open(MemoryDisk(), new_origin=lambda: "a.1")
        unused = object()  # a member list asks neither disk nor network
        self.context = Context(
            options=OPTIONS,
            agent="a",
            index=self.index,
            scanner=cast(Scanner, unused),
            tree=cast(Tree, unused),
            peers=cast(Peers, unused),
            workers=cast(Workers, unused),
            clock=self.clock,
            reconciler=Reconciler(self.index),
            problems=Problems(),
        )
        self.membership = Membership(self.context)
        self.index.put_member(Member("b.1", "b", since_ns=self.clock.wall_ns(), stamp=1))

    def restart(self) -> None:
        """What only the process knew is gone."""
        self.membership = Membership(self.context)
        self.context.views.clear()

    def hear(self, incarnation: str = "b.1", relays: str = "") -> None:
        """A state message of a connected peer."""
        view = self.context.views.get(incarnation)
        if view is None:
            hello = VolumeHello(OPTIONS.id, "data", incarnation)
            view = self.context.views[incarnation] = PeerView(incarnation, incarnation[0], incarnation, hello)
        relayed = {relays: Relayed({}, bytes(16), False, 0)} if relays else {}
        self.membership.on_state(
            view, VolumeState(OPTIONS.id, incarnation, 0, {}, {}, bytes(16), 0, 0, {}, relayed=relayed)
        )

    def names(self) -> list[str]:
        self.membership.retire_the_long_silent()
        return [member.name for member in self.membership.others()]


def test_a_member_that_was_connected_for_long_is_not_forgotten_when_it_goes() -> None:
    volume = Volume()
    for _ in range(40):
        volume.clock.now += DAY
        volume.hear()
        assert volume.names() == ["b"]
    volume.context.views.clear()
    volume.clock.now += DAY
    assert volume.names() == ["b"]
    volume.clock.now += 30 * DAY
    assert volume.names() == []


def test_a_restart_remembers_when_a_member_was_heard() -> None:
    volume = Volume()
    volume.clock.now += 40 * DAY
    volume.hear()
    assert volume.names() == ["b"]
    volume.restart()
    volume.clock.now += 29 * DAY
    assert volume.names() == ["b"]
    assert volume.membership.last_seen("b.1") is not None
    volume.clock.now += 2 * DAY
    assert volume.names() == []


@pytest.mark.parametrize("days", [1, 40])
def test_a_member_heard_through_others_is_heard(days: int) -> None:
    volume = Volume()
    volume.index.put_member(Member("c.1", "c", since_ns=volume.clock.wall_ns(), stamp=1))
    volume.clock.now += days * DAY
    volume.hear("b.1", relays="c.1")
    assert volume.names() == ["b", "c"]
    volume.clock.now += 29 * DAY
    volume.hear("b.1")
    assert volume.names() == ["b", "c"]
    volume.clock.now += 2 * DAY
    volume.hear("b.1")
    assert volume.names() == ["b"]
