"""Addresses that do not work: each is told with its cause and remedy."""

from __future__ import annotations

import socket

import pytest
import zmq

from contract.peers_harness import SECRET
from syncagent.transport import keys, sockets
from syncproto import limits
from unit.transport.harness import Start


def test_a_mistyped_address_is_named(start: Start) -> None:
    a = start("a", peers=["tcp:/127.0.0.1"])
    assert "tcp://HOST:PORT" in a.trouble()
    a.transport.set_peers([])
    assert a.trouble() == ""


def test_a_name_that_leads_nowhere_is_named(start: Start) -> None:
    reason = start("a", peers=["tcp://no.such.name.invalid:7401"]).trouble()
    assert "no.such.name.invalid" in reason
    assert "cannot be resolved" in reason


def test_another_program_at_the_address_is_recognised(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        a = start("a", peers=[f"tcp://127.0.0.1:{server.getsockname()[1]}"])
        answers = 0
        while a.events.empty() and answers < 200:
            answers += 1
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            with connection:
                connection.sendall(b"SSH-2.0-OpenSSH_9.9 " + b"x" * 64)
                connection.settimeout(0.2)
                try:
                    connection.recv(64)
                except OSError:
                    continue
    assert "another program" in a.trouble()


def test_a_program_that_speaks_zeromq_without_keys_is_recognised(start: Start, context: sockets.Context) -> None:
    plain = context.socket(zmq.ROUTER)
    plain.bind("tcp://127.0.0.1:0")
    a = start("a", peers=[plain.getsockopt_string(zmq.LAST_ENDPOINT)])
    assert "without keys" in a.trouble()


def test_a_port_that_takes_connections_and_closes_them_is_described(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        a = start("a", peers=[f"tcp://127.0.0.1:{server.getsockname()[1]}"])
        for _ in range(200):
            if not a.events.empty():
                break
            try:
                server.accept()[0].close()
            except TimeoutError:
                continue
    assert "no agent runs behind it" in a.trouble()


def test_an_agent_that_lets_in_and_says_nothing_is_reported(
    start: Start, context: sockets.Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SILENCE_SECONDS", 0.3)
    pair = keys.derive(SECRET)
    mute = context.socket(zmq.ROUTER)
    mute.setsockopt(zmq.CURVE_SERVER, 1)
    mute.setsockopt(zmq.CURVE_SECRETKEY, pair.secret)
    mute.bind("tcp://127.0.0.1:0")
    a = start("a", peers=[mute.getsockopt_string(zmq.LAST_ENDPOINT)])
    assert "did not answer our Hello" in a.trouble()
