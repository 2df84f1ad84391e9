"""The transport thread's loop: sockets, functions from other threads, and slow questions asked on the side."""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TypeVar

import zmq

from syncagent.transport.sockets import Socket

T = TypeVar("T")


class Loop:
    """Polls on one thread. ``post`` may be called on any, and costs one system call for many posts."""

    def __init__(self) -> None:
        self.now = time.monotonic()
        self._poller = zmq.Poller()
        self._handlers: dict[object, Callable[[], None]] = {}
        self._posted: deque[Callable[[], None]] = deque()
        self._is_awake = False
        self._bell, self._ear = socket.socketpair()
        self._bell.setblocking(False)
        self._ear.setblocking(False)
        self._poller.register(self._ear.fileno(), zmq.POLLIN)
        self._handlers[self._ear.fileno()] = self._wake

    def watch(self, watched: Socket, handler: Callable[[], None]) -> None:
        """Call ``handler`` when there is something to read."""
        self._poller.register(watched, zmq.POLLIN)
        self._handlers[watched] = handler

    def unwatch(self, watched: Socket) -> None:
        """Stop doing so: before the socket is closed."""
        self._poller.unregister(watched)
        del self._handlers[watched]

    def post(self, function: Callable[[], None]) -> None:
        """Have the loop call ``function`` at once. After ``close`` this does nothing."""
        self._posted.append(function)
        if not self._is_awake:
            self._is_awake = True
            try:
                self._bell.send(b"!")
            except OSError:
                self._posted.clear()  # closed: nobody will call it

    def background(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Do something slow on a thread of its own; the loop gets the result."""
        threading.Thread(target=lambda: self._report(work, done), name="transport-ask", daemon=True).start()

    def _report(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        result = work()
        self.post(lambda: done(result))

    def turn(self, until: float) -> None:
        """Wait for something to do, at most until that time, and do it."""
        wait = max(0.0, until - time.monotonic())
        ready = self._poller.poll(int(min(wait, 3600.0) * 1000) + 1 if wait else 0)
        self.now = time.monotonic()
        for watched, _ in ready:
            handler = self._handlers.get(watched)
            if handler is not None:  # an earlier one may have ended this one
                handler()
        for _ in range(len(self._posted)):
            self._posted.popleft()()

    def _wake(self) -> None:
        # First the bells heard so far, then the word that the next post must ring, then the posts: the other way round
        # a bell that rings in between is swallowed, and nobody rings again.
        try:
            self._ear.recv(4096)
        except BlockingIOError:
            pass
        self._is_awake = False

    def close(self) -> None:
        """Give the wake-up sockets back."""
        self._bell.close()
        self._ear.close()
