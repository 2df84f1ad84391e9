"""The table of options. Flags, variables, keys of the config file, the print-out and the README all come from it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from syncagent.config import values
from syncagent.config.model import Source
from syncagent.config.values import DAY, duration, duration_or_never, one_of, plain, show_brake, show_duration

SYSTEM_STATE_DIR = "/var/lib/syncagent"
PREFIX = "SYNCAGENT_"


@dataclass(frozen=True, slots=True)
class Option:
    """One option. ``default`` is text like any other; what depends on the machine is ``computed`` from the environment.

    ``plural`` marks a list: the flag may be repeated, and variable and key have this name. ``on_sighup``: a changed
    value is taken over while the agent runs.
    """

    flag: str
    metavar: str
    meaning: str
    parse: Callable[[str], Any] = str
    show: Callable[[Any], str] = plain
    default: str | None = None
    computed: Callable[[Mapping[str, str]], str] | None = None
    default_note: str = "none"
    plural: str = ""
    is_path: bool = False
    in_file: bool = True
    on_sighup: bool = False

    @property
    def key(self) -> str:
        """The key in the config file, and the field of ``Config``."""
        return self.plural or self.flag.removeprefix("--").replace("-", "_")

    @property
    def variable(self) -> str:
        return PREFIX + self.key.upper()

    @property
    def default_shown(self) -> str:
        return self.default if self.default is not None else self.default_note


@dataclass(frozen=True, slots=True)
class VolumeOption:
    """One option of a volume: ``key=value`` in the flag, a key of the volume's table in the config file."""

    key: str
    form: str
    default: str
    meaning: str
    parse: Callable[[str], Any]
    show: Callable[[Any], str] = plain
    on_sighup: bool = False


def host_name(_environ: Mapping[str, str]) -> str:
    """The host's name, with what a name may not contain replaced."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", os.uname().nodename)[:64] or "agent"


def state_dir(environ: Mapping[str, str], system: str = SYSTEM_STATE_DIR) -> str:
    """The system's directory for state where this user may write there, else the user's own."""
    if os.access(system if os.path.exists(system) else os.path.dirname(system), os.W_OK | os.X_OK):
        return system
    base = environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(base):
        return os.path.join(base, "syncagent")
    home = environ.get("HOME", "")
    if os.path.isabs(home):
        return os.path.join(home, ".local/state/syncagent")
    raise ValueError(f"is missing: {system} is not writable and HOME is not set; give --state-dir DIR")


_tcp = partial(Option, show=lambda value: value.tcp if value else "")
_file = partial(Option, metavar="FILE", is_path=True)


def _duration(flag: str, meaning: str, default: str, low: float, high: float, **more: Any) -> Option:
    return Option(flag, "TIME", meaning, parse=duration(low, high), show=show_duration, default=default, **more)


OPTIONS = (
    Option(
        "--name", "NAME", "the name of this agent, and of its replicas, among all members",
        parse=values.name, computed=host_name, default_note="the host's name",
    ),
    Option(
        "--volume", "NAME=DIR[,KEY=VALUE...]", "a directory to keep equal with the volumes of that name elsewhere",
        plural="volumes", default_note="none, at least one is needed",
    ),
    Option(
        "--state-dir", "DIR", "where the agent keeps its index and its Unix socket, outside every volume",
        is_path=True, computed=state_dir,
        default_note=f"{SYSTEM_STATE_DIR} where writable, else $XDG_STATE_HOME/syncagent or ~/.local/state/syncagent",
    ),
    _tcp(
        "--listen", "tcp://ADDRESS:PORT", "listen for other agents; `*` is all interfaces, port 0 any free one",
        parse=values.listen_address, default_note="does not listen",
    ),
    _tcp(
        "--peer", "tcp://HOST:PORT", "another agent to connect to; one of the two naming the other is enough",
        parse=values.peer_address, plural="peers", on_sighup=True,
    ),
    Option(
        "--cluster", "NAME", "agents of different clusters never talk to each other",
        parse=values.name, default="default",
    ),
    _file(
        "--secret-file", meaning="the secret of the cluster (`syncctl keygen`); needed beyond loopback",
        on_sighup=True,
    ),
    Option(
        "--http", "ADDRESS:PORT", "serve the HTTP API and the metrics there too, not only on the Unix socket",
        parse=values.http_address, default_note="off",
    ),
    _file(
        "--http-token-file", meaning="the token that HTTP requests must carry; needed beyond loopback",
        on_sighup=True,
    ),
    _duration(
        "--drain", "at a stop, wait this long for one member to acknowledge the last changes", "5s", 0, 3600,
        on_sighup=True,
    ),
    _duration(
        "--forget-after", "a member unseen for this long leaves the member list", "30d", 1, 3650 * DAY, on_sighup=True
    ),
    Option(
        "--log-level", "LEVEL", "error, warning, info (a line a batch) or debug (a line a path)",
        parse=one_of("error", "warning", "info", "debug"), default="info", on_sighup=True,
    ),
    Option(
        "--log-format", "FORMAT", "text or json, to standard error",
        parse=one_of("text", "json"), default="text",
    ),
    _file("--config", meaning="a TOML file with any of these options", in_file=False),
)  # fmt: skip

VOLUME_OPTIONS = (
    VolumeOption(
        "direction", "two-way, send-only, receive-only", "two-way",
        "which way changes go; this version supports two-way", one_of("two-way", "send-only", "receive-only"),
    ),
    VolumeOption(
        "on_empty", "halt, refill", "halt",
        "a mount point found empty at start: halt the volume, or fill it again from the peers",
        one_of("halt", "refill"),
    ),
    VolumeOption(
        "first_join", "merge, take", "merge",
        "files that differ when replicas first meet: keep both; this version supports merge", one_of("merge", "take"),
    ),
    VolumeOption(
        "brake", "N,P% or off", "100,25%",
        "hold deletes that exceed both N entries and P % of all within a minute (`N:P%` is the same)",
        values.brake, show_brake, on_sighup=True,
    ),
    VolumeOption(
        "release_after", "never, TIME", "never", "apply held deletes after this time without being told to",
        duration_or_never(1, 3650 * DAY), show_duration, on_sighup=True,
    ),
    VolumeOption(
        "history_age", "TIME", "7d", "how long it is remembered what changes replaced or removed, and the content kept",
        duration(1, 3650 * DAY), show_duration,
    ),
    VolumeOption(
        "history_size", "SIZE or off", "1G", "how much replaced or removed content is kept in `.syncagent/history`",
        values.size_or_off, values.show_size,
    ),
    VolumeOption(
        "watch", "auto, poll", "auto", "use file events where they arrive, or look at every file periodically",
        one_of("auto", "poll"),
    ),
    VolumeOption(
        "poll_interval", "TIME", "10s", "how often to look where events do not arrive",
        duration(0.1, DAY), show_duration,
    ),
    VolumeOption(
        "scan_interval", "TIME", "10m", "how often the whole volume is looked at, whatever the events say",
        duration(1, 30 * DAY), show_duration,
    ),
)  # fmt: skip

BY_KEY = {option.key: option for option in OPTIONS}
VOLUME_BY_KEY = {option.key: option for option in VOLUME_OPTIONS}


def label(option: Option, source: Source, file: str | None) -> str:
    """How a sentence names an option, in the words of the place that its value came from."""
    if source == "environment":
        return option.variable
    return f"{option.key} in {file}" if source == "config file" else option.flag
