"""One request: read within bounds, checked, answered, and the connection closed."""

from __future__ import annotations

import io
import logging
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote

import msgspec

from syncagent.http import routes
from syncagent.http.access import Door, Rights, rights
from syncagent.http.waiting import Interrupted
from syncagent.ports import Control
from syncagent.status import CommandRefused

HEAD_BYTES_MAX = 64 * 1024
BODY_BYTES_MAX = 64 * 1024
REQUEST_SECONDS = 10.0
"""A request has to be complete so many seconds after its connection."""
REPLY_SECONDS = 10.0
LINGER_SECONDS = 1.0
WAITS_MAX = 24
"""Long polls at one door at the same time: fewer than connections, so that they never lock out a probe."""

EXIT_FAILED = 1
EXIT_USAGE = 2

logger = logging.getLogger("syncagent.http")


class RequestTooLarge(Exception):
    """More bytes came than any request of this API has."""


class BoundedReader(io.RawIOBase):
    """A socket that ends in an exception after so many seconds or bytes, however slowly they trickle in."""

    def __init__(self, connection: socket.socket, seconds: float, size: int) -> None:
        super().__init__()
        self._connection = connection
        self._deadline = time.monotonic() + seconds
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Raises TimeoutError and RequestTooLarge."""
        if self._left <= 0:
            raise RequestTooLarge
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("the request is not complete")
        self._connection.settimeout(seconds)
        count = self._connection.recv_into(memoryview(buffer)[: self._left])
        self._left -= count
        return count


class Handler(BaseHTTPRequestHandler):
    """Answers for one connection. ``door`` to ``waits`` are set by ``handler_for``."""

    protocol_version = "HTTP/1.1"
    command = ""
    door: Door
    control: Control
    stopping: threading.Event
    waits: threading.BoundedSemaphore

    def setup(self) -> None:
        super().setup()
        reader = BoundedReader(self.connection, REQUEST_SECONDS, HEAD_BYTES_MAX + BODY_BYTES_MAX)
        self.rfile = io.BufferedReader(reader)

    def handle(self) -> None:
        try:
            self.handle_one_request()
        except RequestTooLarge:
            self._refuse(431, f"the request is larger than {HEAD_BYTES_MAX} bytes", EXIT_USAGE)
            self._linger()
        except TimeoutError:
            logger.debug("a client was too slow and is dropped")
        except ConnectionError:
            logger.debug("a client hung up before its answer")

    def do_GET(self) -> None:
        self._guarded(self._read)

    def do_HEAD(self) -> None:
        self._guarded(self._read)

    def do_POST(self) -> None:
        self._guarded(self._change)

    def _guarded(self, answer: Callable[[str, str, Rights], None]) -> None:
        path, _, query = self.path.partition("?")
        try:
            allowed = rights(self.door, self.headers.get_all("Host", []), self.headers.get("Authorization"))
            if allowed.refusal:
                self._refuse(403, allowed.refusal)
            else:
                answer(unquote(path), query, allowed)
        except routes.BadRequest as error:
            self._refuse(400, str(error), EXIT_USAGE)
        except CommandRefused as error:
            self._refuse(409, str(error), error.exit_code)
        except Interrupted:
            if self.stopping.is_set():
                self._refuse(503, "the agent is stopping; ask again when it runs")
        except (ConnectionError, TimeoutError, RequestTooLarge):
            raise
        except Exception:
            logger.exception("request %s %s failed", self.command, path)
            self._refuse(500, "the agent failed to answer; its log says why")

    def _read(self, path: str, query: str, allowed: Rights) -> None:
        if path in routes.PROBES:
            is_good, sentence = routes.probe(self.control, path, allowed.may_read)
            self._reply(200 if is_good else 503, f"{sentence}\n".encode(), "text/plain; charset=utf-8")
        elif path in routes.CHANGES:
            self._refuse(405, f"{path} changes something: use POST", EXIT_USAGE)
        elif path != "/metrics" and path not in routes.READS:
            self._refuse(404, f"there is no {path!r} here; the API is below /v1", EXIT_USAGE)
        elif not allowed.may_read:
            self._refuse_unauthorized("reading from another machine needs the agent's token")
        elif path == "/metrics":
            self._reply(200, *routes.metrics(self.control.status(), self.control.counters()))
        else:
            self._reply(200, msgspec.json.encode(self._ask(path, routes.question(query))))

    def _ask(self, path: str, question: routes.Question) -> Any:
        if path != routes.WAIT:
            return routes.READS[path](self.control, question, self._is_interrupted)
        if not self.waits.acquire(blocking=False):
            raise CommandRefused(f"{WAITS_MAX} others wait already; look once with timeout=0, or try again later")
        try:
            return routes.READS[path](self.control, question, self._is_interrupted)
        finally:
            self.waits.release()

    def _change(self, path: str, query: str, allowed: Rights) -> None:
        if path not in routes.CHANGES:
            known = path in routes.READS or path in routes.PROBES or path == "/metrics"
            text = f"{path} only reads: use GET" if known else f"there is no {path!r} here; the API is below /v1"
            self._refuse(405 if known else 404, text, EXIT_USAGE)
        elif not allowed.may_change:
            self._refuse_unauthorized(
                "changing something needs the agent's Unix socket (agent.sock in its state directory) or its token"
            )
        elif (body := self._body()) is not None:
            done = routes.CHANGES[path](self.control, routes.order(body))
            self._reply(200, msgspec.json.encode({"done": done}))

    def _body(self) -> bytes | None:
        """The body, None if the request was refused for it."""
        length, *more = self.headers.get_all("Content-Length", ["0"])
        if more or "Transfer-Encoding" in self.headers or not length.isascii() or not length.isdigit():
            self._refuse(411, "the body's length must be told in one Content-Length header", EXIT_USAGE)
        elif len(length) > 10 or int(length) > BODY_BYTES_MAX:
            self._refuse(413, f"the body is larger than {BODY_BYTES_MAX} bytes", EXIT_USAGE)
        else:
            body = self.rfile.read(int(length))
            if len(body) == int(length):
                return body
            self._refuse(400, "the body is shorter than its Content-Length", EXIT_USAGE)
            return None
        self._linger()
        return None

    def _is_interrupted(self, seconds: float) -> bool:
        """Pause; True if the agent stops or the client has hung up."""
        if self.stopping.wait(seconds):
            return True
        poll = select.poll()
        poll.register(self.connection, select.POLLRDHUP)
        return bool(poll.poll(0))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the library finds wrong with a request, in our own form."""
        self._refuse(int(code), f"the request cannot be understood: {message or 'malformed'}", EXIT_USAGE)

    def _refuse_unauthorized(self, sentence: str) -> None:
        self._refuse(401, sentence, headers={"WWW-Authenticate": "Bearer"})

    def _refuse(
        self, status: int, sentence: str, exit_code: int = EXIT_FAILED, headers: dict[str, str] | None = None
    ) -> None:
        content = msgspec.json.encode({"error": _encodable(sentence), "exit_code": exit_code})
        self._reply(status, content, headers=headers)

    def _reply(
        self,
        status: int,
        content: bytes,
        content_type: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> None:
        self.connection.settimeout(REPLY_SECONDS)
        self.request_version = "HTTP/1.1"  # also for requests that were not understood: they get a proper head
        self.send_response(status)
        fixed = {"Content-Type": content_type, "Content-Length": str(len(content)), "Cache-Control": "no-store"}
        for name, value in {**fixed, "X-Content-Type-Options": "nosniff", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _linger(self) -> None:
        """Read on for a moment: closing with bytes unread would reset the connection and lose the answer."""
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(LINGER_SECONDS)
            deadline = time.monotonic() + LINGER_SECONDS
            while time.monotonic() < deadline and self.connection.recv(65536):
                pass

    def version_string(self) -> str:
        return "syncagent"

    def log_message(self, format: str, *args: Any) -> None:
        logger.debug("%s", (format % args).encode("unicode_escape").decode())


def _encodable(text: str) -> str:
    """Text that JSON can carry, whatever bytes a path had."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def handler_for(door: Door, control: Control, stopping: threading.Event) -> type[Handler]:
    """The handler for connections that come in by this door."""
    waits = threading.BoundedSemaphore(WAITS_MAX)
    bound = {"door": door, "control": control, "stopping": stopping, "waits": waits}
    return type("BoundHandler", (Handler,), bound)
