"""Where the agent is: what ``--agent`` may say, and how a single local agent is found without it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from syncagent import rendezvous
from syncagent.cli.exits import FAILED, USAGE, CommandError, did_you_mean

TCP = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.%]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})")
FORMS = "unix:/PATH, http://HOST:PORT, HOST:PORT, a state directory, or an agent's name"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """An agent's Unix socket."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """An agent's HTTP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


Address = UnixAddress | TcpAddress


def resolve(text: str | None, environ: Mapping[str, str]) -> Address:
    """The address that ``text`` means, or that of the only local agent. Raises CommandError."""
    if text is None:
        return _only_agent(_running(environ))
    if text.startswith("unix:"):
        return _socket(text.removeprefix("unix:"))
    if "://" in text:
        scheme, _, rest = text.partition("://")
        return _tcp(scheme, rest.removesuffix("/"), text)
    if match := TCP.fullmatch(text):
        return _tcp_match(match, text)
    if "/" in text or text in (".", ".."):
        return _socket(text)
    return _named(text, environ)


def _running(environ: Mapping[str, str]) -> list[rendezvous.RunningAgent]:
    try:
        return rendezvous.running_agents(environ)
    except rendezvous.RunDirectoryRefused as error:
        raise CommandError(str(error), FAILED) from None


def _only_agent(agents: list[rendezvous.RunningAgent]) -> UnixAddress:
    if not agents:
        raise CommandError(
            "no agent of this user runs on this machine; start one with `syncagent run`, or name another with --agent"
        )
    if len(agents) > 1:
        raise CommandError(
            "several agents run on this machine; choose one with --agent:\n"
            + "\n".join(f"  --agent unix:{agent.socket}   ({agent.name})" for agent in agents),
            USAGE,
        )
    return UnixAddress(agents[0].socket)


def _named(name: str, environ: Mapping[str, str]) -> UnixAddress:
    agents = _running(environ)
    same = [agent for agent in agents if agent.name == name]
    if same:
        return _only_agent(same)
    if os.path.lexists(os.path.join(name, rendezvous.SOCKET_NAME)):
        return _socket(name)
    names = sorted({agent.name for agent in agents})
    hint = did_you_mean(name, names) or (f"; there is {', '.join(names)}" if names else "; none runs")
    raise CommandError(f"no agent of this user is called {name!r}{hint}; --agent takes {FORMS}", FAILED)


def _socket(path: str) -> UnixAddress:
    """The path of a socket, or of a directory that has one."""
    if not path:
        raise CommandError(f"--agent unix: needs a path behind it; it takes {FORMS}", USAGE)
    absolute = os.path.abspath(os.path.expanduser(path))
    if os.path.isdir(absolute):
        absolute = os.path.join(absolute, rendezvous.SOCKET_NAME)
    return UnixAddress(absolute)


def _tcp(scheme: str, rest: str, text: str) -> TcpAddress:
    match = TCP.fullmatch(rest)
    if scheme != "http" or match is None:
        remedy = (
            "an agent speaks plain HTTP: write http://" + rest if scheme == "https" and match else f"it takes {FORMS}"
        )
        raise CommandError(f"--agent {text!r} is no address of an agent; {remedy}", USAGE)
    return _tcp_match(match, text)


def _tcp_match(match: re.Match[str], text: str) -> TcpAddress:
    port = int(match["port"])
    if not 1 <= port <= 65535:
        raise CommandError(f"--agent {text!r} has port {port}; ports are 1 to 65535", USAGE)
    return TcpAddress(match["v6"] or match["host"], port)
