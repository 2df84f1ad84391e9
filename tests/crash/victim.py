"""The agent, with ``strace`` on some of its threads: ``victim.py WHO KINDS N TRACE PYTHON -m syncagent …``.

``strace`` counts calls for each thread by itself. Under ``-f`` the busiest thread would hide the few calls of the
others, so each is traced alone, from its first moment. WHO is ``main``, ``engine``, ``work``, ``net`` (what ZeroMQ
starts), or ``all``. The process gets SIGKILL at the N-th call of one of KINDS by one of these threads, before the call
does anything; at none if N is 0. TRACE is where the calls are listed, one file a thread.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress

PR_SET_PTRACER = 0x59616D61
ATTACH_SECONDS = 20.0


class Tracer:
    """Attaches ``strace`` to threads."""

    def __init__(self, who: str, kinds: str, number: int, trace: str) -> None:
        self.who = who
        self._seen: set[int] = set()
        self._trace = trace
        inject = ["-e", f"inject={kinds}:signal=SIGKILL:when={number}"] if number else []
        self._options = ["-e", f"trace={kinds}", *inject]

    def attach(self, name: str, thread: int) -> None:
        """Returns when the thread is traced."""
        if thread in self._seen:
            return
        self._seen.add(thread)
        command = ["strace", "-qq", "-o", f"{self._trace}.{name}.{thread}", *self._options, "-p", str(thread)]
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + ATTACH_SECONDS
        while not _is_traced(thread):
            if time.monotonic() > deadline:
                os.abort()
            time.sleep(0.002)

    def attach_mine(self) -> None:
        """Attach to the thread that calls, if it is one of those."""
        name = threading.current_thread().name
        role = {"MainThread": "main", "engine": "engine", "transport": "transport"}.get(name, name.partition("_")[0])
        if self.who in (role, "all"):
            self.attach(role, threading.get_native_id())

    def attach_net(self) -> None:
        """Attach to what ZeroMQ has started, and will start."""
        while True:
            for thread in os.listdir("/proc/self/task"):
                with suppress(OSError), open(f"/proc/self/task/{thread}/comm") as file:
                    if file.read().startswith("ZMQbg/IO"):
                        self.attach("net", int(thread))
            time.sleep(0.01)


def _is_traced(thread: int) -> bool:
    with open(f"/proc/self/task/{thread}/status") as file:
        return any(line.startswith("TracerPid:") and line.split()[1] != "0" for line in file)


def main(words: list[str]) -> int:
    """Run the agent."""
    who, kinds, number, trace, _python, _m, _module, *arguments = words
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_ulong(-1 & (2**64 - 1)), 0, 0, 0)
    tracer = Tracer(who, kinds, int(number), trace)
    plain_run = threading.Thread.run

    def traced_run(thread: threading.Thread) -> None:
        tracer.attach_mine()
        plain_run(thread)

    threading.Thread.run = traced_run  # type: ignore[method-assign, assignment]
    from syncagent.__main__ import main as agent
    from syncagent.service import run as _loaded  # noqa: F401 - what is imported is not traced

    if who in ("net", "all"):
        threading.Thread(target=tracer.attach_net, name="attach", daemon=True).start()
    tracer.attach_mine()
    return agent(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
