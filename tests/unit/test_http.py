from __future__ import annotations

import json
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from syncagent import rendezvous
from syncagent.http import HttpServer, ListenError, handler, server
from syncagent.http.access import Door, rights
from syncagent.status import ConflictStatus, HeldStatus, ProblemStatus
from twins.control import MemoryControl, MemoryMember, MemoryVolume

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
    data.paths = {b"caf\xe9 +&": "queued"}
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


@pytest.fixture
def agent() -> MemoryControl:
    return control()


@pytest.fixture
def api(tmp_path: Path, agent: MemoryControl) -> Iterator[HttpServer]:
    with serving(tmp_path, agent) as running:
        yield running


# -- reading -------------------------------------------------------------------------------------


def test_status_has_the_fields_that_scripts_rely_on(api: HttpServer) -> None:
    answer = get(api, "/v1/status")
    assert answer.status == 200
    assert "Content-Type: application/json" in answer.head
    assert set(answer.json) >= {"format", "agent", "time", "volumes"}
    volume = answer.json["volumes"][0]
    assert set(volume) >= {
        *("name", "state", "direction", "watch", "ready", "in_sync", "digest", "entries", "bytes"),
        *("conflicts", "problems", "held", "replicas"),
    }
    assert [(replica["name"], replica["entries_behind"]) for replica in volume["replicas"]] == [
        ("a", 0),
        ("b", 0),
        ("c", 3),
    ]
    assert set(volume["replicas"][0]) >= {
        *("name", "self", "connected", "in_sync", "entries_behind", "bytes_behind"),
        *("lag_seconds", "last_seen", "as_of"),
    }


def test_lists(api: HttpServer) -> None:
    assert get(api, "/v1/held?volume=data").json == {"held": [{"path": "old", "where": "here", "size": 3}]}
    assert get(api, "/v1/conflicts").json["conflicts"][0]["of"] == "x"
    assert get(api, "/v1/problems").json["problems"][0]["code"] == "disk-full"
    members = get(api, "/v1/members").json["volumes"]
    assert [(v["name"], [m["name"] for m in v["members"]]) for v in members] == [
        ("data", ["a", "b", "c"]),
        ("logs", ["a", "b"]),
    ]
    assert [v["name"] for v in get(api, "/v1/members?volume=logs").json["volumes"]] == ["logs"]


def test_why_takes_any_bytes(api: HttpServer) -> None:
    answer = get(api, "/v1/why?path=caf%E9%20%2B%26")
    assert answer.status == 200
    assert answer.json["state"] == "queued"
    unknown = get(api, "/v1/why?path=%FF%0A")
    assert (unknown.status, unknown.json["exit_code"]) == (409, 1)
    assert get(api, "/v1/why").status == 400


def test_ready_and_the_probes(api: HttpServer, agent: MemoryControl) -> None:
    assert get(api, "/v1/ready").json == {"ready": True, "missing": []}
    assert (get(api, "/readyz").status, get(api, "/livez").status) == (200, 200)
    agent.volumes["data"].ready = False
    agent.alive = False
    refused = get(api, "/readyz")
    assert (refused.status, refused.body) == (503, b"not ready: data is being filled\n")
    assert get(api, "/livez").status == 503
    assert get(api, "/v1/ready").json["ready"] is False


def test_metrics_are_valid_and_escaped(tmp_path: Path) -> None:
    odd = 'na"me\\\n'
    volume = MemoryVolume(changes=5, members={odd: MemoryMember(3)})
    with serving(tmp_path, MemoryControl(data=volume)) as api:
        answer = get(api, "/metrics")
    assert "Content-Type: text/plain; version=0.0.4" in answer.head
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }
    where = (("replica", odd), ("volume", "data"))
    assert samples["syncagent_replica_entries_behind", where] == 2
    assert samples["syncagent_replica_bytes_behind", where] == 2000
    assert samples["syncagent_replica_lag_seconds", where] == 1.5
    assert samples["syncagent_volume_in_sync", (("volume", "data"),)] == 0
    assert samples["syncagent_volume_entries", (("volume", "data"),)] == 5
    assert samples["syncagent_scans_total", ()] == 3
    assert samples["syncagent_resident_bytes", ()] == 4096


