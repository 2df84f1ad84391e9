"""Who is let in: the one key of the cluster, and nobody else.

libzmq asks here about every client that has shown that it owns its key (ZAP, RFC 27). Without an answer it lets nobody
in, because the listening sockets enforce their domain; what is not understood is refused.
"""

from __future__ import annotations

import time

import zmq
from zmq.utils import z85
from zmq.utils.monitor import recv_monitor_message

from syncagent.transport.errors import TransportFailed
from syncagent.transport.keys import KeyPair
from syncagent.transport.sockets import (
    ZAP_DOMAIN,
    Context,
    Socket,
    allow,
    discard,
    make_dialler,
    make_monitor,
)

ZAP_ENDPOINT = "inproc://zeromq.zap.01"
SELF_TEST_SECONDS = 2.0


class Authenticator:
    """Answers for one context. To be bound before any socket of it listens."""

    def __init__(self, context: Context, keys: KeyPair) -> None:
        self.socket = context.socket(zmq.REP)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(ZAP_ENDPOINT)
        self.user_id = keys.public.decode()
        self._key = z85.decode(keys.public)

    def answer(self) -> None:
        """Answer all questions that wait."""
        while self.socket.poll(0):
            self.socket.send_multipart(self._verdict(self.socket.recv_multipart()))

    def _verdict(self, question: list[bytes]) -> list[bytes]:
        request = question[1] if len(question) > 1 else b""
        if len(question) == 7 and question[0] == b"1.0" and question[2] == ZAP_DOMAIN and question[5] == b"CURVE":
            if question[6] == self._key:
                return [b"1.0", request, b"200", b"OK", self.user_id.encode(), b""]
        return [b"1.0", request, b"400", b"this key is not of the cluster", b"", b""]


def prove_strangers_are_refused(context: Context, authenticator: Authenticator, keys: KeyPair, place: str) -> None:
    """Knock at our own listening address with a key of nobody. Raises ``TransportFailed`` unless it is refused."""
    stranger = KeyPair(*zmq.curve_keypair())
    dealer = make_dialler(context, stranger, keys.public)
    monitor = make_monitor(dealer, zmq.EVENT_ALL)
    try:
        allow(dealer, place.removeprefix("tcp://").rpartition(":")[0])
        dealer.connect(place.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:"))
        if not _is_refused(monitor, authenticator):
            raise TransportFailed(
                f"the self-test failed: a stranger's key was not refused at {place}, so nobody may be let in; "
                "check that pyzmq is intact and that nothing filters connections on this machine"
            )
    finally:
        discard(dealer, monitor)


def _is_refused(monitor: Socket, authenticator: Authenticator) -> bool:
    poller = zmq.Poller()
    poller.register(monitor, zmq.POLLIN)
    poller.register(authenticator.socket, zmq.POLLIN)
    end = time.monotonic() + SELF_TEST_SECONDS
    while (left := end - time.monotonic()) > 0:
        for socket, _ in poller.poll(int(left * 1000) + 1):
            if socket is authenticator.socket:
                authenticator.answer()
                continue
            happened = recv_monitor_message(monitor)["event"]
            if happened == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                return True
            if happened == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                return False
    return False
