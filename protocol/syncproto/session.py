"""One end of a session between two agents, without any input or output.

What came on the wire goes in with the time, what happened comes out as events, and ``outgoing`` gives what is to be
sent. What is done when is the table in ``states``. Times are monotonic seconds.

A wire message is a list of frames: the session id, the header, and what frames the message carries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from syncproto import limits
from syncproto.codec import Parcel, decode, encode, pack, size_of
from syncproto.credit import Inflow, Outflow
from syncproto.errors import RemoteProtocolError
from syncproto.greeting import Introduction, hello, why_unfit
from syncproto.messages import (
    AnyMessage,
    Credit,
    Heartbeat,
    Hello,
    NoSession,
    Refuse,
    SessionMessage,
    VolumeMessage,
)
from syncproto.states import TABLE, Action, Input, State

Wire = list[bytes]

TEXT_CHARS_MAX = 1000
NO_ID = bytes(limits.SESSION_ID_BYTES)


# -- events --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Established:
    """The session stands; ``hello`` is the peer's."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class Received:
    """A message of the established session; ``size`` is what it took of the credit."""

    message: VolumeMessage
    frames: tuple[bytes, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Closed:
    """The session is over, or never came to be.

    ``code``: one of ``REFUSALS``, or ``no-session``, ``silence``, ``superseded``, ``lost``. ``is_fault``: the peer
    broke the protocol. ``is_remote``: the peer refused, and ``reason`` is its own text.
    """

    code: str
    reason: str
    is_fault: bool = False
    is_remote: bool = False


Event = Established | Received | Closed


# -- the session ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Step:
    """What a row of the table is applied to."""

    input: Input
    now: float
    id: bytes = NO_ID
    message: AnyMessage | None = None
    frames: tuple[bytes, ...] = ()
    size: int = 0
    fault: str = ""


class Session:
    """One end. ``introduce`` is asked for each Hello. A dialler is made with the id it drew; a listener learns it."""

    def __init__(self, introduce: Callable[[], Introduction], now: float, id: bytes | None = None) -> None:
        self.is_dialler = id is not None
        self.id = id or NO_ID
        self.state = State.GREETING if self.is_dialler else State.WAITING
        self.version = 0
        self.last_heard = now
        self._last_sent = now
        self._introduce, self._ours = introduce, introduce()
        self._outbox: list[Wire] = []
        self._outflow, self._inflow = Outflow(0), Inflow(0)
        if self.is_dialler:
            self._say_hello()

    @property
    def is_established(self) -> bool:
        return self.state == State.ESTABLISHED

    @property
    def unconsumed_bytes(self) -> int:
        """Bulk that came and is not yet told to be consumed."""
        return self._inflow.unconsumed_bytes

    @property
    def backlog_bytes(self) -> int:
        """Bulk that waits for the peer's credit."""
        return self._outflow.backlog_bytes

    @property
    def deadline(self) -> float:
        """When ``tick`` is due, if nothing comes before."""
        silent = self.last_heard + limits.SILENCE_SECONDS
        if self.state == State.GREETING:
            return min(silent, self._last_sent + limits.HELLO_RETRY_SECONDS)
        return min(silent, self._last_sent + limits.HEARTBEAT_SECONDS) if self.is_established else silent

    # -- from the wire -------------------------------------------------------------------------

    def receive(self, wire: Sequence[bytes], now: float) -> list[Event]:
        """Take one message as it came. One that breaks the rules ends the session; nothing is raised."""
        if self.state == State.CLOSED:
            return []
        if len(wire) < 2 or len(wire[0]) != limits.SESSION_ID_BYTES:
            return self._apply(_Step(Input.MALFORMED, now, fault="no session id of 8 bytes before the header"))
        if self.is_dialler and wire[0] != self.id:
            return []
        try:
            step = self._read(wire, now)
        except RemoteProtocolError as error:
            step = _Step(Input.MALFORMED, now, fault=str(error))
        if wire[0] == self.id or not self.is_established:
            self.last_heard = now
        return self._apply(step)

    def _read(self, wire: Sequence[bytes], now: float) -> _Step:
        message = decode(wire[1], wire[2:])
        kind = self._kind_of(message, is_own=wire[0] == self.id and self.state != State.WAITING)
        size = size_of(message, wire[1], wire[2:])
        if kind == Input.VOLUME and self.is_established and size:
            self._inflow.arrive(size)
        return _Step(kind, now, wire[0], message, tuple(wire[2:]), size)

    def _kind_of(self, message: AnyMessage, is_own: bool) -> Input:
        if isinstance(message, Hello):
            return self._kind_of_hello(message, is_own)
        if not is_own:
            return Input.STRAY
        return _KINDS.get(type(message), Input.VOLUME)

    def _kind_of_hello(self, message: Hello, is_own: bool) -> Input:
        if message.is_reply and not is_own:
            return Input.STRAY
        if message.is_reply != self.is_dialler or (is_own and not self.is_dialler):
            return Input.REPLY if message.is_reply else Input.HELLO
        if why_unfit(self._ours, message):
            return Input.UNFIT_HELLO
        return Input.REPLY if message.is_reply else Input.OTHER_HELLO

    # -- from the clock and from ourselves -----------------------------------------------------

    def tick(self, now: float) -> list[Event]:
        """Let time pass: say Hello again, give a sign of life, find the peer dead."""
        if now >= self.last_heard + limits.SILENCE_SECONDS:
            return self._apply(_Step(Input.SILENCE, now))
        if self.state == State.GREETING and now >= self._last_sent + limits.HELLO_RETRY_SECONDS:
            return self._apply(_Step(Input.RETRY, now))
        if self.is_established and now >= self._last_sent + limits.HEARTBEAT_SECONDS:
            self.ping()
        return []

    def ping(self) -> None:
        """Say that we live, whether or not it is time."""
        if self.is_established:
            self._put(Heartbeat())

    def send(self, message: VolumeMessage, frames: Sequence[bytes] = ()) -> bool:
        """Queue a message; False if it was dropped. Raises ``LocalProtocolError`` for what no peer may be sent."""
        return self.send_parcel(pack(message, frames))

    def send_parcel(self, parcel: Parcel) -> bool:
        """Queue a packed message. Bulk waits for credit; False if there is no session, or too much waits."""
        if not self.is_established:
            return False
        if parcel.size:
            is_queued = self._outflow.put(parcel)
            self._release()
            return is_queued
        self._outbox.append([self.id, parcel.header, *parcel.frames])
        return True

    def outgoing(self, now: float) -> list[Wire]:
        """What is to be sent now, in order; it counts as sent."""
        wires, self._outbox = self._outbox, []
        if wires:
            self._last_sent = now
        return wires

    def consumed(self, size: int) -> None:
        """So many bulk bytes of the peer were worked off."""
        limit = self._inflow.consume(size)
        if limit is not None and self.is_established:
            self._put(Credit(limit))

    def close(self, code: str, reason: str) -> list[Event]:
        """End the session for one of ``REFUSALS``, and tell the peer."""
        if self.state in (State.GREETING, State.ESTABLISHED):
            self._put(Refuse(code, reason))
        return self._end(Closed(code, reason), State.CLOSED)

    def lose(self, reason: str) -> list[Event]:
        """The connection is gone, and what was to be sent with it."""
        self._outbox.clear()
        return self._end(Closed("lost", reason), State.CLOSED)

    def forget(self, reason: str) -> list[Event]:
        """A listener lets go of the session and has the dialler say Hello anew."""
        if self.is_established:
            self._put(NoSession())
        return self._end(Closed("superseded", reason), State.WAITING)

    # -- actions, by the names in the table ----------------------------------------------------

    def _apply(self, step: _Step) -> list[Event]:
        action, state = TABLE.get((self.is_dialler, self.state, step.input), (Action.IGNORE, self.state))
        return [] if action == Action.IGNORE else _ACTIONS[action](self, step, state)

    def _greet(self, step: _Step, state: State) -> list[Event]:
        self._say_hello()
        return []

    def _establish(self, step: _Step, state: State) -> list[Event]:
        assert isinstance(step.message, Hello)
        self.id, self.state, self.last_heard = step.id, state, step.now
        if not self.is_dialler:
            self._say_hello()
        self.version = min(self._ours.version_max, step.message.version_max)
        self._outflow, self._inflow = Outflow(step.message.credit), Inflow(self._ours.credit)
        return [Established(step.message)]

    def _supersede(self, step: _Step, state: State) -> list[Event]:
        return [Closed("superseded", "the peer began a new session"), *self._establish(step, state)]

    def _refuse(self, step: _Step, state: State) -> list[Event]:
        assert isinstance(step.message, Hello)
        code, text = why_unfit(self._ours, step.message) or ("closed", "")
        self._outbox.append([step.id, encode(Refuse(code, text))])
        return self._end(Closed(code, text), state)

    def _replace(self, step: _Step, state: State) -> list[Event]:
        return [Closed("superseded", "the peer began a new session"), *self._refuse(step, state)]

    def _finish(self, step: _Step, state: State) -> list[Event]:
        if isinstance(step.message, Refuse):
            return self._end(Closed(step.message.code, step.message.text, is_remote=True), state)
        if isinstance(step.message, NoSession):
            return self._end(Closed("no-session", "the peer does not know the session any more"), state)
        what = "it did not answer our Hello" if self.state == State.GREETING else "nothing was heard of it"
        return self._end(Closed("silence", f"{what} for {limits.SILENCE_SECONDS:g} s"), state)

    def _deny(self, step: _Step, state: State) -> list[Event]:
        if not isinstance(step.message, Refuse | NoSession):
            self._outbox.append([step.id, encode(NoSession())])
        return []

    def _grant(self, step: _Step, state: State) -> list[Event]:
        assert isinstance(step.message, Credit)
        self._outflow.grant(step.message.limit)
        self._release()
        return []

    def _deliver(self, step: _Step, state: State) -> list[Event]:
        assert isinstance(step.message, VolumeMessage)
        return [Received(step.message, step.frames, step.size)]

    def _fault(self, step: _Step, state: State) -> list[Event]:
        text = step.fault or f"{step.input} in the state {self.state}"
        self._put(Refuse("malformed", printable(text)[:TEXT_CHARS_MAX]))
        return self._end(Closed("malformed", text, is_fault=True), state)

    # -- helpers -------------------------------------------------------------------------------

    def _put(self, message: SessionMessage) -> None:
        self._outbox.append([self.id, encode(message)])

    def _release(self) -> None:
        self._outbox.extend([self.id, parcel.header, *parcel.frames] for parcel in self._outflow.take())

    def _end(self, event: Closed, state: State) -> list[Event]:
        is_news = self.state != State.CLOSED
        self.state = state
        if state == State.WAITING:
            self.id = NO_ID
        self._outflow, self._inflow = Outflow(0), Inflow(0)
        return [event] if is_news else []

    def _say_hello(self) -> None:
        self._ours = self._introduce()
        self._put(hello(self._ours, is_reply=not self.is_dialler))


def printable(text: str) -> str:
    """``text`` with what cannot be printed replaced, so that it may travel and be shown."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


_KINDS: dict[type, Input] = {
    Refuse: Input.REFUSE,
    NoSession: Input.NO_SESSION,
    Heartbeat: Input.HEARTBEAT,
    Credit: Input.CREDIT,
}

_ACTIONS: dict[Action, Callable[[Session, _Step, State], list[Event]]] = {
    Action.GREET: Session._greet,
    Action.ANSWER: Session._greet,
    Action.ESTABLISH: Session._establish,
    Action.ACCEPT: Session._establish,
    Action.SUPERSEDE: Session._supersede,
    Action.REFUSE: Session._refuse,
    Action.REPLACE: Session._replace,
    Action.END: Session._finish,
    Action.DENY: Session._deny,
    Action.GRANT: Session._grant,
    Action.DELIVER: Session._deliver,
    Action.FAULT: Session._fault,
}
