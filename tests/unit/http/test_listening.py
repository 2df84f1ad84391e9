from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from syncagent import rendezvous
from syncagent.http import HttpServer, ListenError
from twins.control import MemoryControl
from unit.http.harness import (
    post,
    serving,
)


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
