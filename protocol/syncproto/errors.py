"""Errors of the protocol: our own mistakes apart from the peer's."""

from __future__ import annotations


class ProtocolError(Exception):
    """Anything that the protocol package refuses."""


class LocalProtocolError(ProtocolError):
    """We asked for something that the protocol does not allow: a bug of ours."""


class RemoteProtocolError(ProtocolError):
    """The peer sent what the protocol does not allow: its connection is dropped and counted."""


class DecodeError(RemoteProtocolError):
    """A message is malformed, unknown, or larger than a limit."""
