"""Why the transport cannot start."""

from __future__ import annotations


class TransportFailed(Exception):
    """The transport cannot start, with cause and remedy in a sentence."""


class ListenFailed(TransportFailed):
    """An address cannot be listened on, with cause and remedy in a sentence."""
