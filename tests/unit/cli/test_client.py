from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from syncagent.cli import client
from syncagent.cli.address import TcpAddress
from syncagent.cli.client import Client
from syncagent.cli.exits import CommandError


@contextmanager
def answering(answer: bytes | None) -> Iterator[Client]:
    """A server that gives every connection this answer; None reads and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = threading.Event()

        def serve() -> None:
            with listener.accept()[0] as connection:
                connection.recv(65536)
                if answer is None:
                    done.wait(10)
                else:
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Client(TcpAddress(*listener.getsockname()))
        finally:
            done.set()
            thread.join()


@pytest.mark.parametrize(
    "answer",
    [b"", b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 404 Not Found\r\n\r\n<html>", b"HTTP/1.1 200 OK\r\n\r\n<html>"],
)
def test_something_else_answers(answer: bytes) -> None:
    with answering(answer) as other, pytest.raises(CommandError, match="is no syncagent") as refused:
        other.ask("/v1/status")
    assert refused.value.exit_code == 1


def test_a_host_that_cannot_be_one() -> None:
    with pytest.raises(CommandError, match="no agent answers at"):
        Client(TcpAddress("a" * 64, 1)).get("/v1/status")


def test_a_silent_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.05)
    with answering(None) as silent, pytest.raises(CommandError, match="does not answer within"):
        silent.get("/v1/status")


def test_the_agent_s_own_words_and_code() -> None:
    answer = b'HTTP/1.1 409 Conflict\r\n\r\n{"error": "held; release it", "exit_code": 5}'
    with answering(answer) as agent, pytest.raises(CommandError, match="held; release it") as refused:
        agent.order("/v1/adopt", volume="data")
    assert refused.value.exit_code == 5
