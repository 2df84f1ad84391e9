"""What is wrong with a peer's address, told once per change."""

from __future__ import annotations

import logging
from collections.abc import Callable

from syncagent.ports import PeerEvent, PeerTrouble

log = logging.getLogger(__name__)


class Trouble:
    """The trouble of one address, if there is any."""

    def __init__(self, address: str, emit: Callable[[PeerEvent], None]) -> None:
        self.reason = ""
        self._address = address
        self._emit = emit

    def set(self, reason: str) -> None:
        """The address cannot be used because of this."""
        if reason == self.reason:
            return
        self.reason = reason
        self._emit(PeerTrouble(self._address, reason))
        if reason:
            log.warning("peer %s: %s", self._address, reason)
        else:
            log.info("peer %s: the trouble is over", self._address)

    def clear(self) -> None:
        """The address works, or is no longer wanted."""
        self.set("")
