"""Byte credit of one session, one class per end. Offsets count bulk bytes since the session began.

The receiver states how far the sender may go; the sender keeps what goes beyond, in order. A message larger than what
is left passes when at most an eighth of the window is still being worked off, so none is ever too large to be sent.
"""

from __future__ import annotations

from collections import deque

from syncproto import limits
from syncproto.codec import Parcel
from syncproto.errors import RemoteProtocolError


def _is_room(offset: int, size: int, limit: int, window: int) -> bool:
    """Whether ``size`` bytes may follow at ``offset``; ``limit`` is the receiver's consumption plus ``window``."""
    return offset + size <= limit or offset <= limit - window + window // 8


class Outflow:
    """Bulk on its way to a peer that granted ``window`` bytes at first."""

    def __init__(self, window: int) -> None:
        self.backlog_bytes = 0
        self._window = window
        self._limit = window
        self._sent = 0
        self._waiting: deque[Parcel] = deque()

    def grant(self, limit: int) -> None:
        """The peer's new limit; an older one that comes late is ignored."""
        self._limit = max(self._limit, limit)

    def put(self, parcel: Parcel) -> bool:
        """Queue a bulk message; False if so much waits already that it was dropped."""
        if self.backlog_bytes + parcel.size > limits.BACKLOG_BYTES_MAX and self._waiting and not parcel.is_answer:
            return False
        self._waiting.append(parcel)
        self.backlog_bytes += parcel.size
        return True

    def take(self) -> list[Parcel]:
        """What may be sent now, in the order in which it was put."""
        ready: list[Parcel] = []
        while self._waiting and _is_room(self._sent, self._waiting[0].size, self._limit, self._window):
            parcel = self._waiting.popleft()
            self.backlog_bytes -= parcel.size
            self._sent += parcel.size
            ready.append(parcel)
        return ready


class Inflow:
    """Bulk on its way from a peer to whom we granted ``window`` bytes at first."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._granted = window
        self._received = 0
        self._consumed = 0

    @property
    def unconsumed_bytes(self) -> int:
        """What came and was not yet worked off."""
        return self._received - self._consumed

    def arrive(self, size: int) -> None:
        """A bulk message came. Raises ``RemoteProtocolError`` if the peer had no credit for it."""
        if not _is_room(self._received, size, self._granted, self._window):
            raise RemoteProtocolError(
                f"bulk of {size} bytes at offset {self._received} exceeds the granted {self._granted}"
            )
        self._received += size

    def consume(self, size: int) -> int | None:
        """So many bytes were worked off; the new limit, if it is time to tell the peer."""
        self._consumed += min(size, self.unconsumed_bytes)
        if self._consumed + self._window - self._granted < max(1, self._window // 8):
            return None
        self._granted = self._consumed + self._window
        return self._granted
