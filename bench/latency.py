"""How long a small write takes from one agent's volume to the other's.

Two real agents on loopback; single writes of 4 KiB on A, one every 50 to 250 ms; B's file is read until it has the
right content. Prints the median and the 99th percentile in milliseconds.

    python bench/latency.py [--directory /dev/shm] [--count 200]
"""

from __future__ import annotations

import argparse
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZE = 4096
POLL_SECONDS = 0.0005
GIVE_UP_SECONDS = 10.0


def free_port() -> int:
    """A port on loopback that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(root: Path, name: str, listen: int, peer: int) -> subprocess.Popen[bytes]:
    """Start an agent with its volume, state and log below ``root``."""
    (root / name).mkdir()
    where = ["--volume", f"data={root / name}", "--state-dir", str(root / f"state-{name}")]
    wire = ["--listen", f"tcp://127.0.0.1:{listen}", "--peer", f"tcp://127.0.0.1:{peer}"]
    log = (root / f"{name}.log").open("wb")
    return subprocess.Popen([sys.executable, "-m", "syncagent", "run", "--name", name, *where, *wire], stderr=log)


def wait_for(path: Path, content: bytes) -> float:
    """The time when the file first had this content, in seconds of the monotonic clock."""
    give_up = time.monotonic() + GIVE_UP_SECONDS
    while True:
        try:
            if path.read_bytes() == content:
                return time.monotonic()
        except FileNotFoundError:
            pass
        if time.monotonic() > give_up:
            raise SystemExit(f"{path} did not arrive within {GIVE_UP_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)


def measure(root: Path, count: int) -> list[float]:
    """Milliseconds from close to right content, for new files and rewritten ones in turn."""
    taken = []
    for number in range(count):
        content = os.urandom(SIZE)
        name = f"file-{number if number % 2 else number % 20}"
        with (root / "a" / name).open("wb") as file:
            file.write(content)
        closed = time.monotonic()
        taken.append((wait_for(root / "b" / name, content) - closed) * 1000)
        time.sleep(random.uniform(0.05, 0.25))
    return sorted(taken)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", default="/dev/shm" if os.path.isdir("/dev/shm") else None)
    parser.add_argument("--count", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as place:
        root, ports = Path(place), (free_port(), free_port())
        agents = [start(root, "a", *ports), start(root, "b", *reversed(ports))]
        try:
            (root / "a" / "first").write_bytes(b"first")
            wait_for(root / "b" / "first", b"first")
            taken = measure(root, options.count)
        finally:
            for agent in agents:
                agent.terminate()
            for agent in agents:
                agent.wait()
    p50, p99 = taken[len(taken) // 2], taken[min(len(taken) - 1, len(taken) * 99 // 100)]
    result = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {taken[-1]:.1f} ms"
    sys.stdout.write(f"{len(taken)} writes of {SIZE} bytes: {result}\n")


if __name__ == "__main__":
    main()
