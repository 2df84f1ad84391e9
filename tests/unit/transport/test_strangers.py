"""Who is let in, and who is not."""

from __future__ import annotations

from pathlib import Path

import pytest
import zmq
from zmq.utils import z85

from contract.peers_harness import SECRET
from syncagent.transport import TransportFailed, authenticate, keys, sockets
from syncagent.transport.authenticate import Authenticator
from syncagent.transport.keys import KeyPair
from syncproto.codec import encode
from syncproto.greeting import hello
from unit.transport.harness import RawPeer, Running, Start, fit, still_works


def test_white_space_around_a_secret_does_not_count() -> None:
    assert keys.derive(b"a secret\n") == keys.derive(b"a secret") != keys.derive(b"another")
    assert keys.derive(None) == keys.derive(b"no secret")
    assert keys.derive(b"a secret").secret.decode() not in repr(keys.derive(b"a secret"))


def test_keys_are_made_as_the_specification_says() -> None:
    spec = (Path(__file__).parents[3] / "protocol" / "SPEC.md").read_text()
    assert f"`{keys.CONTEXT}`" in spec
    assert f"`{keys.NO_SECRET.decode()}`" in spec
    assert f"`{sockets.ZAP_DOMAIN.decode()}`" in spec
    assert keys.derive(b"a secret").public == b"*B[nwqa?Ojb>exCUo$$pNufc3K!ws9SaF.+S1v@-"


@pytest.mark.parametrize("is_server_known", [True, False], ids=["knows-the-public-key", "knows-nothing"])
def test_a_strangers_key_is_refused(start: Start, context: sockets.Context, is_server_known: bool) -> None:
    a = start("a")
    stranger, other = KeyPair(*zmq.curve_keypair()), KeyPair(*zmq.curve_keypair())
    server_key = keys.derive(SECRET).public if is_server_known else other.public
    dealer = sockets.make_dialler(context, stranger, server_key)
    monitor = sockets.make_monitor(dealer, sockets.DIALLER_EVENTS)
    dealer.connect(a.transport.listening[0])
    assert monitor.poll(5000)
    kind = int.from_bytes(monitor.recv_multipart()[0][:2], "little")
    assert kind & sockets.FAILED_HANDSHAKE
    a.counts("auth_refused", 1)
    sockets.discard(dealer, monitor)
    still_works(start, a)


def test_a_client_without_keys_is_refused(start: Start, context: sockets.Context) -> None:
    a = start("a")
    dealer = context.socket(zmq.DEALER)
    dealer.setsockopt(zmq.RECONNECT_IVL, -1)
    monitor = sockets.make_monitor(dealer, sockets.DIALLER_EVENTS)
    dealer.connect(a.transport.listening[0])
    dealer.send_multipart([b"session1", encode(hello(fit(), is_reply=False))])
    assert monitor.poll(5000)
    kind = int.from_bytes(monitor.recv_multipart()[0][:2], "little")
    assert kind & sockets.FAILED_HANDSHAKE
    sockets.discard(dealer, monitor)
    assert a.events.empty()
    assert a.transport.counters["messages_in"] == 0


def test_an_agent_without_a_secret_meets_only_its_like(start: Start) -> None:
    a, c = start("a", secret=None), start("c", secret=None)
    b = start("b", peers=a.transport.listening)
    d = start("d", peers=c.transport.listening, secret=None)
    assert "secret differs" in b.trouble()
    d.up()
    assert a.events.empty()


def test_without_a_secret_nobody_beyond_loopback_is_dialled(start: Start) -> None:
    a = start("a", peers=["tcp://192.0.2.1:7401"], secret=None)
    assert "without a secret" in a.trouble()


def test_a_message_whose_sender_nobody_authenticated_is_dropped(start: Start, context: sockets.Context) -> None:
    a = start("a")
    a.transport._listeners[0]._user_id = "somebody else"
    peer = RawPeer(context, a)
    peer.send(b"session1", encode(hello(fit(), is_reply=False)))
    a.counts("auth_refused", 1)
    assert a.transport.counters["messages_in"] == 0
    assert a.events.empty()


@pytest.mark.parametrize("verdict", [b"200", b"300"], ids=["lets-everybody-in", "does-not-decide"])
def test_the_self_test_finds_an_authenticator_that_fails(monkeypatch: pytest.MonkeyPatch, verdict: bytes) -> None:
    def decide(self: Authenticator, question: list[bytes]) -> list[bytes]:
        return [b"1.0", question[1], verdict, b"", b"anybody", b""]

    monkeypatch.setattr(Authenticator, "_verdict", decide)
    monkeypatch.setattr(authenticate, "SELF_TEST_SECONDS", 0.3)
    with pytest.raises(TransportFailed, match="stranger"):
        Running("a").transport.start()


@pytest.mark.parametrize(
    "question",
    [
        [],
        [b"1.0"],
        [b"1.0", b"1", b"syncagent", b"127.0.0.1", b"", b"NULL"],
        [b"1.0", b"1", b"syncagent", b"127.0.0.1", b"", b"PLAIN", b"user", b"password"],
        [b"1.0", b"1", b"syncagent", b"127.0.0.1", b"", b"CURVE", bytes(32)],
        [b"1.0", b"1", b"elsewhere", b"127.0.0.1", b"", b"CURVE", None],
        [b"9.9", b"1", b"syncagent", b"127.0.0.1", b"", b"CURVE", None],
    ],
)
def test_what_the_authenticator_cannot_judge_is_refused(context: sockets.Context, question: list[bytes | None]) -> None:
    pair = keys.derive(SECRET)
    authenticator = Authenticator(context, pair)
    own = z85.decode(pair.public)
    assert authenticator._verdict([own if part is None else part for part in question])[2] == b"400"
    right = [b"1.0", b"1", b"syncagent", b"127.0.0.1", b"", b"CURVE", own]
    assert authenticator._verdict(right)[2] == b"200"
