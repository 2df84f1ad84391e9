"""A raw client for the API, so that tests say exactly which bytes go over the wire."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syncagent.http import HttpServer
from syncagent.status import ConflictStatus, HeldStatus, ProblemStatus
from twins.control import MemoryControl, MemoryMember, MemoryPath, MemoryVolume

TOKEN = b"t" * 40


@dataclass
class Answer:
    status: int
    head: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def exchange(stream: socket.socket, request: bytes) -> Answer:
    """Send raw bytes, read to the end."""
    with stream:
        stream.settimeout(10)
        stream.sendall(request)
        return answer_of(stream)


def answer_of(stream: socket.socket) -> Answer:
    received = b""
    while part := stream.recv(65536):
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    return Answer(int(head.split()[1]), head.decode(), body)


def tcp(api: HttpServer) -> socket.socket:
    assert api.address is not None
    host, _, port = api.address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=10)


def get(api: HttpServer, target: str, *headers: str, host: str | None = "localhost") -> Answer:
    lines = [f"GET {target} HTTP/1.1", *([f"Host: {host}"] if host is not None else []), *headers, "", ""]
    return exchange(tcp(api), "\r\n".join(lines).encode())


def post(stream: socket.socket, target: str, body: bytes, *headers: str) -> Answer:
    lines = [f"POST {target} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers, "", ""]
    return exchange(stream, "\r\n".join(lines).encode() + body)


def control() -> MemoryControl:
    data = MemoryVolume(changes=10, members={"b": MemoryMember(10), "c": MemoryMember(7)})
    data.held = [HeldStatus(path="old", where="here", size=3)]
    data.conflicts = [ConflictStatus(path="x~b-1", of="x", origin="b", size=4)]
    data.problems = [ProblemStatus(code="disk-full", text="no room", is_blocking=True)]
    data.paths = {b"caf\xe9 +&": MemoryPath("queued")}
    return MemoryControl(data=data, logs=MemoryVolume(changes=2, members={"b": MemoryMember(2)}))


@contextmanager
def serving(
    place: Path, agent: MemoryControl, address: str | None = "127.0.0.1:0", token: bytes | None = TOKEN
) -> Iterator[HttpServer]:
    api = HttpServer(agent, place / "agent.sock", address, token)
    api.start()
    try:
        yield api
    finally:
        api.stop()


def request_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "http-request"]


def until(condition: Any, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this never came true"
        time.sleep(0.005)
