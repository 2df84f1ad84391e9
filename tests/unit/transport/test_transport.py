"""The transport: starting, living and ending. Only real sockets, on loopback."""

from __future__ import annotations

import socket

import pytest

from contract.peers_harness import SECRET, VOLUME
from contract.proxy import Proxy
from syncagent.ports import PeerDown, PeerMessage
from syncagent.transport import ListenFailed, TransportFailed, sockets
from syncproto import limits
from syncproto.messages import ChunkData
from unit.transport.harness import LOOPBACK, PULL, RawPeer, Running, Start

# -- starting ------------------------------------------------------------------------------------


def test_port_zero_is_resolved_and_several_addresses_are_listened_on(start: Start) -> None:
    a = start("a", listen=LOOPBACK * 2)
    assert len(set(a.transport.listening)) == 2
    assert all(int(address.rpartition(":")[2]) > 0 for address in a.transport.listening)
    for address in a.transport.listening:
        start("b", peers=[address]).up()
        a.up()


@pytest.mark.parametrize(
    ("listen", "secret", "words"),
    [
        ("tcp://192.0.2.1:7401", SECRET, ["192.0.2.1:7401", "no such address"]),
        ("tcp://no.such.name.invalid:7401", SECRET, ["no.such.name.invalid", "numeric address"]),
        ("127.0.0.1:7401", SECRET, ["'127.0.0.1:7401'", "tcp://HOST:PORT"]),
        ("tcp://127.0.0.1:99999", SECRET, ["tcp://HOST:PORT"]),
        ("tcp://0.0.0.0:0", None, ["without a secret", "--secret-file"]),
        ("tcp://*:0", None, ["without a secret", "keygen"]),
    ],
)
def test_an_address_that_cannot_be_listened_on_is_named(listen: str, secret: bytes | None, words: list[str]) -> None:
    made = Running("a", listen=[listen], secret=secret)
    with pytest.raises(ListenFailed) as failure:
        made.transport.start()
    assert all(word in str(failure.value) for word in words)


def test_an_address_in_use_is_named(start: Start) -> None:
    taken = start("a").transport.listening[0]
    with pytest.raises(ListenFailed, match="in use") as failure:
        Running("b", listen=[taken]).transport.start()
    assert taken in str(failure.value)


def test_an_empty_secret_is_refused() -> None:
    with pytest.raises(TransportFailed, match="keygen"):
        Running("a", secret=b" \n").transport.start()


def test_an_old_libzmq_is_refused() -> None:
    with pytest.raises(TransportFailed, match=r"4\.3\.4.*4\.3\.5"):
        sockets.check_libzmq((4, 3, 4))
    sockets.check_libzmq((4, 3, 5))


def test_what_failed_to_start_can_be_stopped() -> None:
    made = Running("a", listen=[*LOOPBACK, "tcp://192.0.2.1:7401"])
    with pytest.raises(ListenFailed):
        made.transport.start()
    made.transport.stop()
    made.transport.stop()


def test_what_was_never_started_can_be_stopped() -> None:
    made = Running("a")
    made.transport.stop()
    made.transport.send("b#00", PULL)
    assert not made.transport.is_alive


def test_names_and_the_wildcard_work(start: Start) -> None:
    a = start("a", listen=["tcp://*:0"])
    port = a.transport.listening[0].rpartition(":")[2]
    start("b", listen=[], peers=[f"tcp://localhost:{port}"]).up()
    a.up()


def test_ipv6_works_where_there_is_any(start: Start) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        with pytest.raises(ListenFailed):
            Running("a", listen=["tcp://[::1]:0"]).transport.start()
        return
    a = start("a", listen=["tcp://[::1]:0"])
    start("b", peers=a.transport.listening).up()


# -- the life of a connection --------------------------------------------------------------------


def test_peers_can_be_changed_while_running(start: Start) -> None:
    a, b = start("a"), start("b")
    c = start("c", peers=a.transport.listening)
    first = c.up()
    c.transport.set_peers(b.transport.listening)
    down = c.wait_for(PeerDown)
    assert isinstance(down, PeerDown)
    assert down.peer == first
    assert c.up() != first
    a.wait_for(PeerDown)
    b.up()


def test_what_was_sent_before_the_stop_arrives(start: Start) -> None:
    a = start("a")
    b = start("b", peers=a.transport.listening)
    peer = b.up()
    for _ in range(14):
        b.transport.send(peer, ChunkData(VOLUME, 1, (True,)), [bytes(limits.RANGE_BYTES_MAX)])
    b.transport.stop(5)
    for _ in range(14):
        a.wait_for(PeerMessage)
    down = a.wait_for(PeerDown)
    assert isinstance(down, PeerDown)
    assert down.reason == "the agent stops"


def test_a_broken_connection_is_noticed_at_once_by_the_listener(start: Start, context: sockets.Context) -> None:
    a = start("a")
    peer = RawPeer(context, a)
    peer.greet()
    a.up()
    peer.dealer.close()
    assert isinstance(a.wait_for(PeerDown, limits.HEARTBEAT_SECONDS / 2), PeerDown)


def test_silence_is_noticed_and_the_dialler_tries_again(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy between the two swallows everything for a while, without breaking a connection."""
    a = start("a")
    with Proxy(a.transport.listening[0]) as proxy:
        b = start("b", peers=[proxy.address])
        a.up()
        b.up()
        monkeypatch.setattr(limits, "SILENCE_SECONDS", 0.3)
        monkeypatch.setattr(limits, "HEARTBEAT_SECONDS", 0.1)
        proxy.is_deaf = True
        for end in (a, b):
            end.transport.send("nobody#00", PULL)  # wakes it, so that it sees the new times
            down = end.wait_for(PeerDown)
            assert isinstance(down, PeerDown)
            assert "nothing was heard" in down.reason
        monkeypatch.undo()
        proxy.is_deaf = False
        a.up()
        b.up()


def test_nothing_is_emitted_after_the_stop(start: Start) -> None:
    a = start("a")
    b = start("b", peers=a.transport.listening)
    b.up()
    b.transport.stop()
    seen = b.events.qsize()
    b.transport.send("a#00", PULL)
    b.transport.reset()
    b.transport.set_peers([])
    assert b.events.qsize() == seen
    assert not b.transport.is_alive
