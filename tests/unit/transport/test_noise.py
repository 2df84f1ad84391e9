"""What nobody should send, from outside and from members of the cluster."""

from __future__ import annotations

import random
import socket

from contract.peers_harness import VOLUME
from syncagent.ports import PeerDown
from syncagent.transport import sockets
from syncproto import limits
from syncproto.codec import encode
from syncproto.greeting import hello
from syncproto.messages import ChunkData, NoSession, Pull, Refuse
from unit.transport.harness import PULL, RawPeer, Start, fit, still_works


def test_noise_on_the_port_is_survived_and_counted(start: Start) -> None:
    a = start("a")
    host, port = a.transport.listening[0].removeprefix("tcp://").split(":")
    dice = random.Random(1)
    greeting = b"\xff" + bytes(7) + b"\x01\x7f\x03\x01" + b"CURVE".ljust(20, b"\0") + bytes(32)
    for number in range(60):
        noise = dice.randbytes(dice.randrange(1, 400))
        with socket.create_connection((host, int(port)), 5) as connection:
            connection.sendall((b"", greeting, greeting[: number % 64], b"GET / HTTP/1.1\r\n\r\n")[number % 4] + noise)
            connection.settimeout(0.01)
            try:
                connection.recv(1000)
            except OSError:
                continue
    a.counts("connections", 60)
    assert a.transport.counters["connections_admitted"] == a.transport.counters["messages_in"] == 0
    still_works(start, a)


def test_noise_of_a_member_is_survived_and_counted(start: Start, context: sockets.Context) -> None:
    a = start("a")
    dice = random.Random(2)
    fair = encode(hello(fit(), is_reply=False))
    for number in range(1, 41):
        peer = RawPeer(context, a)
        frames = [dice.randbytes(dice.choice([0, 1, 8, 8, 8, 50])) for _ in range(dice.randrange(1, 5))]
        damaged = bytearray(fair)
        damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        peer.send(*frames if number % 2 else (b"session1", bytes(damaged), b"frame"))
        a.counts("messages_in", number)
        peer.dealer.close()
    assert a.transport.counters["dropped_peers"] == a.transport.counters["decode_errors"] >= 20
    still_works(start, a)


def test_a_malformed_message_ends_the_session_with_a_reason(start: Start, context: sockets.Context) -> None:
    a = start("a")
    peer = RawPeer(context, a)
    peer.greet()
    a.up()
    peer.send(b"session1", encode(Pull(b"short", 1, {}, "b", 0)))
    refusal = peer.receive()
    assert isinstance(refusal, Refuse)
    assert refusal.code == "malformed"
    assert "16" in refusal.text
    down = a.wait_for(PeerDown)
    assert isinstance(down, PeerDown)
    assert "16" in down.reason
    peer.send(b"session1", encode(PULL))
    peer.send(b"session2", encode(hello(fit(), is_reply=False)))
    a.counts("messages_in", 4)
    assert a.events.empty()
    assert a.transport.counters["dropped_peers"] == 1


def test_bulk_beyond_the_credit_ends_the_session(start: Start, context: sockets.Context) -> None:
    a = start("a")
    peer = RawPeer(context, a)
    peer.greet()
    data = encode(ChunkData(VOLUME, 1, (True,)))
    for _ in range(16):
        peer.send(b"session1", data, bytes(limits.RANGE_BYTES_MAX))
    assert isinstance(peer.receive(), Refuse)
    down = a.wait_for(PeerDown)
    assert isinstance(down, PeerDown)
    assert "exceeds the granted" in down.reason


def test_a_frame_beyond_the_limit_breaks_the_connection(start: Start, context: sockets.Context) -> None:
    a = start("a")
    peer = RawPeer(context, a)
    peer.greet()
    a.up()
    peer.send(b"session1", bytes(limits.HEADER_BYTES_MAX + 100))
    assert isinstance(a.wait_for(PeerDown), PeerDown)
    assert a.transport.counters["messages_in"] == 1
    still_works(start, a)


def test_too_many_frames_are_refused(start: Start, context: sockets.Context) -> None:
    a = start("a")
    peer = RawPeer(context, a)
    peer.greet()
    peer.send(b"session1", encode(PULL), *[b""] * 5000)
    refusal = peer.receive()
    assert isinstance(refusal, Refuse)
    assert "frames exceed" in refusal.text


def test_messages_of_an_unknown_session_are_answered(start: Start, context: sockets.Context) -> None:
    a = start("a")
    peer = RawPeer(context, a)
    peer.send(b"session9", encode(PULL))
    assert peer.receive() == NoSession()
    peer.greet(b"session9")
    a.up()
    peer.greet(b"session0")
    assert isinstance(a.wait_for(PeerDown), PeerDown)
    a.up()


def test_one_name_in_two_agents_is_two_peers(start: Start) -> None:
    a = start("a")
    start("twin", peers=a.transport.listening)
    start("twin", peers=a.transport.listening)
    assert len({a.up(), a.up()}) == 2
