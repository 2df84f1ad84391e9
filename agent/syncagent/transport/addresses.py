"""Addresses of the form tcp://HOST:PORT, and what names stand for."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """``text`` is what a person wrote."""

    text: str
    host: str
    port: int


def parse(text: str) -> Address:
    """Take an address apart. Raises ``ValueError`` with a sentence."""
    scheme, separator, rest = text.partition("://")
    host, colon, port = rest.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    is_port = port.isascii() and port.isdecimal() and int(port) < 2**16
    if scheme != "tcp" or not separator or not colon or not host or not is_port:
        raise ValueError(f"{text!r} is no address: write tcp://HOST:PORT, with an IPv6 address in [brackets]")
    return Address(text, host, int(port))


def endpoint(ip: str, port: int) -> str:
    """The same for ZeroMQ, of a numeric address."""
    return f"tcp://[{ip}]:{port}" if ":" in ip else f"tcp://{ip}:{port}"


def is_numeric(host: str) -> bool:
    """Whether no name needs to be looked up."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a numeric address never leaves this machine."""
    if not is_numeric(host):
        return False
    ip = ipaddress.ip_address(host.partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback


def resolve(host: str, port: int) -> list[str]:
    """The numeric addresses of a host, in the system's order. May take seconds. Raises ``OSError``."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(item[4][0]) for item in found))
