"""Listening sockets: the Unix socket in the state directory, and TCP where configured."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
from pathlib import Path

from syncagent import rendezvous

BACKLOG = 64
STALE_CHECK_SECONDS = 1.0


class ListenError(OSError):
    """The API cannot be served there; the text is a sentence with the remedy."""


def listen_unix(path: Path) -> socket.socket:
    """Listen at ``path`` for this user only, in place of the socket of an agent that is gone. Raises ListenError."""
    _clear_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with rendezvous.socket_address(path) as address:
            listener.bind(address)
        os.chmod(path, 0o600)  # nobody gets in before: a socket that does not listen yet refuses connections
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ListenError(f"cannot listen at {path}: {error.strerror or error}; check the state directory") from error
    return listener


def listen_tcp(address: str) -> socket.socket:
    """Listen at ``ADDRESS:PORT``; ``*`` is every interface, port 0 any free one. Raises ListenError."""
    host, port = split_address(address)
    try:
        if host != "*":
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            return socket.create_server((host, port), family=family, backlog=BACKLOG)
        return _listen_everywhere(port)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        remedy = "another program listens there; choose another --http" if taken else "give another --http"
        # The library puts the address into the text, which is said already.
        raise ListenError(f"cannot serve HTTP on {address}: {os.strerror(error.errno or 0)}; {remedy}") from error


def split_address(address: str) -> tuple[str, int]:
    """Host and port of ``127.0.0.1:7481`` or ``[::1]:7481``. Raises ListenError."""
    host, separator, port = address.rpartition(":")
    if not separator or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ListenError(f"{address!r} is no address for HTTP; write ADDRESS:PORT as 127.0.0.1:7481")
    return host.removeprefix("[").removesuffix("]"), int(port)


def bound_address(listener: socket.socket) -> str:
    """``ADDRESS:PORT`` as it was bound."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(listener: socket.socket) -> bool:
    """Whether only this machine can reach the socket."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def _listen_everywhere(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("::", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise
    return socket.create_server(("0.0.0.0", port), backlog=BACKLOG)


def _clear_stale(path: Path) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise ListenError(f"cannot look at {path}: {error.strerror}; check the state directory") from error
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"{path} exists and is no socket; move it out of the way")
    try:
        rendezvous.connect(path, STALE_CHECK_SECONDS).close()
    except ConnectionRefusedError:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ListenError(f"cannot tell whether an agent listens at {path}: {error}; remove it if none does") from error
    else:
        raise ListenError(f"another agent answers at {path}; give this one a --state-dir of its own")
