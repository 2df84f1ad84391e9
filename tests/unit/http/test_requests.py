from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from syncagent import rendezvous
from syncagent.http import HttpServer, handler, server
from twins.control import MemoryControl, MemoryVolume
from unit.http.harness import (
    TOKEN,
    answer_of,
    exchange,
    get,
    post,
    request_threads,
    serving,
    tcp,
    until,
)


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        ("POST /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        ("POST /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        ("GET /v1/forget HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        ("BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n", 501),
        ("nonsense\r\n\r\n", 400),
        ("GET /v1/status HTTP/9.9\r\nHost: localhost\r\n\r\n", 505),
        ("GET /v1/why?path HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        ("GET /v1/held?" + "&".join("a=1" for _ in range(20)) + " HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        ("GET http://localhost/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        ("GET /v1/status HTTP/1.1\r\nHost: localhost\r\n" + "X: y\r\n" * 200 + "\r\n", 431),
    ],
)
def test_every_mistake_has_an_answer_in_json(api: HttpServer, request_text: str, status: int) -> None:
    answer = exchange(tcp(api), request_text.encode())
    assert answer.status == status
    assert set(answer.json) == {"error", "exit_code"}


def test_a_request_is_bounded(api: HttpServer) -> None:
    endless = b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 60000 + b"\r\nY: " + b"y" * 60000
    answer = exchange(tcp(api), endless + b"\r\nZ: " + b"z" * 60000)
    assert answer.status == 431
    assert get(api, "/v1/status").status == 200


def test_a_body_is_bounded(api: HttpServer) -> None:
    token = f"Authorization: Bearer {TOKEN.decode()}"
    assert post(tcp(api), "/v1/rescan", b" " * (handler.BODY_BYTES_MAX + 1), token).status == 413
    assert post(tcp(api), "/v1/rescan", b"", token, "Content-Length: 0").status == 411
    head = f"POST /v1/rescan HTTP/1.1\r\nHost: localhost\r\n{token}\r\n"
    assert exchange(tcp(api), f"{head}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode()).status == 411
    assert exchange(tcp(api), f"{head}Content-Length: -1\r\n\r\n".encode()).status == 411
    assert exchange(tcp(api), f"{head}Content-Length: 99999999999999\r\n\r\n".encode()).status == 413


def test_a_slow_client_is_dropped(
    tmp_path: Path, agent: MemoryControl, monkeypatch: pytest.MonkeyPatch, api: HttpServer
) -> None:
    monkeypatch.setattr(handler, "REQUEST_SECONDS", 0.1)
    with tcp(api) as trickling:
        trickling.sendall(b"GET /v1/sta")
        until(lambda: bool(request_threads()))
        until(lambda: not request_threads())
        assert trickling.recv(100) == b""


def test_a_crowd_on_tcp_leaves_the_unix_socket_free(tmp_path: Path, api: HttpServer, agent: MemoryControl) -> None:
    with ExitStack() as crowd:
        for _ in range(server.CONNECTIONS_MAX):
            crowd.enter_context(tcp(api))
        until(lambda: len(request_threads()) == server.CONNECTIONS_MAX)
        late = tcp(api)
        late.sendall(b"GET /v1/ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert post(rendezvous.connect(tmp_path / "agent.sock", 10), "/v1/rescan", b"{}").status == 200
    with late:
        assert answer_of(late).status == 200


def test_those_who_wait_leave_room_for_probes(api: HttpServer, agent: MemoryControl) -> None:
    agent.change("logs")
    with ExitStack() as crowd:
        for _ in range(handler.WAITS_MAX):
            waiting = crowd.enter_context(tcp(api))
            waiting.sendall(b"GET /v1/wait?volume=logs&timeout=600 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until(lambda: agent.checks >= handler.WAITS_MAX)
        refused = get(api, "/v1/wait?volume=logs&timeout=600")
        assert (refused.status, refused.json["exit_code"]) == (409, 1)
        assert get(api, "/livez").status == 200


def test_a_failure_inside_is_told_without_details(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(MemoryControl):
        def counters(self) -> dict[str, float]:
            raise RuntimeError("secret detail")

    with serving(tmp_path, Broken(data=MemoryVolume())) as api:
        answer = get(api, "/metrics")
    assert (answer.status, answer.json["exit_code"]) == (500, 1)
    assert b"secret detail" not in answer.body
    assert "secret detail" in caplog.text
