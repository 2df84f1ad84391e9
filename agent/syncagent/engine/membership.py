"""Who the members are, and what each was last heard to have applied."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from syncagent.core.members import display_names, gone, merge_members, present
from syncagent.engine.context import Context, PeerView
from syncagent.engine.problems import rfc3339
from syncagent.engine.rooting import RootAttributes
from syncproto.limits import SILENCE_SECONDS
from syncproto.messages import Members, Relayed, VolumeState
from syncproto.model import Member
from syncproto.version import Vector, covers, covers_all, merge

log = logging.getLogger("syncagent.engine")

NO_DIGEST = bytes(16)
LOSS_MARGIN_SECONDS = 0.5
SEEN_PREFIX = "seen:"
KEEP_EVERY_SECONDS = 600.0
RELEASED_KEY = "released"


@dataclass(frozen=True, slots=True)
class Heard:
    """The last word of a member, direct or relayed. ``at`` is of the monotonic clock."""

    applied: Vector
    digest: bytes
    is_held: bool
    at: float


class Membership:
    """The member list of one volume and the news of its members."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.heard: dict[str, Heard] = {}
        self._acked: dict[str, int] = {}
        self._behind: dict[str, tuple[float, int, int]] = {}
        self._in_step_at: dict[str, float] = {}
        self._lost_at: dict[str, float] = {}
        self.root = RootAttributes(context)

    def enlist(self) -> None:
        """Put this replica on the list, or back on it."""
        context, index = self._context, self._context.index
        mine = {m.incarnation: m for m in index.members()}.get(index.origin)
        if mine is not None and not mine.is_gone and mine.name == context.agent:
            return
        wall_ns = context.clock.wall_ns()
        stamp = max(wall_ns, mine.stamp + 1 if mine else 0)
        index.put_member(Member(index.origin, context.agent, context.options.direction, wall_ns, stamp))
        context.is_changed = True

    def met(self, view: PeerView) -> None:
        """Who is connected is a member, until its own word, which outranks this, is heard in a moment."""
        context, index = self._context, self._context.index
        if all(member.incarnation != view.incarnation for member in index.members()):
            index.put_member(Member(view.incarnation, view.name, view.hello.direction, context.clock.wall_ns(), 0))
            context.is_changed = True

    def others(self) -> list[Member]:
        """The present members but this replica."""
        origin = self._context.index.origin
        return [member for member in present(self._context.index.members()) if member.incarnation != origin]

    def names(self) -> dict[str, str]:
        """A name for each present incarnation."""
        return display_names(self._context.index.members())

    def views_of(self, incarnation: str) -> Iterator[PeerView]:
        """The sessions with this member."""
        return (view for view in self._context.views.values() if view.incarnation == incarnation)

    # -- the list -------------------------------------------------------------------------------------------

    def on_members(self, message: Members) -> bool:
        """Merge a peer's list; True if there was news."""
        index = self._context.index
        news = merge_members(index.members(), message.members)
        for member in news:
            index.put_member(member)
        if any(member.incarnation == index.origin and member.is_gone for member in news):
            self.enlist()
        released = merge(self.released, message.released)
        is_news = bool(news) or released != self.released
        is_news |= self.root.heard(message.root)
        if released != self.released:
            self.set_released(released)
        self._context.is_changed |= is_news
        return is_news

    def list_message(self) -> Members:
        """The whole list."""
        return Members(self._context.id, tuple(self._context.index.members()), self.released, self.root.register)

    @property
    def released(self) -> Vector:
        """Deletes at or below it were released by a person somewhere: no brake holds them any more."""
        text = self._context.index.get(RELEASED_KEY)
        return msgspec.msgpack.decode(text, type=dict[str, int]) if text else {}

    def set_released(self, released: Vector) -> None:
        """Remember, and tell with the list."""
        self._context.index.set(RELEASED_KEY, msgspec.msgpack.encode(released))
        self._context.is_changed = True

    def replace_namesakes(self, view: PeerView) -> bool:
        """A new incarnation under a known name replaces the old one; True if that one is still connected."""
        context, has_rival = self._context, False
        for member in self.others():
            if member.name != view.name or member.incarnation == view.incarnation:
                continue
            if self.is_connected(member.incarnation):
                has_rival = True
                context.problems.add(
                    "namesakes",
                    f"two members are called {member.name}",
                    remedy="give one agent another --name",
                    wall_ns=context.clock.wall_ns(),
                )
            else:
                self.retire(member)
        return has_rival

    def look_for_namesakes(self) -> None:
        """Those that were connected a moment ago, as others told, may be gone by now."""
        if not [view for view in self._context.views.values() if self.replace_namesakes(view)]:
            self._context.problems.clear("namesakes")

    def retire(self, member: Member) -> None:
        """The member is gone: its acknowledgements are no longer waited for."""
        self._context.index.put_member(gone(member, self._context.clock.wall_ns()))
        self.heard.pop(member.incarnation, None)
        self._context.is_changed = True
        log.info("volume %s: member %s is off the list", self._context.options.name, member.name)

    def retire_the_long_silent(self) -> None:
        """Members that were not heard for ``forget_after`` leave the list; of the others it is noted that they were."""
        context = self._context
        for member in self.others():
            heard_ns = self._last_heard_ns(member.incarnation)
            kept_ns = self._kept_ns(member.incarnation)
            if heard_ns is not None and heard_ns - (kept_ns or 0) > KEEP_EVERY_SECONDS * 1e9:
                context.index.set(SEEN_PREFIX + member.incarnation, str(heard_ns).encode())
                context.is_changed = True
            silent_since = max(member.since_ns, heard_ns or 0)
            is_silent = context.clock.wall_ns() - silent_since > context.options.forget_after * 1e9
            if is_silent and not self.is_connected(member.incarnation):
                self.retire(member)

    def _kept_ns(self, incarnation: str) -> int | None:
        kept = self._context.index.get(SEEN_PREFIX + incarnation)
        return int(kept) if kept else None

    def _last_heard_ns(self, incarnation: str) -> int | None:
        """When the member was last heard, directly or by relay, in this run of the agent or before."""
        context, heard = self._context, self.heard.get(incarnation)
        if heard is None:
            return self._kept_ns(incarnation)
        return context.clock.wall_ns() - int((context.now - heard.at) * 1e9)

    # -- the news -------------------------------------------------------------------------------------------

    def on_state(self, view: PeerView, state: VolumeState) -> bool:
        """Take in what a peer says of itself and relays of others; True if something was acknowledged."""
        now = self._context.now
        progressed = view.state is None or view.state.applied != state.applied
        if progressed and self._context.index.applied_by.get(view.incarnation) != state.applied:
            self._context.index.set_applied_by(view.incarnation, state.applied)
            self._context.is_changed = True
        view.state = state
        self.heard[view.incarnation] = Heard(state.applied, state.digest, state.is_held, now)
        for incarnation, relayed in state.relayed.items():
            self._on_relayed(incarnation, relayed, now)
        return progressed

    def _on_relayed(self, incarnation: str, relayed: Relayed, now: float) -> None:
        if incarnation == self._context.index.origin or any(self.views_of(incarnation)):
            return
        at = now - relayed.age_ms / 1000
        old = self.heard.get(incarnation)
        if old is not None and old.at >= at:
            return
        applied = merge(old.applied, relayed.applied) if old else relayed.applied
        self.heard[incarnation] = Heard(applied, relayed.digest, relayed.is_held, at)
        if self._context.index.applied_by.get(incarnation) != applied:
            self._context.index.set_applied_by(incarnation, applied)
            self._context.is_changed = True

    def relayed(self) -> dict[str, Relayed]:
        """What there is to tell of others."""
        now = self._context.now
        return {
            incarnation: Relayed(heard.applied, heard.digest, heard.is_held, max(0, int((now - heard.at) * 1000)))
            for incarnation, heard in self.heard.items()
        }

    def is_connected(self, incarnation: str) -> bool:
        """Whether there is a session with the member, or others relay that they have heard it lately."""
        if any(self.views_of(incarnation)):
            return True
        heard = self.heard.get(incarnation)
        if heard is None or self._context.now - heard.at >= SILENCE_SECONDS:
            return False
        return heard.at > self._lost_at.get(incarnation, -1e9) + LOSS_MARGIN_SECONDS

    def lost(self, view: PeerView) -> None:
        """The session with the member ended: what others heard of it before does not make it connected."""
        self._lost_at[view.incarnation] = self._context.now

    def applied_of(self, incarnation: str) -> Vector:
        """What the member is known to have applied."""
        return self._context.index.applied_by.get(incarnation, {})

    def is_in_sync(self, incarnation: str) -> bool:
        """Whether the member is connected, holds nothing back, and has the same vectors and digest."""
        heard, index = self.heard.get(incarnation), self._context.index
        if heard is None or not self.is_connected(incarnation) or heard.is_held:
            return False
        return heard.applied == index.known and heard.digest == index.digest

    def is_halted(self, incarnation: str) -> bool:
        """Whether the member says of itself, by a digest of nothing, that its volume is halted."""
        heard = self.heard.get(incarnation)
        if heard is None or not self.is_connected(incarnation):
            return False
        return heard.is_held and heard.digest == NO_DIGEST != self._context.index.digest

    def behind(self, incarnation: str) -> tuple[int, int]:
        """How many entries and bytes the member has not applied, as far as is known here."""
        index, now = self._context.index, self._context.now
        applied = self.applied_of(incarnation)
        cached = self._behind.get(incarnation)
        if cached is not None and now - cached[0] < 0.5:
            return cached[1], cached[2]
        entries = size = 0
        first = self._acked.get(incarnation, 0)
        for entry in index.changed_since(first):
            if not all(covers(applied, dot) for dot in (*entry.version, entry.metadata.dot)):
                entries += 1
                size += entry.size if entry.is_live else 0
        if entries == 0:
            self._acked[incarnation] = index.sequence
            self._in_step_at[incarnation] = now
        self._behind[incarnation] = (now, entries, size)
        return entries, size

    def note_who_is_in_step(self) -> None:
        """Now and then: from who has all that is known here, a lag is counted anew."""
        index, now = self._context.index, self._context.now
        for incarnation, heard in self.heard.items():
            if covers_all(heard.applied, index.known.items()):
                self._in_step_at[incarnation] = now

    def seconds_out_of_step(self, incarnation: str) -> float | None:
        """For how long the member has lacked something, at most; None if it was never seen to have everything."""
        since = self._in_step_at.get(incarnation)
        return None if since is None else self._context.now - since

    def lag_seconds(self, incarnation: str) -> float | None:
        """For how long the member has lacked something; None if it was never seen to have everything."""
        entries, _ = self.behind(incarnation)
        if entries == 0:
            return 0.0
        since = self.seconds_out_of_step(incarnation)
        return None if since is None else round(since, 3)

    def last_seen(self, incarnation: str) -> str | None:
        """When the member was last heard, in UTC."""
        heard_ns = self._last_heard_ns(incarnation)
        return None if heard_ns is None else rfc3339(heard_ns)
