"""From text to one value, and back. What is wrong is a ValueError that continues the sentence "'TEXT' …"."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Any

from syncagent.config.model import Brake, Endpoint

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9_.])?")
DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)?")
BRAKE = re.compile(r"([0-9]{1,9})[,:]([0-9]{1,3})%")
ADDRESS = re.compile(r"(\[(?P<v6>[^\[\]]*)\]|(?P<host>[^\[\]:]*)):(?P<port>[0-9]{1,5})")
SIZE = re.compile(r"([0-9]{1,15})([KMGT])?i?B?")
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
DAY = 86400.0


def name(text: str) -> str:
    """The name of an agent, a cluster or a volume."""
    if not NAME.fullmatch(text) or text in (".", ".."):
        raise ValueError("is not a name; use 1 to 64 of the characters A-Z a-z 0-9 . _ -")
    return text


def one_of(*choices: str) -> Callable[[str], str]:
    """A parser that takes one of ``choices``."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"is not one of {', '.join(choices)}{did_you_mean(text, choices)}")
        return text

    return parse


def duration(low: float, high: float) -> Callable[[str], float]:
    """A parser for a duration from ``low`` to ``high`` seconds; a number without unit is seconds."""

    def parse(text: str) -> float:
        match = DURATION.fullmatch(text)
        if match is None:
            raise ValueError("is not a duration; write 500ms, 5s, 10m, 2h, 30d or plain seconds")
        seconds = float(match[1]) * SECONDS[match[2] or "s"]
        if not low <= seconds <= high:
            raise ValueError(f"is out of range; use {show_duration(low)} to {show_duration(high)}")
        return seconds

    return parse


def duration_or_never(low: float, high: float) -> Callable[[str], float | None]:
    """As ``duration``; "never" is None."""
    parse = duration(low, high)
    return lambda text: None if text == "never" else parse(text)


def show_duration(seconds: float | None) -> str:
    """The shortest exact way to write a duration."""
    if seconds is None:
        return "never"
    for unit in ("d", "h", "m", "s"):
        if seconds and seconds % SECONDS[unit] == 0:
            return f"{seconds / SECONDS[unit]:.0f}{unit}"
    return f"{seconds * 1000:.0f}ms" if 0 < seconds < 1 else f"{seconds:g}s"


def brake(text: str) -> Brake | None:
    """``N,P%`` (or ``N:P%``) or ``off``, which is None."""
    if text == "off":
        return None
    match = BRAKE.fullmatch(text)
    if match is None or int(match[1]) < 1 or not 1 <= int(match[2]) <= 100:
        raise ValueError("is not a brake; write a number and a percentage as 100,25% or off")
    return Brake(int(match[1]), int(match[2]))


def show_brake(value: Brake | None) -> str:
    return "off" if value is None else str(value)


def size_or_off(text: str) -> int | None:
    """Bytes, with a unit of 1024s; "off" is None."""
    if text == "off":
        return None
    match = SIZE.fullmatch(text)
    if match is None:
        raise ValueError("is not a size; write 500M, 1G, 2T, plain bytes or off")
    return int(match[1]) * UNITS[match[2] or ""]


def show_size(size: int | None) -> str:
    """The shortest exact way to write a size."""
    if size is None:
        return "off"
    unit = next((unit for unit in ("T", "G", "M", "K") if size and size % UNITS[unit] == 0), "")
    return f"{size // UNITS[unit]}{unit}"


def listen_address(text: str) -> Endpoint:
    """Where to listen: tcp://ADDRESS:PORT; ``*`` is all interfaces, port 0 any free port."""
    endpoint = _tcp(text, "tcp://ADDRESS:PORT")
    return Endpoint(_interface(endpoint.host), endpoint.port)


def peer_address(text: str) -> Endpoint:
    """Where another agent can be reached: tcp://HOST:PORT."""
    endpoint = _tcp(text, "tcp://HOST:PORT")
    if endpoint.is_wildcard:
        raise ValueError("is no address that can be dialled; name the host")
    if endpoint.port == 0:
        raise ValueError("has port 0, which cannot be dialled; name the port the other agent listens on")
    return endpoint


def http_address(text: str) -> Endpoint:
    """Where to serve HTTP: ADDRESS:PORT; ``*`` is all interfaces, port 0 any free port."""
    if "://" in text:
        raise ValueError(
            f"has a scheme; write ADDRESS:PORT as {text.partition('://')[2].rstrip('/') or '127.0.0.1:7481'}"
        )
    endpoint = _endpoint(text, "ADDRESS:PORT")
    return Endpoint(_interface(endpoint.host), endpoint.port)


def did_you_mean(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """``; did you mean X?`` for the nearest of ``known``, or nothing."""
    from difflib import get_close_matches  # only when something is wrong

    near = get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {near[0]}?" if near else ""


def _tcp(text: str, form: str) -> Endpoint:
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise ValueError(f"is not an address of the form {form}; write tcp://{text if ':' in text else text + ':7401'}")
    if scheme != "tcp":
        raise ValueError(f"has the scheme {scheme!r}; only tcp is supported: {form}")
    return _endpoint(rest, form)


def _endpoint(text: str, form: str) -> Endpoint:
    match = ADDRESS.fullmatch(text)
    if match is None:
        raise ValueError(f"is not an address of the form {form}, as 127.0.0.1:7401 or [::1]:7401")
    if int(match["port"]) > 65535:
        raise ValueError(f"has port {match['port']}; ports end at 65535")
    return Endpoint(_v6(match["v6"]) if match["host"] is None else _host(match["host"]), int(match["port"]))


def _v6(text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise ValueError(f"has {text!r} in brackets, which is not an IPv6 address") from None


def _host(text: str) -> str:
    if text == "*" or HOST.fullmatch(text):
        return text
    raise ValueError(f"has the host {text!r}, which is neither an address nor a name" if text else "has no host")


def _interface(host: str) -> str:
    """Binding needs an address: a name could mean several, and which of them is public is not to be guessed."""
    if host == "localhost":
        return "127.0.0.1"
    try:
        return host if host == "*" else str(ipaddress.ip_address(host))
    except ValueError:
        raise ValueError(
            f"names the host {host!r}; to listen, give an IP address of this machine, or * for all"
        ) from None


def plain(value: Any) -> str:
    """How a value is shown where nothing else is said."""
    return "" if value is None else str(value)
