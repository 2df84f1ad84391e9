from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from syncagent.http import HttpServer
from twins.control import MemoryControl, MemoryMember, MemoryVolume
from unit.http.harness import (
    answer_of,
    exchange,
    get,
    request_threads,
    serving,
    tcp,
    until,
)

# -- reading ----------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("path", ["/v1/members", "/v1/status"])
def test_one_volume_is_chosen_and_an_unknown_one_refused(api: HttpServer, path: str) -> None:
    assert [volume["name"] for volume in get(api, f"{path}?volume=logs").json["volumes"]] == ["logs"]
    refused = get(api, f"{path}?volume=zzz")
    assert (refused.status, refused.json["exit_code"]) == (409, 2)
    assert refused.json["error"] == "there is no volume 'zzz' here; there is data, logs"


def test_why_takes_any_bytes(api: HttpServer) -> None:
    answer = get(api, "/v1/why?path=caf%E9%20%2B%26")
    assert answer.status == 200
    assert answer.json["state"] == "queued"
    unknown = get(api, "/v1/why?path=%FF%0A")
    assert (unknown.status, unknown.json["path"], unknown.json["state"]) == (200, "\\xff\\n", "unknown")
    elsewhere = get(api, "/v1/why?path=/elsewhere/x")
    assert (elsewhere.status, elsewhere.json["exit_code"]) == (409, 2)
    assert get(api, "/v1/why").status == 400


def test_ready_and_the_probes(api: HttpServer, agent: MemoryControl) -> None:
    assert get(api, "/v1/ready").json == {"ready": True, "missing": []}
    assert (get(api, "/readyz").status, get(api, "/livez").status) == (200, 200)
    agent.volumes["data"].ready = False
    agent.alive = False
    refused = get(api, "/readyz")
    assert (refused.status, refused.body) == (503, b"not ready: data\n")
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


# -- waiting ----------------------------------------------------------------------------------------


def test_wait_that_looks_once(api: HttpServer, agent: MemoryControl) -> None:
    answer = get(api, "/v1/wait?timeout=0&volume=data")
    assert answer.status == 200
    assert answer.json == {
        "reached": False,
        "cause": "blocked",
        "members": 3,
        "missing": [
            "data: 1 deletes are held; see 'syncctl hold'",
            "data: no room",
            "data: c lacks 3 entries, 3000 bytes",
        ],
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
        assert get(api, "/v1/wait?timeout=0.05&members=2").json["cause"] == "behind"


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
