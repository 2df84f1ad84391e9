"""The configuration as the agent uses it: typed, complete, immutable. Durations are seconds."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Direction = Literal["two-way", "send-only", "receive-only"]
OnEmpty = Literal["halt", "refill"]
FirstJoin = Literal["merge", "take"]
Watch = Literal["auto", "poll"]
LogLevel = Literal["error", "warning", "info", "debug"]
LogFormat = Literal["text", "json"]
Source = Literal["flag", "environment", "config file", "default"]

WILDCARDS = ("*", "0.0.0.0", "::")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A TCP address. ``host`` is an address, a name, or "*" (all interfaces); IPv6 has no brackets here."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def tcp(self) -> str:
        """As flags and ZeroMQ write it: tcp://HOST:PORT."""
        return f"tcp://{self}"

    @property
    def is_wildcard(self) -> bool:
        return self.host in WILDCARDS

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can be at the other end. A name other than localhost counts as remote."""
        if self.host == "localhost":
            return True
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return bool((mapped or address).is_loopback)


@dataclass(frozen=True, slots=True)
class Brake:
    """Deletes within a minute that exceed both ``entries`` and ``percent`` of all entries are held."""

    entries: int = 100
    percent: int = 25

    def __str__(self) -> str:
        return f"{self.entries},{self.percent}%"


@dataclass(frozen=True, slots=True)
class VolumeConfig:
    """One volume. ``brake`` None: off. ``release_after`` None: held deletes wait for a person.

    ``history_size`` None: nothing of what is replaced or removed is kept.
    """

    name: str
    path: bytes
    direction: Direction = "two-way"
    on_empty: OnEmpty = "halt"
    first_join: FirstJoin = "merge"
    brake: Brake | None = Brake()
    release_after: float | None = None
    history_age: float = 7 * 86400.0
    history_size: int | None = 2**30
    watch: Watch = "auto"
    poll_interval: float = 10.0
    scan_interval: float = 600.0


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that ``syncagent run`` is told. One field per option, named as its key in the config file.

    ``sources`` says where each value comes from: a key as "peers", or "volumes.data.direction" for one of a volume.
    ``warnings`` are sentences for the log. ``flags`` is what the command line gave: a reload starts from it again.
    """

    name: str
    volumes: tuple[VolumeConfig, ...]
    state_dir: str
    listen: Endpoint | None = None
    peers: tuple[Endpoint, ...] = ()
    cluster: str = "default"
    secret_file: str | None = None
    http: Endpoint | None = None
    http_token_file: str | None = None
    drain: float = 5.0
    forget_after: float = 30 * 86400.0
    log_level: LogLevel = "info"
    log_format: LogFormat = "text"
    config: str | None = None
    sources: Mapping[str, Source] = field(default_factory=dict, compare=False)
    flags: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)
    warnings: tuple[str, ...] = field(default=(), compare=False)


class ConfigError(Exception):
    """The configuration cannot be used. ``problems`` has one sentence for each fault, of all sources at once."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
