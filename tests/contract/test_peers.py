"""What every ``Peers`` does: the transport over loopback TCP, and the network that simulations use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contract.peers_harness import VOLUME, Agent, Network, RealNetwork, TwinNetwork
from syncagent.ports import PeerAddress, PeerDown, PeerUp
from syncagent.transport import dialler
from syncproto import limits
from syncproto.codec import encode
from syncproto.errors import LocalProtocolError
from syncproto.messages import Barrier, ChunkData, Delta, Pull, VolumeHello, VolumeMessage


@pytest.fixture(params=[TwinNetwork, RealNetwork], ids=["twin", "real"])
def net(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    monkeypatch.setattr(dialler, "TROUBLE_SECONDS", RealNetwork.trouble_seconds)
    monkeypatch.setattr(dialler, "REFUSED_RETRY_SECONDS", 0.1)
    network: Network = request.param()
    yield network
    network.close()


def pull(number: int) -> Pull:
    return Pull(VOLUME, number, {"a.1": 3}, "b.1", 0)


def chunk(size: int, fill: bytes = b"x") -> tuple[ChunkData, tuple[bytes, ...]]:
    return ChunkData(VOLUME, 1, (True,)), (fill * size,)


def joined(net: Network, both: bool = False) -> tuple[Agent, Agent]:
    """Two agents that know each other: b dials a, and a dials b too if ``both``."""
    a = net.agent("a", ["b"] if both else [])
    b = net.agent("b", ["a"])
    net.until(lambda: bool(a.ups() and b.ups()))
    return a, b


def test_one_side_dials_and_both_may_speak(net: Network) -> None:
    a, b = joined(net)
    assert a.ups()[0].hello.volumes == b.volumes
    assert b.ups()[0].hello.volumes == a.volumes
    assert b.ups()[0].address
    a.peers.send(a.peer("b"), pull(1))
    b.peers.send(b.peer("a"), pull(2))
    net.until(lambda: bool(a.got() and b.got()))
    assert (a.messages(), b.messages()) == ([pull(2)], [pull(1)])
    assert a.got()[0].peer == a.peer("b")


def test_the_dialler_hears_who_answered_at_the_address(net: Network) -> None:
    a, b = joined(net)
    net.until(lambda: any(isinstance(event, PeerAddress) for event in b.events))
    address = b.ups()[0].address
    assert [event for event in b.events if isinstance(event, PeerAddress)] == [PeerAddress(address, b.peer("a"))]
    assert not [event for event in a.events if isinstance(event, PeerAddress)]


def test_messages_keep_their_order_and_their_frames(net: Network) -> None:
    a, b = joined(net)
    delta = Delta(VOLUME, 0, "a.1", 0, 1, 0, True, False, {}, {}, 0, (), (b"d" * 32,))
    sent: list[VolumeMessage] = [pull(1), delta, pull(2), chunk(9)[0]]
    frames: list[tuple[bytes, ...]] = [(), (b"hello",), (), (b"x" * 9,)]
    for message, carried in zip(sent, frames, strict=True):
        a.peers.send(a.peer("b"), message, carried)
    net.until(lambda: len(b.got()) == 4)
    assert b.messages() == sent
    assert [event.frames for event in b.got()] == frames
    assert [event.size for event in b.got()] == [0, len(encode(sent[1])) + 5, 0, len(encode(sent[3])) + 9]


def test_many_messages_all_arrive_once(net: Network) -> None:
    a, b = joined(net)
    for number in range(2000):
        a.peers.send(a.peer("b"), pull(number))
        b.peers.send(b.peer("a"), pull(number))
    net.until(lambda: len(a.got()) == len(b.got()) == 2000)
    assert a.messages() == b.messages() == [pull(number) for number in range(2000)]


def test_bulk_waits_for_credit_and_control_passes_by(net: Network) -> None:
    a, b = joined(net)
    for number in range(24):
        a.peers.send(a.peer("b"), *chunk(2**20, bytes([number])))
    a.peers.send(a.peer("b"), pull(1))
    net.until(lambda: pull(1) in b.messages())
    net.idle()
    bulk = [event for event in b.got() if event.size]
    assert sum(event.size for event in bulk) <= limits.CREDIT_BYTES
    assert len(bulk) == 15
    assert a.peers.backlog_bytes(a.peer("b")) > 8 * 2**20
    for event in bulk:
        b.peers.consumed(event.peer, event.size)
    net.until(lambda: len(b.got()) == 25)
    assert [event.frames[0][0] for event in b.got() if event.size] == list(range(24))


def test_two_sessions_of_one_pair_are_one_peer(net: Network) -> None:
    a, b = joined(net, both=True)
    net.idle()
    for number in range(100):
        a.peers.send(a.peer("b"), pull(number))
        b.peers.send(b.peer("a"), *chunk(10))
        b.peers.send(b.peer("a"), pull(number))
    net.until(lambda: len(a.got()) == 200 and len(b.got()) == 100)
    net.idle()
    assert len(a.ups()) == len(b.ups()) == 1
    assert not a.downs() + b.downs()
    assert b.messages() == [message for message in a.messages() if isinstance(message, Pull)]


def test_what_cannot_be_sent_is_dropped(net: Network) -> None:
    a, b = joined(net)
    a.peers.send("nobody#00", pull(1))
    a.peers.consumed("nobody#00", 5)
    a.peers.consumed(a.peer("b"), 5)
    assert a.peers.backlog_bytes("nobody#00") == 0
    a.peers.send(a.peer("b"), pull(2))
    net.until(lambda: b.messages() == [pull(2)])


def test_what_is_too_large_is_a_mistake_of_ours(net: Network) -> None:
    a, _ = joined(net)
    with pytest.raises(LocalProtocolError):
        a.peers.send(a.peer("b"), *chunk(limits.FRAME_BYTES_MAX + 1))


@pytest.mark.parametrize("name", ["a", "b"])
def test_who_leaves_is_missed_and_comes_back_as_somebody_new(net: Network, name: str) -> None:
    a, b = joined(net)
    leaver, stayer = (a, b) if name == "a" else (b, a)
    before = stayer.peer(name)
    net.leave(leaver)
    net.until(lambda: bool(stayer.downs()))
    assert stayer.downs()[0].peer == before
    assert stayer.downs()[0].reason
    again = net.agent(name, ["a"] if name == "b" else [])
    net.until(lambda: len(stayer.ups()) == 2 and bool(again.ups()))
    assert stayer.peer(name) != before
    stayer.peers.send(before, pull(1))
    stayer.peers.send(stayer.peer(name), pull(2))
    net.until(lambda: bool(again.got()))
    assert again.messages() == [pull(2)]


def test_two_sessions_end_as_one(net: Network) -> None:
    a, b = joined(net, both=True)
    net.idle()
    net.leave(b)
    net.until(lambda: bool(a.downs()))
    net.idle()
    assert len(a.downs()) == len(a.ups()) == 1


def test_another_cluster_is_refused_with_both_names(net: Network) -> None:
    a = net.agent("a", cluster="home")
    b = net.agent("b", ["a"], cluster="work")
    net.until(lambda: bool(b.troubles()))
    net.idle()
    assert "'home'" in b.troubles()[0]
    assert "'work'" in b.troubles()[0]
    assert len(b.troubles()) == 1
    assert not a.ups() + b.ups()


def test_another_secret_is_kept_out(net: Network) -> None:
    a = net.agent("a", secret=b"one secret")
    b = net.agent("b", ["a"], secret=b"another")
    net.until(lambda: bool(b.troubles()))
    assert "secret differs" in b.troubles()[0]
    assert not a.events
    assert not b.ups()


def test_dialling_oneself_is_no_trouble(net: Network) -> None:
    a = net.agent("a", ["a", "b"])
    b = net.agent("b")
    net.until(lambda: bool(a.ups() and b.ups()))
    net.idle()
    assert [event.hello.agent for event in a.ups()] == ["b"]
    assert not a.troubles() + a.downs()


def test_an_address_where_nobody_is_is_reported_until_somebody_is(net: Network) -> None:
    b = net.agent("b", ["a"])
    net.until(lambda: bool(b.troubles()))
    assert "nothing listens" in b.troubles()[0]
    a = net.agent("a")
    net.until(lambda: bool(a.ups() and b.ups()))
    net.until(lambda: len(b.troubles()) == 2)
    assert b.troubles()[1] == ""


@pytest.mark.parametrize("both", [False, True], ids=["one-session", "two-sessions"])
@pytest.mark.parametrize("by", ["a", "b"])
def test_a_reset_tells_the_new_volumes(net: Network, by: str, both: bool) -> None:
    a, b = joined(net, both)
    net.idle()
    changed, other = (a, b) if by == "a" else (b, a)
    changed.volumes = (VolumeHello(VOLUME, "data", "new.1"),)
    changed.peers.reset(changed.peer(other.name))
    net.until(lambda: len(other.ups()) >= 2 and len(changed.ups()) >= 2)
    net.idle()
    assert other.ups()[-1].hello.volumes == changed.volumes
    for agent in (a, b):
        kinds = [type(event).__name__ for event in agent.events if isinstance(event, PeerUp | PeerDown)]
        assert kinds == ["PeerUp", "PeerDown"] * (len(kinds) // 2) + ["PeerUp"]
    changed.peers.send(changed.ups()[-1].peer, pull(1))
    other.peers.send(other.ups()[-1].peer, pull(2))
    net.until(lambda: bool(a.got() and b.got()))


def test_three_agents_in_a_ring(net: Network) -> None:
    agents = [net.agent("a", ["b"]), net.agent("b", ["c"]), net.agent("c", ["a"])]
    net.until(lambda: all(len(agent.ups()) == 2 for agent in agents))
    for agent in agents:
        for event in agent.ups():
            agent.peers.send(event.peer, Barrier(VOLUME, agent.name.encode() * 8, 0))
    net.until(lambda: all(len(agent.got()) == 2 for agent in agents))
    for agent in agents:
        assert {m.id for m in agent.messages() if isinstance(m, Barrier)} == {
            other.name.encode() * 8 for other in agents if other is not agent
        }


def test_an_idle_session_lives_on(net: Network) -> None:
    a, b = joined(net)
    net.idle()
    assert not a.downs() + b.downs() + a.got() + b.got()
