"""ZeroMQ sockets with every option that safety or speed depends on."""

from __future__ import annotations

from itertools import count

import zmq

from syncagent.transport.errors import TransportFailed
from syncagent.transport.keys import KeyPair
from syncproto import limits

ZAP_DOMAIN = b"syncagent"
LIBZMQ_MIN = (4, 3, 5)
CURVE_OVERHEAD_BYTES = 64
WIRE_FRAME_BYTES_MAX = max(limits.HEADER_BYTES_MAX, limits.FRAME_BYTES_MAX) + CURVE_OVERHEAD_BYTES
CONNECT_MS = 3000
HANDSHAKE_MS = 5000
BACKLOG = 256

FAILED_HANDSHAKE = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
DIALLER_EVENTS = zmq.EVENT_CLOSED | zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED | FAILED_HANDSHAKE
LISTENER_EVENTS = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED | FAILED_HANDSHAKE

Socket = zmq.Socket[bytes]
Context = zmq.Context[Socket]
_monitors = count()


def check_libzmq(version: tuple[int, int, int]) -> None:
    """Refuse a libzmq with known holes. Raises ``TransportFailed``."""
    if version < LIBZMQ_MIN or not zmq.has("curve"):
        found, needed = (".".join(map(str, v)) for v in (version, LIBZMQ_MIN))
        raise TransportFailed(
            f"libzmq {found} is too old or lacks CURVE: {needed} is needed, which the pyzmq wheel brings along; "
            "install it with `pip install --force-reinstall pyzmq`"
        )


def make_listener(context: Context, keys: KeyPair) -> Socket:
    """A ROUTER that lets in who knows the secret, once it is bound."""
    router = context.socket(zmq.ROUTER)
    _configure(router)
    router.setsockopt(zmq.ROUTER_MANDATORY, 1)
    router.setsockopt(zmq.BACKLOG, BACKLOG)
    router.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
    router.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
    router.setsockopt(zmq.CURVE_SERVER, 1)
    router.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
    return router


def make_dialler(context: Context, keys: KeyPair, server_key: bytes) -> Socket:
    """A DEALER for one attempt to connect, to whoever has ``server_key``: it never connects again by itself."""
    dealer = context.socket(zmq.DEALER)
    _configure(dealer)
    dealer.setsockopt(zmq.IMMEDIATE, 1)
    dealer.setsockopt(zmq.RECONNECT_IVL, -1)
    dealer.setsockopt(zmq.CONNECT_TIMEOUT, CONNECT_MS)
    dealer.setsockopt(zmq.CURVE_SERVERKEY, server_key)
    dealer.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
    dealer.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
    return dealer


def _configure(made: Socket) -> None:
    made.setsockopt(zmq.LINGER, 0)
    made.setsockopt(zmq.SNDHWM, 0)  # byte credit is the bound; a high-water mark would drop without a word
    made.setsockopt(zmq.RCVHWM, 0)
    made.setsockopt(zmq.MAXMSGSIZE, WIRE_FRAME_BYTES_MAX)
    made.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    made.setsockopt(zmq.TCP_KEEPALIVE, 1)
    made.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 30)
    made.setsockopt(zmq.TCP_KEEPALIVE_INTVL, 10)
    made.setsockopt(zmq.TCP_KEEPALIVE_CNT, 3)
    made.copy_threshold = 256 * 1024


def make_monitor(watched: Socket, events: int) -> Socket:
    """A socket that tells what becomes of another's connections. Close it with ``discard``."""
    place = f"inproc://monitor-{next(_monitors)}"
    watched.monitor(place, events)
    context: Context = watched.context
    monitor = context.socket(zmq.PAIR)
    monitor.setsockopt(zmq.LINGER, 0)
    monitor.connect(place)
    return monitor


def allow(made: Socket, ip: str) -> None:
    """Prepare for an address of its family. Not always IPv6: that would show IPv4 addresses in another form."""
    made.setsockopt(zmq.IPV6, int(":" in ip))


def discard(watched: Socket, monitor: Socket | None, linger_ms: int = 0) -> None:
    """Close a socket and its monitor."""
    if monitor is not None:
        watched.disable_monitor()
        monitor.close()
    watched.close(linger=linger_ms)
