"""What ``syncctl`` has the agent do. Runs on the engine's thread; the service brings calls here and answers back."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncagent.engine.orders import forget, release, revert
from syncagent.engine.report import conflicts, held, inside, problems, why
from syncagent.status import (
    CommandRefused,
    ConflictStatus,
    HeldStatus,
    ProblemStatus,
    ReadyResult,
    WaitResult,
    WhyStatus,
)
from syncproto.model import Path
from syncproto.version import Vector, covers_all

if TYPE_CHECKING:
    from syncagent.engine.agent import Agent
    from syncagent.engine.volume import Volume


@dataclass(frozen=True, slots=True)
class WaitToken:
    """Per volume the barrier that says what is to be waited for."""

    barriers: dict[str, bytes]


class Commands:
    """The verbs of the control port."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent

    def _volumes(self, name: str | None) -> list[Volume]:
        volumes = self.agent.volumes
        if name is None:
            return list(volumes.values())
        if name in self.agent.suspended:
            raise CommandRefused(f"{name} is halted: {self.agent.suspended[name].cause}", 5)
        if name not in volumes:
            raise CommandRefused(f"there is no volume {name!r} here; there is {', '.join(volumes) or 'none'}", 2)
        return [volumes[name]]

    def places(self, name: str | None, path: bytes | None) -> list[tuple[Volume, Path]]:
        """The volumes that a path may be meant in, and where in them; without a path their roots."""
        volumes = self._volumes(name)
        if not path:
            return [(volume, b"") for volume in volumes]
        found = [(each, relative) for each in volumes if (relative := inside(each, path)) is not None]
        if not found:
            raise CommandRefused(f"{os.fsdecode(path)} is in no volume of this agent", 2)
        return [(each, b"" if relative == b"." else relative) for each, relative in found]

    # -- questions -----------------------------------------------------------------------------------------

    def wait_token(self, volume: str | None) -> WaitToken:
        """Begin a barrier on each volume."""
        barriers = {v.context.options.name: v.barriers.begin() for v in self._volumes(volume)}
        return WaitToken(barriers | (dict.fromkeys(self.agent.suspended, b"") if volume is None else {}))

    def wait_check(self, token: WaitToken, members: int | None) -> WaitResult:
        """Whether all members have applied what the barriers found."""
        results = [self._check_one(name, number, members) for name, number in token.barriers.items()]
        worst = next(
            (r for cause in ("alone", "blocked", "unreachable", "behind") for r in results if r.cause == cause), None
        )
        missing = [line for result in results for line in result.missing]
        fewest = min((result.members for result in results), default=0)
        if worst is None:
            return WaitResult(reached=True, members=fewest)
        return WaitResult(reached=False, cause=worst.cause, members=fewest, missing=missing)

    def _check_one(self, name: str, number: bytes, wanted: int | None) -> WaitResult:
        if (suspended := self.agent.suspended.get(name)) is not None:
            return WaitResult(reached=False, cause="blocked", members=1, missing=[f"{name}: halted: {suspended.cause}"])
        return self._check(self.agent.volumes[name], number, wanted)

    def _check(self, volume: Volume, number: bytes, wanted: int | None) -> WaitResult:
        context, membership, name = volume.context, volume.membership, volume.context.options.name
        others, expected = membership.others(), self.agent.expected(volume)
        members = 1 + len(others) + len(expected)
        if wanted is None and members == 1:
            return WaitResult(
                reached=False,
                cause="alone",
                members=1,
                missing=[f"{name}: this agent is the only member; '--members 1'"],
            )
        target = volume.barriers.known(number)
        blocked = self._blocked(volume)
        is_settled = volume.is_scanned and not context.halt
        if target is None or not covers_all(context.index.applied, target.items()) or not is_settled:
            text = f"{name}: {context.agent} has {context.index.pending_count} entries to apply"
            if target is None:
                asked = volume.barriers.awaited(number) or [context.agent]
                text = f"{name}: {', '.join(asked)} still looks at what may have changed"
            return WaitResult(
                reached=False, cause="blocked" if blocked else "behind", members=members, missing=blocked or [text]
            )
        away: list[str] = [f"{name}: {address} has never answered" for address in expected]
        done, lacking = self._ask_members(volume, target, blocked, away)
        if wanted is not None and done >= wanted and not blocked:
            return WaitResult(reached=True, members=members)
        if blocked:
            return WaitResult(reached=False, cause="blocked", members=members, missing=blocked + lacking + away)
        if lacking or away:
            cause = "unreachable" if away and not lacking else "behind"
            return WaitResult(reached=False, cause=cause, members=members, missing=lacking + away)
        if wanted is not None:
            return WaitResult(
                reached=False,
                cause="behind",
                members=members,
                missing=[f"{name}: {done} of {wanted} members are there"],
            )
        return WaitResult(reached=True, members=members)

    def _ask_members(
        self, volume: Volume, target: Vector, blocked: list[str], away: list[str]
    ) -> tuple[int, list[str]]:
        """How many members have applied ``target``, this one too, and what the connected others lack of it."""
        membership, name = volume.membership, volume.context.options.name
        names, done, lacking = membership.names(), 1, []
        for member in membership.others():
            who, incarnation = f"{name}: {names[member.incarnation]}", member.incarnation
            heard = membership.heard.get(incarnation)
            if membership.is_halted(incarnation):
                blocked.append(f"{who} is halted: see 'syncctl status' there")
            elif covers_all(membership.applied_of(incarnation), target.items()):
                done += 1
            elif membership.is_connected(incarnation):
                entries, size = membership.behind(incarnation)
                lacking.append(f"{who} lacks {entries} entries, {size} bytes")
                if heard is not None and heard.is_held:
                    blocked.append(f"{who} is held back: see 'syncctl status' there")
            else:
                away.append(f"{who} is not connected")
        return done, lacking

    def _blocked(self, volume: Volume) -> list[str]:
        """What needs a person before the volume can be equal everywhere."""
        context, name = volume.context, volume.context.options.name
        if context.halt:
            return [f"{name}: halted: {context.halt}; see 'syncctl adopt {name}'"]
        count = len(volume.lookout.departures.held) + len(volume.applier.holding.held)
        lines = [f"{name}: {count} deletes are held; see 'syncctl hold'"] if count else []
        return (
            lines
            + [f"{name}: {p.path or ''} {p.text}".replace("  ", " ") for p in context.problems if p.is_blocking][:10]
        )

    def ready(self) -> ReadyResult:
        """Whether all volumes were filled once."""
        missing = [name for name, volume in self.agent.volumes.items() if not volume.is_ready]
        missing += self.agent.suspended
        return ReadyResult(ready=not missing, missing=missing)

    def held(self, volume: str | None) -> list[HeldStatus]:
        """Deletes kept back."""
        return [line for v in self._volumes(volume) for line in held(v)]

    def conflicts(self, volume: str | None) -> list[ConflictStatus]:
        """Conflict copies that are there."""
        return [line for v in self._volumes(volume) for line in conflicts(v)]

    def problems(self, volume: str | None) -> list[ProblemStatus]:
        """What is wrong, the blocking first."""
        suspended = self.agent.suspended
        if volume in suspended:
            return [suspended[volume].problem()]
        found = [problem for v in self._volumes(volume) for problem in problems(v)]
        found += [each.problem() for each in suspended.values()] if volume is None else []
        return sorted(found, key=lambda p: (not p.is_blocking, p.code, p.path or ""))

    def why(self, volume: str | None, path: bytes) -> WhyStatus:
        """All that is known of a path; a relative one may be of any volume: the first that knows it tells."""
        places = [(each, inside(each, path)) for each in self._volumes(volume)]
        told = [why(each, relative) for each, relative in places if relative is not None]
        if not told:
            raise CommandRefused(f"{os.fsdecode(path)} is in no volume of this agent", 2)
        return next((one for one in told if one.state != "unknown"), told[0])

    # -- orders ----------------------------------------------------------------------------------------------

    def forget(self, volume: str | None, name: str) -> list[str]:
        """Take members of this name off the lists."""
        said = []
        for each in self._volumes(volume):
            names = each.membership.names()
            for member in each.membership.others():
                if name not in (member.name, names[member.incarnation], member.incarnation):
                    continue
                if each.membership.is_connected(member.incarnation):
                    raise CommandRefused(f"{name} is connected: stop that agent first, or it will be back at once", 1)
                forget(each, member)
                said.append(f"{each.context.options.name}: {name} is off the list")
        if not said:
            raise CommandRefused(f"there is no other member {name!r}", 1)
        return said

    def adopt(self, volume: str) -> list[str]:
        """What is at the root now becomes a new replica."""
        (each,) = self._volumes(volume)
        if each.context.halt is None:
            raise CommandRefused(f"{volume} is not halted: there is nothing to adopt", 1)
        try:
            each.identity.adopt()
        except OSError as error:
            path = os.fsdecode(each.context.options.path)
            raise CommandRefused(f"{path} cannot be opened: {error.strerror}", 5) from error
        return [f"{volume}: what is there now is a new replica; it is united with the others, nothing is deleted"]

    def release(self, volume: str | None, path: bytes | None = None) -> list[str]:
        """Apply the held deletes."""
        places = self.places(volume, path)
        return [f"{v.context.options.name}: {release(v, scope)} held deletes are applied" for v, scope in places]

    def revert(self, volume: str | None, path: bytes | None = None) -> list[str]:
        """Bring back what was deleted."""
        places = self.places(volume, path)
        return [f"{v.context.options.name}: {revert(v, scope)} deleted entries are brought back" for v, scope in places]

    def rescan(self, volume: str | None) -> list[str]:
        """Look at everything."""
        said = []
        for each in self._volumes(volume):
            if each.context.halt:
                raise CommandRefused(f"{each.context.options.name} is halted: {each.context.halt}", 5)
            each.walker.start_full()
            said.append(f"{each.context.options.name}: scanning everything")
        return said
