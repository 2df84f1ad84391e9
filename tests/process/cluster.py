"""Real agents as processes on loopback, for tests: started, killed, asked, and compared by means of our own."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

START_SECONDS = 20.0
CONVERGE_SECONDS = 45.0


def free_port() -> int:
    """A port on loopback that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Node:
    """One agent: its volume, its state, its process."""

    name: str
    volume: Path
    state: Path
    port: int
    log: Path
    peers: list[str] = field(default_factory=list)
    listens: bool = True
    extra: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None
    prefix: list[str] = field(default_factory=list)
    """A program that starts it, with other rights than ours."""
    options: str = ""
    """Of the volume, each with a comma before it."""

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    @property
    def socket(self) -> Path:
        return self.state / "agent.sock"

    def command(self) -> list[str]:
        listen = ["--listen", self.address] if self.listens else []
        peers = [word for peer in self.peers for word in ("--peer", peer)]
        fixed = [
            "run",
            "--name",
            self.name,
            "--volume",
            f"data={self.volume}{self.options}",
            "--state-dir",
            str(self.state),
        ]
        agent = [*self.prefix, sys.executable, "-m", "syncagent"]
        return [*agent, *fixed, *listen, *peers, "--log-level", "debug", *self.extra]

    def start(self) -> None:
        """Start, and wait until it answers."""
        self.launch()
        self.await_answer()

    def launch(self) -> None:
        """Start its process."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def await_answer(self) -> None:
        """Wait until it answers ``syncctl``."""
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS
        while self.ctl("status", "--json").returncode != 0:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL: no chance to tidy up."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=30)
        self.process = None
        return code

    def ctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run ``syncctl`` against this agent."""
        command = [sys.executable, "-m", "syncagent.cli", "--agent", f"unix:{self.socket}", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    def status(self) -> dict[str, object]:
        """Its only volume's status."""
        volume = json.loads(self.ctl("status", "--json").stdout)["volumes"][0]
        assert isinstance(volume, dict)
        return volume


class Cluster:
    """Several agents under one directory. Ends them all, whatever happens."""

    def __init__(self, root: Path, names: Sequence[str], links: Sequence[tuple[str, str]] | None = None) -> None:
        """``links``: who dials whom; None: everybody everybody."""
        self.nodes = {
            name: Node(name, root / name, root / f"state-{name}", free_port(), root / f"{name}.log") for name in names
        }
        pairs = [(a, b) for a in names for b in names if a != b] if links is None else links
        for dialler, listener in pairs:
            self.nodes[dialler].peers.append(self.nodes[listener].address)
        for node in self.nodes.values():
            node.volume.mkdir()

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    def __enter__(self) -> Cluster:
        try:
            for node in self.nodes.values():
                node.launch()
            for node in self.nodes.values():
                node.await_answer()
        except BaseException:  # nobody leaves what was not entered
            self.kill_all()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill_all()

    def kill_all(self) -> None:
        """SIGKILL to all that run."""
        for node in self.nodes.values():
            if node.process is not None:
                node.kill()

    def volumes(self) -> list[Path]:
        return [node.volume for node in self.nodes.values()]

    def converge(self) -> dict[bytes, tuple[object, ...]]:
        """Wait until all agents say that all is in sync; the trees must then be equal. Gives the tree."""
        for node in self.nodes.values():
            waited = node.ctl("wait", "--timeout", str(CONVERGE_SECONDS))
            assert waited.returncode == 0, f"{node.name}: {waited.stdout}{waited.stderr}\n{self.tails()}"
        deadline = time.monotonic() + CONVERGE_SECONDS
        while True:
            trees = [tree_of(volume) for volume in self.volumes()]
            if all(tree == trees[0] for tree in trees[1:]):
                return trees[0]
            assert time.monotonic() < deadline, f"{difference(trees)}\n{self.tails()}"
            time.sleep(0.2)

    def tails(self) -> str:
        """The ends of all logs, for a failing test."""
        return "\n".join(f"== {n.name}\n" + n.log.read_text(errors="replace")[-2000:] for n in self.nodes.values())


def walk(root: bytes, below: bytes = b"") -> Iterator[bytes]:
    """Every path below a root, but the agent's own directory."""
    for entry in sorted(os.scandir(os.path.join(root, below)), key=lambda entry: entry.name):
        path = os.path.join(below, entry.name)
        if path == b".syncagent":
            continue
        yield path
        if entry.is_dir(follow_symlinks=False):
            yield from walk(root, path)


def tree_of(volume: Path) -> dict[bytes, tuple[object, ...]]:
    """Type, mode, owner, time, user attributes and content of every path, read without the agent's code."""
    root = os.fsencode(volume)
    tree: dict[bytes, tuple[object, ...]] = {}
    for path in walk(root):
        full = os.path.join(root, path)
        found = os.lstat(full)
        kind = stat.S_IFMT(found.st_mode)
        facts: list[object] = [kind, found.st_uid, found.st_gid]
        if not stat.S_ISLNK(found.st_mode):
            facts.append(stat.S_IMODE(found.st_mode))
            names = [name for name in os.listxattr(full) if name.startswith("user.")]
            facts.append(sorted((name, os.getxattr(full, name)) for name in names))
        if stat.S_ISREG(found.st_mode):
            with open(full, "rb") as file:
                facts += [found.st_mtime_ns, found.st_size, hashlib.sha256(file.read()).hexdigest()]
        elif stat.S_ISLNK(found.st_mode):
            facts.append(os.readlink(full))
        tree[path] = tuple(facts)
    return tree


def difference(trees: Sequence[dict[bytes, tuple[object, ...]]]) -> str:
    """What differs, for a failing test."""
    lines = []
    for path in sorted(set().union(*trees)):
        facts = [tree.get(path) for tree in trees]
        if any(fact != facts[0] for fact in facts):
            lines.append(f"{path!r}: {facts}")
    return "\n".join(lines[:20])


def eventually(check: object, seconds: float = 20.0) -> None:
    """Call ``check`` until it gives something true."""
    assert callable(check)
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)


def contents(volume: Path) -> set[bytes]:
    """The bytes of every file."""
    found = set()
    for path in walk(os.fsencode(volume)):
        with contextlib.suppress(OSError):
            full = os.path.join(os.fsencode(volume), path)
            if os.path.isfile(full) and not os.path.islink(full):
                found.add(Path(os.fsdecode(full)).read_bytes())
    return found
