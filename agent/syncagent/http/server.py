"""Accepts connections and gives each a thread, up to a bound."""

from __future__ import annotations

import errno
import logging
import os
import selectors
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from syncagent.http import sockets
from syncagent.http.access import Door
from syncagent.http.handler import Handler, handler_for
from syncagent.http.sockets import ListenError
from syncagent.ports import Control

CONNECTIONS_MAX = 32
"""At the same time, at each of the two doors: a crowd at the TCP port leaves ``syncctl`` its Unix socket.

More wait in the kernel's queue. Those that only wait for convergence may take ``WAITS_MAX`` of them.
"""
OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
STOP_SECONDS = 2.0
TURN_SECONDS = 0.2
ACCEPT_PAUSE_SECONDS = 0.1

logger = logging.getLogger("syncagent.http")


class Spare:
    """A descriptor kept for the moment when there is no other: then a person wants to know what is wrong."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self.take()

    def take(self) -> None:
        """Have one again, if that is possible."""
        with self._lock, suppress(OSError):
            if self._descriptor is None:
                self._descriptor = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def give(self) -> bool:
        """Make room for one descriptor; False if there is none to give."""
        with self._lock:
            if self._descriptor is None:
                return False
            os.close(self._descriptor)
            self._descriptor = None
        return True


@dataclass(slots=True)
class _Listener:
    """A listening socket, what answers its connections, and how many more it may take."""

    socket: socket.socket
    handler: type[Handler]
    free: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(CONNECTIONS_MAX))


class HttpServer:
    """The HTTP API of one agent, at a Unix socket and, if ``tcp_address`` is given, on TCP.

    ``tcp_address`` is ADDRESS:PORT; ``token`` the content of the token file. ``start`` raises ListenError.
    """

    def __init__(self, control: Control, unix_path: Path, tcp_address: str | None, token: bytes | None) -> None:
        self._control = control
        self._unix_path = unix_path
        self._tcp_address = tcp_address
        self._token = token
        self._stopping = threading.Event()
        self._listeners: list[_Listener] = []
        self._unix_inode = 0
        self._wake, self._woken = socket.socketpair()
        self._threads: set[threading.Thread] = set()
        self._acceptors: list[threading.Thread] = []
        self._spare = Spare()
        self.address: str | None = None
        """ADDRESS:PORT of the TCP socket as bound, None without one."""

    def start(self) -> None:
        """Listen and answer from now on. Raises ListenError."""
        try:
            if self._tcp_address is not None:
                self._listen_tcp(self._tcp_address)
            self._listen_unix()
        except ListenError:
            self._close()
            raise
        for listener in self._listeners:
            thread = threading.Thread(target=self._accept_all, args=(listener,), name="http", daemon=True)
            self._acceptors.append(thread)
            thread.start()

    def stop(self) -> None:
        """Stop listening, end what waits, and return when the running answers are given or 2 s have passed."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        if self._acceptors:
            self._wake.send(b"x")  # never read: it wakes every acceptor
        for acceptor in self._acceptors:
            acceptor.join()
        self._close()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in list(self._threads):
            thread.join(max(0.0, deadline - time.monotonic()))

    def _listen_tcp(self, address: str) -> None:
        listener = sockets.listen_tcp(address)
        is_loopback = sockets.is_loopback(listener)
        door = Door(False, is_loopback, sockets.split_address(address)[0], self._token)
        self._listeners.append(_Listener(listener, handler_for(door, self._control, self._stopping)))
        if not is_loopback and not self._token:
            raise ListenError(
                f"HTTP on {address} can be reached from other machines, which needs a token: give --http-token-file "
                "FILE, or serve on 127.0.0.1"
            )
        self.address = sockets.bound_address(listener)

    def _listen_unix(self) -> None:
        listener = sockets.listen_unix(self._unix_path)
        self._unix_inode = self._unix_path.lstat().st_ino
        door = Door(True, True, "", self._token)
        self._listeners.append(_Listener(listener, handler_for(door, self._control, self._stopping)))

    def _close(self) -> None:
        for listener in self._listeners:
            listener.socket.close()
        self._wake.close()
        self._woken.close()
        self._spare.give()
        with suppress(OSError):
            if self._unix_inode and self._unix_path.lstat().st_ino == self._unix_inode:
                self._unix_path.unlink()
        self._unix_inode = 0

    def _accept_all(self, listener: _Listener) -> None:
        listener.socket.setblocking(False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            selector.register(listener.socket, selectors.EVENT_READ)
            while not self._stopping.is_set():
                if not listener.free.acquire(timeout=TURN_SECONDS):
                    continue
                selector.select()
                if self._stopping.is_set() or not self._accept(listener):
                    listener.free.release()

    def _accept(self, listener: _Listener) -> bool:
        """Whether a connection was taken, and a thread answers it."""
        try:
            try:
                connection, address = listener.socket.accept()
            except OSError as error:
                if error.errno not in OUT_OF_DESCRIPTORS or not self._spare.give():
                    raise
                connection, address = listener.socket.accept()
        except (BlockingIOError, ConnectionError):
            return False
        except OSError as error:  # those in use are given back in time
            self._spare.take()
            logger.warning("cannot accept a connection: %s", error.strerror or error)
            self._stopping.wait(ACCEPT_PAUSE_SECONDS)
            return False
        thread = threading.Thread(
            target=self._answer, args=(listener, connection, address), name="http-request", daemon=True
        )
        self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:
            logger.warning("cannot start a thread for a request; the limit of processes is reached")
            self._threads.discard(thread)
            connection.close()
            return False
        return True

    def _answer(self, listener: _Listener, connection: socket.socket, address: object) -> None:
        try:
            with connection:
                listener.handler(connection, address, self)  # type: ignore[arg-type]
        except OSError as error:
            logger.debug("a connection ended early: %s", error)
        finally:
            self._spare.take()
            self._threads.discard(threading.current_thread())
            listener.free.release()
