"""The behaviour of one end of a session as a table; SPEC.md prints the same table."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """``GREETING``: the dialler has said Hello. ``WAITING``: the listener has heard none that fits."""

    GREETING = "greeting"
    WAITING = "waiting"
    ESTABLISHED = "established"
    CLOSED = "closed"


class Input(StrEnum):
    """What can happen to a session. ``STRAY``: bears the id of another session, and does not begin one."""

    HELLO = "hello"
    OTHER_HELLO = "hello of a new session"
    UNFIT_HELLO = "hello that does not fit"
    REPLY = "hello reply"
    REFUSE = "refuse"
    NO_SESSION = "no-session"
    HEARTBEAT = "heartbeat"
    CREDIT = "credit"
    VOLUME = "volume message"
    STRAY = "stray message"
    MALFORMED = "malformed message"
    RETRY = "retry time"
    SILENCE = "silence"


class Action(StrEnum):
    """What is done."""

    IGNORE = "ignore"
    GREET = "say hello"
    ESTABLISH = "establish"
    ACCEPT = "answer hello, establish"
    ANSWER = "answer hello"
    SUPERSEDE = "end the old session, answer hello, establish"
    REFUSE = "refuse"
    REPLACE = "end the old session, refuse"
    END = "end"
    DENY = "answer no-session"
    GRANT = "raise the limit"
    DELIVER = "deliver"
    FAULT = "refuse as malformed"


DIALLER, LISTENER = True, False
_S, _I, _A = State, Input, Action

TABLE: dict[tuple[bool, State, Input], tuple[Action, State]] = {
    (DIALLER, _S.GREETING, _I.REPLY): (_A.ESTABLISH, _S.ESTABLISHED),
    (DIALLER, _S.GREETING, _I.UNFIT_HELLO): (_A.REFUSE, _S.CLOSED),
    (DIALLER, _S.GREETING, _I.HELLO): (_A.FAULT, _S.CLOSED),
    (DIALLER, _S.GREETING, _I.REFUSE): (_A.END, _S.CLOSED),
    (DIALLER, _S.GREETING, _I.MALFORMED): (_A.FAULT, _S.CLOSED),
    (DIALLER, _S.GREETING, _I.RETRY): (_A.GREET, _S.GREETING),
    (DIALLER, _S.GREETING, _I.SILENCE): (_A.END, _S.CLOSED),
    (DIALLER, _S.ESTABLISHED, _I.HELLO): (_A.FAULT, _S.CLOSED),
    (DIALLER, _S.ESTABLISHED, _I.REFUSE): (_A.END, _S.CLOSED),
    (DIALLER, _S.ESTABLISHED, _I.NO_SESSION): (_A.END, _S.CLOSED),
    (DIALLER, _S.ESTABLISHED, _I.CREDIT): (_A.GRANT, _S.ESTABLISHED),
    (DIALLER, _S.ESTABLISHED, _I.VOLUME): (_A.DELIVER, _S.ESTABLISHED),
    (DIALLER, _S.ESTABLISHED, _I.MALFORMED): (_A.FAULT, _S.CLOSED),
    (DIALLER, _S.ESTABLISHED, _I.SILENCE): (_A.END, _S.CLOSED),
    (LISTENER, _S.WAITING, _I.OTHER_HELLO): (_A.ACCEPT, _S.ESTABLISHED),
    (LISTENER, _S.WAITING, _I.UNFIT_HELLO): (_A.REFUSE, _S.WAITING),
    (LISTENER, _S.WAITING, _I.STRAY): (_A.DENY, _S.WAITING),
    (LISTENER, _S.WAITING, _I.MALFORMED): (_A.FAULT, _S.CLOSED),
    (LISTENER, _S.ESTABLISHED, _I.HELLO): (_A.ANSWER, _S.ESTABLISHED),
    (LISTENER, _S.ESTABLISHED, _I.OTHER_HELLO): (_A.SUPERSEDE, _S.ESTABLISHED),
    (LISTENER, _S.ESTABLISHED, _I.UNFIT_HELLO): (_A.REPLACE, _S.WAITING),
    (LISTENER, _S.ESTABLISHED, _I.REPLY): (_A.FAULT, _S.CLOSED),
    (LISTENER, _S.ESTABLISHED, _I.REFUSE): (_A.END, _S.WAITING),
    (LISTENER, _S.ESTABLISHED, _I.NO_SESSION): (_A.END, _S.WAITING),
    (LISTENER, _S.ESTABLISHED, _I.CREDIT): (_A.GRANT, _S.ESTABLISHED),
    (LISTENER, _S.ESTABLISHED, _I.VOLUME): (_A.DELIVER, _S.ESTABLISHED),
    (LISTENER, _S.ESTABLISHED, _I.STRAY): (_A.DENY, _S.ESTABLISHED),
    (LISTENER, _S.ESTABLISHED, _I.MALFORMED): (_A.FAULT, _S.CLOSED),
    (LISTENER, _S.ESTABLISHED, _I.SILENCE): (_A.END, _S.WAITING),
}
"""(is dialler, state, input) to (action, next state). What is not listed is ignored."""
