"""The clean stop: what is dirty is looked at and sent, and one member has it, or the time is over."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial

from syncagent.engine import Agent
from syncagent.engine.volume import Volume
from syncagent.service.loop import Loop
from syncproto.version import covers_all

log = logging.getLogger("syncagent.service")

GRACE_SECONDS = 0.06
STEP_SECONDS = 0.02


def drain(agent: Agent, loop: Loop, patience: float, is_told_again: Callable[[float], bool]) -> bool:
    """Wait until each volume's changes are with another member; logs what stayed behind. False if cut short."""
    begun = time.monotonic()
    while True:
        try:
            behind = loop.ask(partial(_all_left_behind, agent), timeout=5.0)
        except TimeoutError:
            behind = ["the engine is busy"]
        spent = time.monotonic() - begun
        if not behind and spent >= GRACE_SECONDS:
            return True
        if spent >= patience:
            for text in behind:
                log.warning("stayed behind: %s", text)
            return True
        if is_told_again(STEP_SECONDS):
            log.warning("told to stop twice: ending at once")
            return False


def _all_left_behind(agent: Agent) -> list[str]:
    told = [volume.ward.do(partial(_left_behind, volume)) for volume in list(agent.volumes.values())]
    return [text for text in told if text]


def _left_behind(volume: Volume) -> str:
    """What of a volume is with nobody else yet; empty if nothing is."""
    context, membership = volume.context, volume.membership
    name = context.options.name
    if context.halt:
        return ""
    if not volume.is_quiet():
        return f"volume {name}: {len(volume.lookout.dirty)} paths were not looked at"
    others = membership.others()
    if not others:
        return ""
    index = context.index
    known = {index.origin: index.known.get(index.origin, 0)}
    if any(covers_all(membership.applied_of(member.incarnation), known.items()) for member in others):
        return ""
    fewest = min(membership.behind(member.incarnation)[0] for member in others)
    return f"volume {name}: {fewest} entries are with no other member"
