"""Moments as people write them: so long ago, or a date and time."""

from __future__ import annotations

from datetime import UTC, datetime

from syncagent.config.values import DURATION, SECONDS
from syncagent.status import CommandRefused


def moment_ns(text: str, wall_ns: int) -> int:
    """Nanoseconds since the epoch of ``10m``, ``2h`` (before ``wall_ns``) or of an RFC 3339 time.

    A time without zone is UTC. Raises ``CommandRefused``.
    """
    match = DURATION.fullmatch(text)
    if match is not None and match[2]:
        return max(0, wall_ns - int(float(match[1]) * SECONDS[match[2]] * 1e9))
    try:
        given = datetime.fromisoformat(text)
        given = given if given.tzinfo else given.replace(tzinfo=UTC)
        since = given - datetime.fromtimestamp(0, UTC)
    except (ValueError, OverflowError):
        raise CommandRefused(f"{text!r} is no time; write 10m, 2h, 1d or 2026-11-24T09:30:00Z", 2) from None
    return max(0, (since.days * 86400 + since.seconds) * 10**9 + since.microseconds * 1000)
