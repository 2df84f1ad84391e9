"""How ``syncctl`` finds the agents of this machine: each leaves a note in a run directory that only its user can write.

A note is a file ``NAME-PID.json`` with the agent's process id, name and Unix socket. The directory is
``$XDG_RUNTIME_DIR/syncagent``, or ``/tmp/syncagent-UID`` where there is no such place; readers look into both, because
a service and a login shell of the same user often differ in that variable.
"""

from __future__ import annotations

import json
import os
import re
import socket
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

SOCKET_NAME = "agent.sock"
NOTE_BYTES_MAX = 16 * 1024
FALLBACK_ROOT = Path("/tmp")  # not TMPDIR: a service and a shell would differ in it
REGISTER_ATTEMPTS = 10
SUN_PATH_BYTES_MAX = 107
"""Longest path that fits into a Unix socket's address, without the NUL at its end."""


class RunDirectoryRefused(Exception):
    """The run directory is not safe to use: the sentence says why and what to do."""


@dataclass(frozen=True, slots=True)
class RunningAgent:
    """An agent that answers at its Unix socket."""

    name: str
    pid: int
    socket: str


def run_directories(environ: Mapping[str, str]) -> list[Path]:
    """Where notes may be, the preferred place first."""
    places = [FALLBACK_ROOT / f"syncagent-{os.geteuid()}"]
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/") and _is_own_directory(Path(runtime)):
        places.insert(0, Path(runtime) / "syncagent")
    return places


def register(name: str, socket_path: Path, environ: Mapping[str, str]) -> Path:
    """Leave a note of this process, and remove those of dead ones; gives the note's path, for ``unregister``.

    Raises RunDirectoryRefused, and OSError when the directory cannot be written.
    """
    directory = run_directories(environ)[0]
    for _ in range(REGISTER_ATTEMPTS - 1):
        with suppress(FileNotFoundError):  # the last agent to end took the empty directory away meanwhile
            return _leave_note(directory, name, socket_path)
    return _leave_note(directory, name, socket_path)


def _leave_note(directory: Path, name: str, socket_path: Path) -> Path:
    _make_own(directory)
    for note in directory.glob("*.json"):
        found = _read(note)
        if found is None or not _is_process(found.pid):
            note.unlink(missing_ok=True)
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    path = directory / f"{plain}-{os.getpid()}.json"
    content = {"pid": os.getpid(), "name": name, "socket": os.path.abspath(socket_path)}
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps(content), encoding="utf-8")
    aside.replace(path)
    return path


def unregister(note: Path) -> None:
    """Take the note away, and the run directory if it was the last one; it is no error if they are gone."""
    with suppress(OSError):
        note.unlink(missing_ok=True)
        os.rmdir(note.parent)  # refused by the kernel while there are notes of others


def running_agents(environ: Mapping[str, str]) -> list[RunningAgent]:
    """Every agent of this user that answers, by name. Raises RunDirectoryRefused."""
    found = []
    for directory in run_directories(environ):
        with suppress(FileNotFoundError):  # no agent has been there, or the last one has just gone
            _check_own(directory)
            found += [agent for note in sorted(directory.glob("*.json")) if (agent := _read(note)) is not None]
    alive = {agent.socket: agent for agent in found if _is_process(agent.pid) and _answers(agent.socket)}
    return sorted(alive.values(), key=lambda agent: (agent.name, agent.pid))


@contextmanager
def socket_address(path: str | os.PathLike[str]) -> Iterator[str]:
    """An address for ``path`` that fits into a Unix socket's address even where the path itself does not."""
    text = os.fspath(path)
    if len(os.fsencode(text)) <= SUN_PATH_BYTES_MAX:
        yield text
        return
    directory = os.open(os.path.dirname(text), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{os.path.basename(text)}"
    finally:
        os.close(directory)


def connect(path: str | os.PathLike[str], timeout: float) -> socket.socket:
    """A stream connected to the Unix socket at ``path``. Raises OSError."""
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        stream.settimeout(timeout)
        with socket_address(path) as address:
            stream.connect(address)
    except BaseException:
        stream.close()
        raise
    return stream


def _answers(path: str) -> bool:
    """A full backlog (EAGAIN) or a time-out is an agent too, if a slow one."""
    try:
        connect(path, timeout=1.0).close()
    except (BlockingIOError, TimeoutError):
        return True
    except OSError:
        return False
    return True


def _read(note: Path) -> RunningAgent | None:
    """None for what is no note: a directory of one's own may hold anything."""
    try:
        with open(note, "rb") as file:
            content = json.loads(file.read(NOTE_BYTES_MAX))
        return RunningAgent(str(content["name"]), int(content["pid"]), str(content["socket"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_process(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True  # somebody else's, but it exists
    return True


def _is_own_directory(path: Path) -> bool:
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _make_own(directory: Path) -> None:
    with suppress(FileExistsError):
        os.mkdir(directory, 0o700)
    _check_own(directory)


def _check_own(directory: Path) -> None:
    """Whoever can write here could make ``syncctl`` talk to a program of theirs. Raises FileNotFoundError too."""
    found = os.lstat(directory)
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
        if found.st_mode & 0o077:
            os.chmod(directory, 0o700)
        return
    raise RunDirectoryRefused(
        f"{directory} is not a directory of user {os.geteuid()}, so what it says about agents is not to be trusted; "
        "remove it, or name the agent with --agent unix:/STATE_DIR/agent.sock"
    )
