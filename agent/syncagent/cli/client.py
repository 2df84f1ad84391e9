"""Asks an agent: one HTTP request a question.

Spoken over a plain socket, because importing the standard library's client takes longer than the answer. Requests are
HTTP/1.0: their answers end with the connection and never come in pieces.
"""

from __future__ import annotations

import json
import os
import socket
from typing import Any
from urllib.parse import quote, quote_from_bytes

from syncagent import rendezvous
from syncagent.cli.address import Address, UnixAddress
from syncagent.cli.exits import FAILED, CommandError

ANSWER_SECONDS = 10.0
ANSWER_BYTES_MAX = 1 << 30
WAIT_GRACE_SECONDS = 10.0
UNDO_SECONDS = 75.0
"""More than the agent gives its peers."""

Parameter = str | bytes | float | None


class Client:
    """One agent, by its address. Every method raises CommandError with the agent's own words, or why it is silent."""

    def __init__(self, address: Address, token: bytes | None = None) -> None:
        self.address = address
        self._token = token

    def get(self, path: str, /, **parameters: Parameter) -> bytes:
        """The JSON that answers; parameters that are None are left out."""
        return self._request("GET", path + _query(parameters), b"", ANSWER_SECONDS)

    def ask(self, path: str, /, **parameters: Parameter) -> Any:
        """As ``get``, decoded."""
        return self._decode(self.get(path, **parameters))

    def order(self, path: str, /, **body: str | None) -> list[str]:
        """Have something done; gives sentences that say what was."""
        content = json.dumps(_with_quoted_path(body)).encode()
        return [str(text) for text in self._decode(self._request("POST", path, content, ANSWER_SECONDS))["done"]]

    def undo(self, path: str, /, **body: str | None) -> dict[str, Any]:
        """Have something brought back; gives the agent's UndoResult once all members were asked."""
        content = json.dumps(_with_quoted_path(body)).encode()
        result = self._decode(self._request("POST", path, content, UNDO_SECONDS))["done"]
        assert isinstance(result, dict)
        return result

    def wait(self, volume: str | None, timeout: float, members: int | None) -> bytes:
        """The JSON of the agent's WaitResult, at the latest after ``timeout`` seconds."""
        target = "/v1/wait" + _query({"volume": volume, "timeout": timeout, "members": members})
        return self._request("GET", target, b"", timeout + WAIT_GRACE_SECONDS)

    def _request(self, method: str, target: str, body: bytes, seconds: float) -> bytes:
        head = [f"{method} {target} HTTP/1.0", f"Host: {self._host()}", f"Content-Length: {len(body)}"]
        if self._token is not None:
            head.append(f"Authorization: Bearer {self._token.decode('latin-1')}")
        try:
            with self._connect() as stream:
                stream.settimeout(seconds)
                stream.sendall("\r\n".join([*head, "", ""]).encode("latin-1") + body)
                answer = _read_all(stream)
        except TimeoutError:
            raise CommandError(
                f"the agent at {self.address} does not answer within {seconds:.0f} s; it may be stopped or very busy"
            ) from None
        except ConnectionError as error:
            raise CommandError(
                f"the agent at {self.address} hung up: {error.strerror or error}; is it stopping?"
            ) from None
        return self._content(answer)

    def _host(self) -> str:
        return "localhost" if isinstance(self.address, UnixAddress) else str(self.address).removeprefix("http://")

    def _connect(self) -> socket.socket:
        try:
            if isinstance(self.address, UnixAddress):
                return rendezvous.connect(self.address.path, ANSWER_SECONDS)
            return socket.create_connection((self.address.host, self.address.port), ANSWER_SECONDS)
        except (OSError, UnicodeError) as error:  # a host name that cannot be one is the latter
            raise CommandError(_unreachable(self.address, error)) from None

    def _content(self, answer: bytes) -> bytes:
        head, separator, content = answer.partition(b"\r\n\r\n")
        words = head.split(b"\r\n", 1)[0].split()
        if not separator or len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
            raise CommandError(f"what answers at {self.address} is no syncagent; check --agent")
        if words[1] == b"200":
            return content
        raise self._refusal(int(words[1]), content)

    def _refusal(self, status: int, content: bytes) -> CommandError:
        try:
            refusal = json.loads(content)
            text, exit_code = str(refusal["error"]), int(refusal["exit_code"])
        except (ValueError, KeyError, TypeError):
            return CommandError(f"what answers at {self.address} is no syncagent (status {status}); check --agent")
        if status == 401:
            hint = "is not the agent's" if self._token is not None else "is missing; give --token-file FILE"
            return CommandError(f"{text}; the token {hint}", exit_code)
        return CommandError(text, exit_code or FAILED)

    def _decode(self, content: bytes) -> Any:
        try:
            return json.loads(content)
        except ValueError:
            raise CommandError(f"what answers at {self.address} is no syncagent; check --agent") from None


def _query(parameters: dict[str, Parameter]) -> str:
    pairs = [f"{name}={_quoted(value)}" for name, value in parameters.items() if value is not None]
    return "?" + "&".join(pairs) if pairs else ""


def _with_quoted_path(body: dict[str, str | None]) -> dict[str, str | None]:
    """A path may have any bytes: in JSON it is percent-encoded. One that begins with a dot is meant from here."""
    path = body.get("path")
    return body if path is None else {**body, "path": quote_from_bytes(absolute(path), safe="/")}


def absolute(path: str) -> bytes:
    """Bytes; what begins with a dot and a slash is meant from where the user is."""
    if path in (".", "..") or path.startswith(("./", "../")):
        path = os.path.normpath(os.path.join(os.getcwd(), path))
    return os.fsencode(path)


def _quoted(value: Parameter) -> str:
    if isinstance(value, bytes):
        return quote_from_bytes(value, safe="/")
    return quote(repr(value) if isinstance(value, float) else str(value), safe="", errors="surrogateescape")


def _read_all(stream: socket.socket) -> bytes:
    parts, total = [], 0
    while part := stream.recv(1 << 16):
        parts.append(part)
        total += len(part)
        if total > ANSWER_BYTES_MAX:
            raise CommandError("the answer is longer than any of an agent's; check --agent")
    return b"".join(parts)


def _unreachable(address: Address, error: OSError | UnicodeError) -> str:
    if isinstance(error, PermissionError):
        return f"{address} may only be used by the user the agent runs as; become that user, or use its HTTP port"
    why = getattr(error, "strerror", None) or str(error)
    if isinstance(error, TimeoutError):
        why = "nothing answers in time"
    remedy = "is `syncagent run` up?"
    if not isinstance(address, UnixAddress):
        remedy = f"is `syncagent run` up, with --http {address.host}:{address.port}?"
    return f"no agent answers at {address} ({why}); {remedy}"
