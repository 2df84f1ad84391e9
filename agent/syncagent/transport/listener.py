"""One address that others dial: a ROUTER, and a session for each connection that speaks."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from functools import partial

import zmq
from zmq.utils.monitor import recv_monitor_message

from syncagent.transport import addresses
from syncagent.transport.errors import ListenFailed
from syncagent.transport.keys import KeyPair
from syncagent.transport.loop import Loop
from syncagent.transport.peering import Link, Peering
from syncagent.transport.sockets import (
    LISTENER_EVENTS,
    Context,
    Socket,
    allow,
    discard,
    make_listener,
    make_monitor,
)
from syncproto import limits
from syncproto.greeting import Introduction
from syncproto.session import Closed, Session, Wire

log = logging.getLogger(__name__)

BATCH = 64
"""So many messages are taken before others have their turn."""
PROBE_SECONDS = (0.005, 0.1)
"""So long after some connection broke, all are tried: ZeroMQ does not say which one it was."""
REFUSALS_REMEMBERED = 100


class Listener:
    """Bound when made. Raises ``ListenFailed``."""

    def __init__(self, context: Context, keys: KeyPair, text: str, is_open: bool) -> None:
        self._socket = make_listener(context, keys)
        try:
            self.place = _bind(self._socket, text, is_open)
        except ListenFailed:
            self._socket.close()
            raise
        self._monitor: Socket | None = None
        self._user_id = keys.public.decode()
        self._links: dict[bytes, Link] = {}
        self._probes: list[float] = []
        self._refusals: set[str] = set()

    def run(self, loop: Loop, peering: Peering, introduce: Callable[[], Introduction]) -> None:
        """Begin to take messages."""
        self._loop, self._peering, self._introduce = loop, peering, introduce
        self._monitor = make_monitor(self._socket, LISTENER_EVENTS)
        loop.watch(self._socket, self._on_message)
        loop.watch(self._monitor, self._on_event)

    @property
    def deadline(self) -> float:
        """When ``tick`` is due."""
        return min([*self._probes, *(link.session.deadline for link in self._links.values())], default=float("inf"))

    def tick(self) -> None:
        """Let time pass for all sessions; forget connections on which nobody speaks."""
        now = self._loop.now
        if any(now >= probe for probe in self._probes):
            self._probes = [probe for probe in self._probes if now < probe]
            for link in self._links.values():
                self._peering.probe(link)
        for routing_id, link in list(self._links.items()):
            self._peering.tick(link, now)
            if not link.session.is_established and now >= link.session.deadline:
                del self._links[routing_id]

    def close(self, reason: str, linger_ms: int) -> None:
        """End all sessions in good order and give the address back."""
        if self._monitor is not None:
            for link in list(self._links.values()):
                self._peering.close(link, reason)
            self._peering.flush(self._loop.now)
            self._loop.unwatch(self._monitor)
            self._loop.unwatch(self._socket)
        discard(self._socket, self._monitor, linger_ms)

    # -- messages ------------------------------------------------------------------------------

    def _on_message(self) -> None:
        for _ in range(BATCH):
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            if not self._is_member(frames[0]):
                self._peering.counters["auth_refused"] += 1
                continue
            wire = [frame.bytes for frame in frames[1 : limits.FRAMES_MAX + 4]]
            self._peering.receive(self._link(frames[0].bytes, frames[0]), wire, self._loop.now)

    def _is_member(self, frame: zmq.Frame) -> bool:
        """Once more per message: the property is absent where nobody authenticated the connection."""
        try:
            return frame.get("User-Id") == self._user_id
        except zmq.ZMQError:
            return False

    def _link(self, routing_id: bytes, frame: zmq.Frame) -> Link:
        link = self._links.get(routing_id)
        if link is None:
            session = Session(self._introduce, self._loop.now)
            transmit, ended = partial(self._transmit, routing_id), partial(self._ended, routing_id)
            link = self._links[routing_id] = Link(session, str(frame.get("Peer-Address")), transmit, ended)
        return link

    def _transmit(self, routing_id: bytes, wire: Wire) -> bool:
        try:
            self._socket.send_multipart([routing_id, *wire], zmq.NOBLOCK, copy=False)
        except zmq.ZMQError:  # the host is unreachable: ROUTER_MANDATORY makes it say so
            return False
        return True

    def _ended(self, routing_id: bytes, closed: Closed) -> None:
        if closed.code == "lost":
            self._links.pop(routing_id, None)
        elif closed.code in ("version", "cluster", "chunker") and closed.reason not in self._refusals:
            self._refusals.add(closed.reason)
            if len(self._refusals) <= REFUSALS_REMEMBERED:
                log.warning("refused a peer: %s", closed.reason)

    # -- connections ---------------------------------------------------------------------------

    def _on_event(self) -> None:
        assert self._monitor is not None
        while self._monitor.poll(0):
            event = recv_monitor_message(self._monitor)
            self._count(event["event"], event["value"])

    def _count(self, kind: int, value: int) -> None:
        counters = self._peering.counters
        if kind == zmq.EVENT_ACCEPTED:
            counters["connections"] += 1
        elif kind == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            counters["connections_admitted"] += 1
        elif kind == zmq.EVENT_DISCONNECTED:
            self._probe_soon()
        elif kind == zmq.EVENT_HANDSHAKE_FAILED_AUTH or value == zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC:
            counters["auth_refused"] += 1
            self._warn(counters["auth_refused"])

    def _probe_soon(self) -> None:
        """Unless that is planned already: however many connections break, all are tried now and then."""
        now = self._loop.now
        if not self._probes or self._probes[-1] < now + PROBE_SECONDS[-1] / 2:
            self._probes += [now + delay for delay in PROBE_SECONDS]

    def _warn(self, times: int) -> None:
        if times in (1, 10, 100) or times % 1000 == 0:
            log.warning(
                "%d connections to %s were refused: their secret is not that of this agent (or one of the two runs "
                "without one); compare --secret-file",
                times,
                self.place,
            )


def _bind(router: Socket, text: str, is_open: bool) -> str:
    """Bind and give the address with its real port. ``is_open``: others than loopback may be listened on."""
    try:
        address = addresses.parse(text)
        host = "0.0.0.0" if address.host == "*" else address.host
        ip = host if addresses.is_numeric(host) else addresses.resolve(host, address.port)[0]
    except ValueError as error:
        raise ListenFailed(f"cannot listen: {error}") from error
    except OSError as error:
        raise ListenFailed(f"cannot listen on {text}: {error.strerror}; use a numeric address") from error
    if not is_open and not addresses.is_loopback(ip):
        raise ListenFailed(
            f"cannot listen on {text} without a secret: only loopback is allowed then; "
            "make a secret with `syncctl keygen` and name its file by --secret-file"
        )
    allow(router, ip)
    try:
        router.bind(addresses.endpoint(ip, address.port))
    except zmq.ZMQError as error:
        raise ListenFailed(f"cannot listen on {text}: {_why_not_bound(error)}") from error
    return router.getsockopt_string(zmq.LAST_ENDPOINT)


def _why_not_bound(error: zmq.ZMQError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the address is in use; end the program that has it (an agent already running?) or choose another port"
    if error.errno in (errno.EADDRNOTAVAIL, errno.ENODEV):
        return "this machine has no such address; use one it has, or 0.0.0.0 for all"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "the system does not allow it; choose a port above 1023"
    return f"{os.strerror(error.errno) if error.errno else error}; choose another address"
