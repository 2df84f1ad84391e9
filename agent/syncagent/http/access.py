"""Who may do what: decided from the kind of connection and two headers, nothing else.

Over the Unix socket everything is allowed: its mode is the check. Over TCP a valid bearer token allows everything;
without one, reading is free where only this machine can connect, and changing nothing is.
A web page can make a browser connect to loopback under a name of the page's own (DNS rebinding): the Host header then
carries that name, so without a token only ``localhost``, literal addresses and the configured host are accepted.
"""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Door:
    """How connections of one listener come in. ``host``: the host part of the configured address."""

    is_unix: bool
    is_loopback: bool
    host: str
    token: bytes | None


@dataclass(frozen=True, slots=True)
class Rights:
    """What a request may do; ``refusal`` says why it may do nothing at all."""

    may_read: bool
    may_change: bool
    refusal: str = ""


def rights(door: Door, hosts: list[str], authorization: str | None) -> Rights:
    """The rights of a request with these Host headers and this Authorization header."""
    if door.is_unix or _is_bearer(authorization, door.token):
        return Rights(may_read=True, may_change=True)
    if len(hosts) != 1:
        return Rights(False, False, "a request needs exactly one Host header")
    if not _is_known_host(hosts[0], door.host):
        return Rights(
            False,
            False,
            f"the Host header names {hosts[0]!r}; use localhost or the agent's IP address, or send the token",
        )
    return Rights(may_read=door.is_loopback, may_change=False)


def _is_bearer(authorization: str | None, token: bytes | None) -> bool:
    scheme, _, presented = (authorization or "").partition(" ")
    if not token or scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(presented.strip().encode("latin-1", "replace"), token)


def _is_known_host(header: str, configured: str) -> bool:
    host = _without_port(header).lower()
    if host in ("localhost", configured.lower()):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _without_port(header: str) -> str:
    if header.startswith("["):
        return header[1:].partition("]")[0]
    host, separator, port = header.rpartition(":")
    return host if separator and port.isdigit() else header
