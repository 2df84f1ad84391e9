"""The demo's agents: real processes, started as a user would, and never left behind."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from syncagent.cli.address import TcpAddress
from syncagent.cli.client import Client
from syncagent.cli.exits import CommandError
from syncagent.cli.tables import verdict

VOLUME = "data"
START_SECONDS = 20.0
STOP_SECONDS = 3.0
PR_SET_PDEATHSIG = 1
LOG_LINES_SHOWN = 15


class DemoFailed(Exception):
    """The demo did not prove what it should; the text says what went wrong."""


@dataclass(slots=True)
class Agent:
    """One agent: its directories and addresses, and its process while it has one."""

    name: str
    home: Path
    port: int
    http_port: int
    peers: list[int]
    is_to_stay: bool = False
    process: subprocess.Popen[bytes] | None = None
    client: Client = field(init=False)
    lacking: str = ""

    def __post_init__(self) -> None:
        self.client = Client(TcpAddress("127.0.0.1", self.http_port))

    @property
    def volume(self) -> bytes:
        """The directory of its replica."""
        return os.fsencode(self.home / VOLUME)

    @property
    def log(self) -> Path:
        return self.home / "log"

    def command(self) -> list[str]:
        """What a user would type."""
        arguments = ["run", "--name", self.name, "--volume", f"{VOLUME}={self.home / VOLUME}"]
        arguments += ["--state-dir", str(self.home / "state"), "--listen", f"tcp://127.0.0.1:{self.port}"]
        for peer in self.peers:
            arguments += ["--peer", f"tcp://127.0.0.1:{peer}"]
        arguments += ["--secret-file", str(self.home.parent / "secret"), "--http", f"127.0.0.1:{self.http_port}"]
        return [sys.executable, "-m", "syncagent", *arguments]

    def start(self) -> None:
        """Start the process, and wait until it answers. Raises DemoFailed."""
        (self.home / VOLUME).mkdir(parents=True, exist_ok=True)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.home,
                env=_environment(self.home.parent),
                start_new_session=True,
                preexec_fn=None if self.is_to_stay else _die_with(os.getpid()),
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.is_answering():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise DemoFailed(f"agent {self.name} did not start; the end of its log:\n{self.end_of_log()}")
            time.sleep(0.02)

    def is_answering(self) -> bool:
        try:
            self.client.get("/v1/ready")
        except CommandError:
            return False
        return True

    def status(self) -> Any:
        """Its status, decoded. Raises CommandError."""
        return self.client.ask("/v1/status")

    def check_alive(self) -> None:
        """Raises DemoFailed if its process has ended by itself."""
        if self.process is not None and self.process.poll() is not None:
            raise DemoFailed(
                f"agent {self.name} ended with code {self.process.returncode}; the end of its log:\n{self.end_of_log()}"
            )

    def is_converged(self, members: int, seconds: float) -> bool:
        """Whether it says within so many seconds that every member has everything. Raises DemoFailed."""
        self.check_alive()
        try:
            result = json.loads(self.client.wait(VOLUME, seconds, members))
        except CommandError as error:
            raise DemoFailed(f"agent {self.name}: {error}; the end of its log:\n{self.end_of_log()}") from None
        self.lacking = "; ".join(result["missing"]) or result["cause"]
        return bool(result["reached"])

    def verdict(self) -> str:
        """What its status says in a line."""
        try:
            lacking = f"; waits: {self.lacking}" if self.lacking else ""
            return "; ".join(verdict(self.status()["volumes"][0])) + lacking
        except CommandError as error:
            return str(error)

    def send(self, number: signal.Signals) -> None:
        """Send its process a signal."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """End it with SIGKILL: it has no chance to tidy up."""
        self.send(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def end_of_log(self) -> str:
        lines = self.log.read_text(errors="backslashreplace").splitlines() if self.log.exists() else []
        return "\n".join(f"  {line}" for line in lines[-LOG_LINES_SHOWN:]) or "  (empty)"


def make_agents(base: Path, names: str, *, is_to_stay: bool) -> list[Agent]:
    """One agent for each letter of ``names``, each of which knows the address of every other."""
    ports = free_ports(2 * len(names))
    listen = dict(zip(names, ports[: len(names)], strict=True))
    http = dict(zip(names, ports[len(names) :], strict=True))
    agents = []
    for name in names:
        peers = [port for other, port in listen.items() if other != name]
        (base / name).mkdir()
        agents.append(Agent(name, base / name, listen[name], http[name], peers, is_to_stay))
    return agents


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody uses now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def stop_all(agents: list[Agent], *, is_polite: bool) -> None:
    """End every process: asked first if ``is_polite``, then made to. One that a signal stopped goes too."""
    running = [agent for agent in agents if agent.process is not None and agent.process.poll() is None]
    try:
        if is_polite:
            _ask_to_end(running)
    finally:
        for agent in running:
            agent.kill()


def _ask_to_end(agents: list[Agent]) -> None:
    for agent in agents:
        agent.send(signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    for agent in agents:
        if agent.process is not None:
            with suppress(subprocess.TimeoutExpired):
                agent.process.wait(max(0.0, deadline - time.monotonic()))


def _environment(base: Path) -> dict[str, str]:
    """The user's, without settings for agents; notes of these agents are not mixed with those of the user's own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SYNCAGENT_")}
    return {**environment, "XDG_RUNTIME_DIR": str(base)}


def _die_with(parent: int) -> Callable[[], None]:
    """What a new process does first: have the kernel kill it when this one dies, however that happens."""
    library = ctypes.CDLL(None)  # loaded before the fork: afterwards little is safe to do

    def prepare() -> None:
        library.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)  # it died in between

    return prepare