def test_head_has_no_body(api: HttpServer) -> None:
    answer = exchange(tcp(api), b"HEAD /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (answer.status, answer.body) == (200, b"")


# -- waiting -------------------------------------------------------------------------------------


def test_wait_that_looks_once(api: HttpServer, agent: MemoryControl) -> None:
    answer = get(api, "/v1/wait?timeout=0&volume=data")
    assert answer.status == 200
    assert answer.json == {
        "reached": False,
        "cause": "blocked",
        "members": 3,
        "missing": ["c lacks 3 entries of data", "data is held or halted"],
    }
    assert agent.checks == 1
    assert get(api, "/v1/wait?timeout=0&volume=logs").json["reached"] is True


def test_wait_ends_when_the_last_member_has_it(api: HttpServer, agent: MemoryControl) -> None:
    agent.change("logs")
    waiting = tcp(api)
    waiting.sendall(b"GET /v1/wait?volume=logs&timeout=30 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    until(lambda: agent.checks >= 2)
    agent.apply_all("logs", "b")
    with waiting:
        assert answer_of(waiting).json["reached"] is True


def test_wait_alone_is_answered_at_once(tmp_path: Path) -> None:
    with serving(tmp_path, MemoryControl(data=MemoryVolume())) as api:
        assert get(api, "/v1/wait?timeout=60").json["cause"] == "alone"
        assert get(api, "/v1/wait?timeout=60&members=1").json["reached"] is True
        assert get(api, "/v1/wait?timeout=0.05&members=2").json["cause"] == "unreachable"


def test_wait_is_given_up_when_the_client_hangs_up(api: HttpServer, agent: MemoryControl) -> None:
    agent.change("logs")
    waiting = tcp(api)
    waiting.sendall(b"GET /v1/wait?volume=logs&timeout=600 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    until(lambda: agent.checks >= 2)
    waiting.close()
    until(lambda: not request_threads())


def test_stop_ends_a_wait_and_removes_the_socket(tmp_path: Path, agent: MemoryControl) -> None:
    agent.change("logs")
    with serving(tmp_path, agent) as api:
        waiting = tcp(api)
        waiting.sendall(b"GET /v1/wait?volume=logs&timeout=600 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until(lambda: agent.checks >= 2)
        api.stop()
        with waiting:
            answer = answer_of(waiting)
    assert (answer.status, answer.json["exit_code"]) == (503, 1)
    assert not (tmp_path / "agent.sock").exists()


@pytest.mark.parametrize("query", ["timeout=x", "timeout=nan", "timeout=-1", "timeout=1e9", "members=0", "members=½"])
def test_wait_with_nonsense_is_refused(api: HttpServer, query: str) -> None:
    answer = get(api, f"/v1/wait?{query.replace('½', '%C2%BD')}")
    assert (answer.status, answer.json["exit_code"]) == (400, 2)


# -- changing ------------------------------------------------------------------------------------


def test_the_unix_socket_changes_things(tmp_path: Path, api: HttpServer, agent: MemoryControl) -> None:
    path = tmp_path / "agent.sock"
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600

    def order(target: str, body: bytes) -> Answer:
        return post(rendezvous.connect(path, 10), target, body)

    assert order("/v1/forget", b'{"volume":"data","name":"c"}').json == {"done": ["c is no member of data any more"]}
    assert "c" not in agent.volumes["data"].members
    assert order("/v1/release", b"{}").json["done"][0] == "1 deletes of data are applied"
    assert order("/v1/revert", b'{"volume":"data"}').json["done"] == ["0 deletes of data are taken back"]
    assert order("/v1/rescan", b"").json["done"] == ["data is being scanned", "logs is being scanned"]
    agent.volumes["data"].state = "halted"
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


# -- who may ask ---------------------------------------------------------------------------------


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


# -- requests that are none ----------------------------------------------------------------------


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


# -- listening -----------------------------------------------------------------------------------


def test_the_socket_of_a_dead_agent_is_replaced(tmp_path: Path, agent: MemoryControl) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "agent.sock"))
    with serving(tmp_path, agent):
        assert post(rendezvous.connect(tmp_path / "agent.sock", 10), "/v1/rescan", b"{}").status == 200


def test_the_socket_of_a_living_agent_is_respected(tmp_path: Path, agent: MemoryControl) -> None:
    with serving(tmp_path, agent):
        second = HttpServer(agent, tmp_path / "agent.sock", None, None)
        with pytest.raises(ListenError, match="another agent answers"):
            second.start()
        second.stop()
        assert post(rendezvous.connect(tmp_path / "agent.sock", 10), "/v1/rescan", b"{}").status == 200


def test_a_file_in_the_socket_s_place_is_left_alone(tmp_path: Path, agent: MemoryControl) -> None:
    (tmp_path / "agent.sock").write_text("mine")
    with pytest.raises(ListenError, match="is no socket"):
        HttpServer(agent, tmp_path / "agent.sock", None, None).start()
    assert (tmp_path / "agent.sock").read_text() == "mine"


def test_a_deep_state_directory(tmp_path: Path, agent: MemoryControl) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    with serving(deep, agent):
        assert post(rendezvous.connect(deep / "agent.sock", 10), "/v1/rescan", b"{}").status == 200


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "nowhere.invalid:1"])
def test_an_address_that_is_none(tmp_path: Path, agent: MemoryControl, address: str) -> None:
    with pytest.raises(ListenError, match=r"HTTP"):
        HttpServer(agent, tmp_path / "agent.sock", address, None).start()


def test_a_port_that_is_taken(tmp_path: Path, agent: MemoryControl, api: HttpServer) -> None:
    second = tmp_path / "second"
    second.mkdir()
    with pytest.raises(ListenError, match="choose another --http"):
        HttpServer(agent, second / "agent.sock", api.address, None).start()
    assert not os.listdir(second)


def request_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "http-request"]


def until(condition: Any, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this never came true"
        time.sleep(0.005)
