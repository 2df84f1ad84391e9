"""Is a replica that comes back the one that went away, or an older state of it? Its starts tell.

Each start of a replica draws an id: an ordinal, which grows by one with each start, and chance. So two histories that
part from each other have different ids from there on. Beside the id stands what the counter was. Peers remember what
they saw, and compare it with what the replica shows when it comes again.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from itertools import pairwise

from msgspec import Struct

from syncproto.limits import SESSION_ID_BYTES, STARTS_MAX
from syncproto.messages import Start

CHANCE_BYTES = 4
STARTS_KEPT = STARTS_MAX


class Remembered(Struct, frozen=True, array_like=True):
    """What was last seen of another replica: the ids of its starts, the newest last, and its counter in that one."""

    starts: tuple[bytes, ...] = ()
    counter: int = 0


def ordinal(start: bytes) -> int:
    """The place of a start among those of its replica."""
    return int.from_bytes(start[: SESSION_ID_BYTES - CHANCE_BYTES], "big")


def next_start(starts: Sequence[Start], chance: bytes) -> bytes:
    """The id of the start that follows these."""
    number = ordinal(starts[-1].id) + 1 if starts else 1
    return number.to_bytes(SESSION_ID_BYTES - CHANCE_BYTES, "big") + chance


class Marked(Enum):
    """What the start that is written on the volume says about volume and index."""

    SOUND = "they belong together"
    VOLUME_IS_OLDER = "the volume was restored from an older copy"
    INDEX_IS_OLDER = "the index was restored from an older copy"
    PARTED = "index and volume have gone different ways"
    COPIED = "the volume is a copy of the one that the index describes"


def judge_marker(starts: Sequence[bytes], written: bytes | None, found: bytes) -> Marked:
    """Compare the start ``found`` on the volume with those that the index knows, before it adds the next one.

    ``written``: the newest of which the index knows that it was written there. Any later one may have been, for an end
    may come before that is noted. None: nothing is known to have been written.
    """
    first = starts.index(written) if written in starts else 0
    if not found or found == written or found in starts[first:]:
        return Marked.SOUND
    if not starts:
        return Marked.PARTED
    if found in starts or ordinal(found) < ordinal(starts[0]):
        return Marked.VOLUME_IS_OLDER
    return Marked.INDEX_IS_OLDER if ordinal(found) > ordinal(starts[-1]) else Marked.PARTED


def judge_number(done: int, meant: int, found: int) -> Marked:
    """Compare the number ``found`` on the volume with those in the index.

    ``done``: known to be written there; ``meant``: noted before it was written. One in between may have been.
    """
    if found < done:
        return Marked.VOLUME_IS_OLDER
    return Marked.INDEX_IS_OLDER if found > meant else Marked.SOUND


def is_older(shown: Sequence[Start], remembered: Remembered) -> bool:
    """Whether who shows these starts does not know all that was seen of it: it was rolled back, or is a copy."""
    if not shown or not remembered.starts:
        return False
    newest = remembered.starts[-1]
    for start, following in pairwise(shown):
        if start.id == newest:
            return remembered.counter > following.ended
    if shown[-1].id == newest:
        return False
    if ordinal(newest) < ordinal(shown[0].id):  # too long ago to be shown
        return remembered.counter > shown[0].ended
    return True


def common_counter(own: Sequence[Start], remembered: Remembered) -> int:
    """Up to which counter the history that was seen and our own are the same; 0 if that is not known."""
    common = [number for number, start in enumerate(own) if start.id in remembered.starts]
    if not common:
        return 0
    following = common[-1] + 1
    return own[following].ended if following < len(own) else own[-1].began


def has_minted(own: Sequence[Start], counter: int, dot_counter: int) -> bool:
    """Whether ``dot_counter`` may be one of ours, whose counter now is ``counter``.

    After an unclean end the counter goes on above all that was reserved, and what it passed over was never used. Who
    knows a dot from there knows another history.
    """
    return dot_counter <= counter and not any(start.ended < dot_counter <= start.began for start in own)
