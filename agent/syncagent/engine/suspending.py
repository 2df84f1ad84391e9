"""A volume whose index fails is suspended, alone: the others go on, and it begins anew once its index works.

Nothing that it had in memory is kept, as after a kill: memory may be ahead of what was committed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from syncagent.engine.context import Context, VolumeOptions, Workers
from syncagent.engine.problems import printable
from syncagent.ports import IndexFailed
from syncagent.status import ProblemStatus, VolumeStatus

if TYPE_CHECKING:
    from syncagent.engine.volume import Volume

T = TypeVar("T")

RETRY_SECONDS = 1.0
CODE = "index"

REPLACED_CODE = "index-replaced"

Reopen = Callable[[], "Volume"]
"""Opens the index again and makes the volume anew. Raises ``IndexFailed``."""


class Ward:
    """Makes all calls of one life of a volume, and none once its index has failed."""

    def __init__(self) -> None:
        self.failed: Callable[[IndexFailed], None] | None = None
        """Told of the first failure; without it failures are raised."""
        self.is_over = False

    def do(self, call: Callable[[], T]) -> T | None:
        """Make the call; None if it is too late for it, or the index fails."""
        if self.is_over:
            return None
        try:
            return call()
        except IndexFailed as error:
            if self.failed is None:
                raise
            self.is_over = True
            self.failed(error)
            return None


class WardedWorkers:
    """Workers whose results come to nobody once the volume is suspended."""

    def __init__(self, workers: Workers, ward: Ward) -> None:
        self._workers = workers
        self._ward = ward

    def submit(self, job: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Run ``job`` elsewhere, then ``done`` with what came of it."""
        self._workers.submit(job, lambda result: self._ward.do(lambda: done(result)))


@dataclass(slots=True)
class Suspended:
    """A volume that waits for its index."""

    options: VolumeOptions
    reopen: Reopen
    cause: str
    since: str
    due: float
    last: VolumeStatus | None = None
    """What was shown of it before, if that could still be read."""

    def status(self) -> VolumeStatus:
        """What it was last, without what cannot be known now."""
        last = self.last or _nothing_known(self.options)
        replicas = [msgspec.structs.replace(each, connected=each.self, in_sync=False) for each in last.replicas]
        return msgspec.structs.replace(
            last,
            state="halted",
            halt=self.cause,
            ready=False,
            in_sync=False,
            digest=None,
            replicas=replicas,
            problems=1,
            problem_codes={CODE: 1},
        )

    def problem(self) -> ProblemStatus:
        """The only one that counts now."""
        text, _, remedy = self.cause.rpartition(": ")
        return ProblemStatus(
            code=CODE,
            text=f"halted: {text or self.cause}",
            remedy=f"{remedy}; the volume then goes on by itself",
            is_blocking=True,
            since=self.since,
        )


def show_replaced(context: Context) -> None:
    """A damaged index was moved aside: that is shown as long as it lies there."""
    aside = context.index.replaced
    if not aside or not os.path.lexists(aside):
        context.problems.clear(REPLACED_CODE)
        return
    context.problems.add(
        REPLACED_CODE,
        f"the index was damaged and has begun anew; nothing was deleted for it. The damaged one is {aside}",
        remedy="look for disk errors in the system's log; remove it when you need it no longer",
        wall_ns=context.clock.wall_ns(),
    )


def _nothing_known(options: VolumeOptions) -> VolumeStatus:
    return VolumeStatus(
        name=options.name,
        path=printable(options.path),
        state="halted",
        direction=options.direction,
        watch="poll",
        ready=False,
        in_sync=False,
        digest=None,
        entries=0,
        bytes=0,
        pending=0,
        conflicts=0,
        problems=1,
        held=0,
        replicas=[],
    )
