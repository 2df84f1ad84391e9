"""Sends to other agents and hears from them, over ZeroMQ. See SPEC.md for the wire."""

from __future__ import annotations

from syncagent.transport.errors import ListenFailed, TransportFailed
from syncagent.transport.transport import Transport

__all__ = ["ListenFailed", "Transport", "TransportFailed"]
