from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from syncagent import rendezvous
from syncagent.http import HttpServer, ListenError
from syncagent.http.access import Door, rights
from twins.control import MemoryControl
from unit.http.harness import (
    TOKEN,
    Answer,
    exchange,
    get,
    post,
    serving,
    tcp,
)

# -- changing ---------------------------------------------------------------------------------------


def test_the_unix_socket_changes_things(tmp_path: Path, api: HttpServer, agent: MemoryControl) -> None:
    path = tmp_path / "agent.sock"
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600

    def order(target: str, body: bytes) -> Answer:
        return post(rendezvous.connect(path, 10), target, body)

    assert order("/v1/forget", b'{"volume":"data","name":"c"}').json["exit_code"] == 1
    agent.volumes["data"].members["c"].connected = False
    assert order("/v1/forget", b'{"volume":"data","name":"c"}').json == {"done": ["data: c is off the list"]}
    assert "c" not in agent.volumes["data"].members
    assert order("/v1/release", b"{}").json["done"][0] == "data: 1 held deletes are applied"
    assert order("/v1/revert", b'{"volume":"data"}').json["done"] == ["data: 0 deleted entries are brought back"]
    assert order("/v1/rescan", b"").json["done"] == ["data: scanning everything", "logs: scanning everything"]
    agent.volumes["data"].halt = "the root is gone"
    assert order("/v1/adopt", b'{"volume":"data"}').status == 200
    refused = order("/v1/adopt", b'{"volume":"data"}')
    assert (refused.status, refused.json["exit_code"]) == (409, 1)
    assert "not halted" in refused.json["error"]
    assert order("/v1/adopt", b"{}").status == 400
    assert order("/v1/forget", b'{"volume":"nope","name":"c"}').json["exit_code"] == 2


@pytest.mark.parametrize(
    "headers",
    [[], ["Authorization: Bearer wrong"], [f"Authorization: Basic {TOKEN.decode()}"], ["Authorization: Bearer"]],
)
def test_tcp_without_the_token_changes_nothing(api: HttpServer, agent: MemoryControl, headers: list[str]) -> None:
    answer = post(tcp(api), "/v1/rescan", b"{}", *headers)
    assert (answer.status, answer.json["exit_code"]) == (401, 1)
    assert "WWW-Authenticate: Bearer" in answer.head
    assert agent.volumes["data"].rescans == 0


def test_tcp_with_the_token_changes_things(api: HttpServer, agent: MemoryControl) -> None:
    answer = post(tcp(api), "/v1/rescan", b"{}", f"Authorization: bearer {TOKEN.decode()}")
    assert answer.status == 200
    assert agent.volumes["data"].rescans == 1


def test_without_a_token_file_no_token_is_right(tmp_path: Path, agent: MemoryControl) -> None:
    with serving(tmp_path, agent, token=None) as api:
        for value in ("Bearer ", "Bearer None", "Bearer"):
            assert post(tcp(api), "/v1/rescan", b"{}", f"Authorization: {value}").status == 401


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"volume":1}', b'{"volumes":"data"}', b"\xff", b'{"name":"\xff"}'])
def test_a_body_that_is_no_order_is_refused(api: HttpServer, body: bytes) -> None:
    answer = post(tcp(api), "/v1/release", body, f"Authorization: Bearer {TOKEN.decode()}")
    assert (answer.status, answer.json["exit_code"]) == (400, 2)


# -- who may ask ------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "localhost:80", "127.0.0.1", "[::1]:7481", "10.0.0.7:7481", "LOCALHOST"])
def test_hosts_that_are_us(api: HttpServer, host: str) -> None:
    assert get(api, "/v1/status", host=host).status == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:7481", "127.0.0.1.evil.example", "", None])
def test_a_rebound_name_reads_nothing(api: HttpServer, host: str | None) -> None:
    for target in ("/v1/status", "/metrics", "/livez", "/nothing"):
        answer = get(api, target, host=host)
        assert (answer.status, answer.json["exit_code"]) == (403, 1)


def test_two_host_headers_are_refused(api: HttpServer) -> None:
    assert get(api, "/v1/status", "Host: evil.example").status == 403


def test_a_token_allows_every_host(api: HttpServer) -> None:
    assert get(api, "/v1/status", f"Authorization: Bearer {TOKEN.decode()}", host="agent-a:7481").status == 200


def test_from_other_machines_reading_needs_the_token() -> None:
    door = Door(is_unix=False, is_loopback=False, host="0.0.0.0", token=TOKEN)
    assert not rights(door, ["10.0.0.7:7481"], None).may_read
    assert rights(door, ["10.0.0.7:7481"], f"Bearer {TOKEN.decode()}").may_read
    assert rights(door, ["agent-a:7481"], f"Bearer {TOKEN.decode()}").may_change


def test_on_all_interfaces_only_the_probes_are_free(tmp_path: Path, agent: MemoryControl) -> None:
    agent.volumes["data"].ready = False
    with serving(tmp_path, agent, "*:0") as api:
        assert api.address is not None
        port = api.address.rpartition(":")[2]

        def ask(target: str, *headers: str) -> Answer:
            stream = socket.create_connection(("127.0.0.1", int(port)), timeout=10)
            lines = [f"GET {target} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]
            return exchange(stream, "\r\n".join(lines).encode())

        assert ask("/v1/status").status == 401
        assert ask("/metrics").status == 401
        assert ask("/v1/status", f"Authorization: Bearer {TOKEN.decode()}").status == 200
        assert (ask("/readyz").status, ask("/readyz").body) == (503, b"not ready\n")


def test_on_all_interfaces_without_a_token_it_does_not_start(tmp_path: Path, agent: MemoryControl) -> None:
    api = HttpServer(agent, tmp_path / "agent.sock", "0.0.0.0:0", None)
    with pytest.raises(ListenError, match="--http-token-file"):
        api.start()
    api.stop()
    assert not (tmp_path / "agent.sock").exists()
