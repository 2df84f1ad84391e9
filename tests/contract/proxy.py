"""A TCP proxy on loopback that can be told to swallow what it is given, to take its time, or to be cut like a cable."""

from __future__ import annotations

import selectors
import socket
import threading
import time


class Proxy:
    """Forwards to one address while it is not deaf. Use it in a ``with`` block."""

    def __init__(self, target: str) -> None:
        host, port = target.removeprefix("tcp://").split(":")
        self._target = host, int(port)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self.is_deaf = False
        self._is_cut = False
        self.bytes_per_second: int | None = None
        """How much it forwards, each way and all connections together; None: as much as comes."""
        self._is_over = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._server, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="proxy")

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._thread.join()

    def cut(self) -> None:
        """End all connections, and let none live until ``mend``."""
        self._is_cut = True
        while len(self._selector.get_map()) > 1:
            time.sleep(0.01)

    def mend(self) -> None:
        """Forward again."""
        self._is_cut = False

    def _run(self) -> None:
        while not self._is_over:
            for key, _ in self._selector.select(0.02):
                if key.data is None:
                    self._accept()
                else:
                    self._forward(key.fileobj, key.data)
            if self._is_cut:
                self._end_all()
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()

    def _accept(self) -> None:
        near, _ = self._server.accept()
        try:
            far = socket.create_connection(self._target)
        except OSError:  # nobody listens there now
            near.close()
            return
        self._selector.register(near, selectors.EVENT_READ, far)
        self._selector.register(far, selectors.EVENT_READ, near)

    def _end_all(self) -> None:
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                assert isinstance(key.fileobj, socket.socket)
                self._selector.unregister(key.fileobj)
                key.fileobj.close()

    def _forward(self, source: object, target: socket.socket) -> None:
        assert isinstance(source, socket.socket)
        if source.fileno() < 0:
            return  # closed earlier in this round
        try:
            rate = self.bytes_per_second
            data = source.recv(65536 if rate is None else max(1, rate // 50))
            if rate is not None:
                time.sleep(len(data) / rate)
            if data and not self.is_deaf:
                target.sendall(data)
        except OSError:
            data = b""
        if not data:
            for end in (source, target):
                self._selector.unregister(end)
                end.close()
