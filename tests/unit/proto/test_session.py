"""The session by itself: two ends joined by hand, time passed by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from syncproto import limits
from syncproto.codec import decode, encode
from syncproto.errors import LocalProtocolError
from syncproto.greeting import REFUSALS, Introduction
from syncproto.messages import (
    Heartbeat,
    Hello,
    NoSession,
    Refuse,
)
from syncproto.session import Closed, Established, Received, Session, Wire
from syncproto.states import TABLE, Action, Input, State
from unit.proto.pairs import ALICE, BOB, ID, OTHER_ID, Pair, chunk, established
from unit.proto.samples import DELTA, HELLO, PULL, SAMPLES

# -- hello ---------------------------------------------------------------------------------------


def test_hello_and_its_answer_establish_both_ends() -> None:
    pair = Pair()
    (greeting,) = pair.carry(pair.dialler)
    assert isinstance(greeting, Hello)
    (answer,) = pair.carry(pair.listener)
    assert isinstance(answer, Hello)
    assert (greeting.is_reply, answer.is_reply) == (False, True)
    assert pair.told(pair.listener) == [Established(greeting)]
    assert pair.told(pair.dialler) == [Established(answer)]
    assert pair.dialler.id == pair.listener.id == ID
    assert pair.dialler.version == pair.listener.version == limits.PROTOCOL_VERSION_MAX


def test_hello_is_repeated_until_answered() -> None:
    pair = Pair()
    assert len(pair.dialler.outgoing(pair.now)) == 1
    pair.wait(limits.HELLO_RETRY_SECONDS / 2)
    assert pair.dialler.outgoing(pair.now) == []
    pair.wait(limits.HELLO_RETRY_SECONDS / 2)
    pair.settle()
    assert pair.dialler.is_established
    assert pair.listener.is_established


def test_hello_that_came_twice_is_answered_twice() -> None:
    pair = Pair()
    (greeting,) = pair.dialler.outgoing(pair.now)
    assert [type(event) for event in pair.listener.receive(greeting, pair.now)] == [Established]
    assert pair.listener.receive(greeting, pair.now) == []
    assert [type(m) for m in pair.carry(pair.listener)] == [Hello, Hello]
    assert [type(event) for event in pair.told(pair.dialler)] == [Established]


def test_hello_never_answered_ends_in_silence() -> None:
    pair = Pair()
    pair.wait(limits.SILENCE_SECONDS)
    (closed,) = pair.told(pair.dialler)
    assert isinstance(closed, Closed)
    assert closed.code == "silence"
    assert "Hello" in closed.reason
    assert pair.told(pair.listener) == []


def test_introduction_is_asked_for_each_hello() -> None:
    now = [ALICE]
    session = Session(lambda: now[0], 0.0, ID)
    now[0] = BOB
    session.tick(limits.HELLO_RETRY_SECONDS)
    agents = [decode(wire[1]) for wire in session.outgoing(1.0)]
    assert [hello.agent for hello in agents if isinstance(hello, Hello)] == ["alice", "bob"]


def versions(low: int, high: int) -> Introduction:
    return Introduction("home", "carol", b"instancC", version_min=low, version_max=high)


def test_the_highest_common_version_is_taken() -> None:
    newer = Introduction("home", "bob", b"ecnatsni", version_min=1, version_max=3)
    pair = established(versions(1, 2), newer)
    assert pair.dialler.version == pair.listener.version == 2


@pytest.mark.parametrize(
    ("code", "dialler", "words"),
    [
        ("version", versions(2, 5), ["2 to 5", "1 to 1", "update"]),
        ("cluster", Introduction("work", "alice", b"instance"), ["'work'", "'home'", "--cluster"]),
        ("self", Introduction("home", "bob", b"ecnatsni"), ["itself"]),
        ("chunker", Introduction("home", "alice", b"instance", chunker="fixed"), ["fixed", limits.CHUNKER_ID]),
    ],
)
def test_who_does_not_fit_is_refused_with_a_sentence(code: str, dialler: Introduction, words: list[str]) -> None:
    pair = Pair(dialler)
    pair.settle()
    (here,), (there,) = pair.told(pair.listener), pair.told(pair.dialler)
    assert isinstance(here, Closed)
    assert isinstance(there, Closed)
    assert here.code == there.code == code
    assert (here.is_remote, there.is_remote) == (False, True)
    assert here.reason == there.reason
    assert all(word in here.reason for word in words)
    assert code in REFUSALS
    assert (pair.dialler.state, pair.listener.state) == (State.CLOSED, State.WAITING)


def test_the_dialler_refuses_an_answer_that_does_not_fit() -> None:
    pair = Pair()
    pair.dialler.outgoing(pair.now)
    answer = structs.replace(HELLO, cluster="work", is_reply=True)
    (closed,) = pair.dialler.receive([ID, encode(answer)], pair.now)
    assert isinstance(closed, Closed)
    assert (closed.code, closed.is_remote) == ("cluster", False)
    assert [type(m) for m in pair.carry(pair.dialler)] == [Refuse]


def test_a_refused_dialler_may_try_again() -> None:
    pair = Pair(Introduction("work", "alice", b"instance"))
    pair.settle()
    pair.dialler = Session(lambda: ALICE, pair.now, OTHER_ID)
    pair.events[pair.dialler] = []
    pair.settle()
    assert pair.dialler.is_established
    assert pair.listener.is_established


# -- the life of a session -----------------------------------------------------------------------


def test_heartbeats_keep_an_idle_session_alive() -> None:
    pair = established()
    for _ in range(20):
        pair.wait(limits.HEARTBEAT_SECONDS)
        assert [type(m) for m in pair.carry(pair.dialler)] == [Heartbeat]
        assert [type(m) for m in pair.carry(pair.listener)] == [Heartbeat]
    assert pair.told(pair.dialler) == pair.told(pair.listener) == []


def test_whoever_sends_needs_no_heartbeat() -> None:
    pair = established()
    pair.wait(limits.HEARTBEAT_SECONDS * 0.9)
    pair.dialler.send(PULL)
    assert [type(m) for m in pair.carry(pair.dialler)] == [type(PULL)]
    pair.wait(limits.HEARTBEAT_SECONDS * 0.9)
    assert pair.carry(pair.dialler) == []
    assert pair.dialler.deadline > pair.now


def test_silence_ends_the_session_at_both_ends() -> None:
    pair = established()
    pair.wait(limits.SILENCE_SECONDS)
    for end in (pair.dialler, pair.listener):
        (closed,) = pair.told(end)
        assert isinstance(closed, Closed)
        assert closed.code == "silence"
    assert (pair.dialler.state, pair.listener.state) == (State.CLOSED, State.WAITING)


def test_ticking_at_the_deadline_is_enough() -> None:
    pair = Pair()
    seen: list[str] = []
    for _ in range(30):
        seen += [type(decode(wire[1])).__name__ for wire in pair.dialler.outgoing(pair.now)]
        assert pair.dialler.deadline > pair.now
        pair.now = pair.dialler.deadline
        if pair.dialler.tick(pair.now):
            break
    assert pair.now == pytest.approx(100 + limits.SILENCE_SECONDS)
    assert seen == ["Hello"] * 10


def test_a_forgotten_session_is_answered_no_session_and_begun_anew() -> None:
    pair = established()
    pair.listener = Session(lambda: BOB, pair.now)
    pair.events[pair.listener] = []
    pair.dialler.send(PULL)
    pair.carry(pair.dialler)
    assert [type(m) for m in pair.carry(pair.listener)] == [NoSession]
    (closed,) = pair.told(pair.dialler)
    assert isinstance(closed, Closed)
    assert closed.code == "no-session"


def test_a_new_hello_supersedes_the_old_session() -> None:
    pair = established()
    again = Session(lambda: ALICE, pair.now, OTHER_ID)
    (greeting,) = again.outgoing(pair.now)
    closed, opened = pair.listener.receive(greeting, pair.now)
    assert isinstance(closed, Closed)
    assert closed.code == "superseded"
    assert isinstance(opened, Established)
    assert pair.listener.id == OTHER_ID


def test_a_new_hello_that_does_not_fit_ends_the_old_session() -> None:
    pair = established()
    again = Session(lambda: Introduction("work", "alice", b"instance"), pair.now, OTHER_ID)
    (greeting,) = again.outgoing(pair.now)
    events = pair.listener.receive(greeting, pair.now)
    assert [event.code for event in events if isinstance(event, Closed)] == ["superseded", "cluster"]
    assert pair.listener.state == State.WAITING


def test_a_listener_that_forgets_makes_the_dialler_begin_anew() -> None:
    pair = established()
    (closed,) = pair.listener.forget("said hello anew")
    assert closed == Closed("superseded", "said hello anew")
    pair.settle()
    (closed,) = pair.told(pair.dialler)
    assert isinstance(closed, Closed)
    assert closed.code == "no-session"


def test_closing_tells_the_peer_and_happens_once() -> None:
    pair = established()
    assert pair.dialler.close("closed", "the agent stops") == [Closed("closed", "the agent stops")]
    assert pair.dialler.close("closed", "the agent stops") == []
    pair.settle()
    assert pair.told(pair.listener) == [Closed("closed", "the agent stops", is_remote=True)]
    assert not pair.dialler.send(PULL)


def test_a_lost_connection_takes_what_was_not_sent() -> None:
    pair = established()
    pair.dialler.send(PULL)
    assert pair.dialler.lose("the connection was lost") == [Closed("lost", "the connection was lost")]
    assert pair.dialler.outgoing(pair.now) == []
    assert pair.dialler.receive([ID, encode(PULL)], pair.now) == []


def test_messages_of_another_session_are_fenced_off() -> None:
    pair = established()
    for late in (encode(PULL), encode(HELLO), b"noise"):
        assert pair.dialler.receive([OTHER_ID, late], pair.now) == []
    assert pair.listener.receive([OTHER_ID, encode(PULL)], pair.now) == []
    ((denied_id, header),) = pair.listener.outgoing(pair.now)
    assert (denied_id, decode(header)) == (OTHER_ID, NoSession())
    for quiet in (NoSession(), Refuse("closed", "")):
        assert pair.listener.receive([OTHER_ID, encode(quiet)], pair.now) == []
        assert pair.listener.outgoing(pair.now) == []
    assert pair.dialler.is_established
    assert pair.listener.is_established


def test_another_sessions_messages_are_no_sign_of_life() -> None:
    pair = established()
    for _ in range(10):
        pair.now += limits.SILENCE_SECONDS / 10
        pair.listener.receive([OTHER_ID, encode(Heartbeat())], pair.now)
    assert [type(event) for event in pair.listener.tick(pair.now)] == [Closed]


# -- faults --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wire",
    [[], [ID], [b"short", encode(PULL)], [ID, b"noise"], [ID, encode(PULL), b"frame"], [ID, encode(DELTA)]],
    ids=["nothing", "no-header", "short-id", "noise", "frames-too-many", "frames-missing"],
)
@pytest.mark.parametrize("is_dialler", [True, False])
def test_a_malformed_message_ends_the_session(wire: Wire, is_dialler: bool) -> None:
    pair = established()
    end = pair.dialler if is_dialler else pair.listener
    (closed,) = end.receive(wire, pair.now)
    assert isinstance(closed, Closed)
    assert (closed.code, closed.is_fault) == ("malformed", True)
    ((_, header),) = end.outgoing(pair.now)
    refusal = decode(header)
    assert isinstance(refusal, Refuse)
    assert refusal.code == "malformed"
    assert end.receive([ID, encode(PULL)], pair.now) == []


@pytest.mark.parametrize(
    ("is_dialler", "message"),
    [(True, HELLO), (False, structs.replace(HELLO, is_reply=True))],
    ids=["hello-to-the-dialler", "answer-to-the-listener"],
)
def test_a_hello_the_wrong_way_is_a_fault(is_dialler: bool, message: Hello) -> None:
    pair = established()
    end = pair.dialler if is_dialler else pair.listener
    (closed,) = end.receive([ID, encode(message)], pair.now)
    assert isinstance(closed, Closed)
    assert closed.is_fault


def test_what_the_session_would_not_take_is_not_sent() -> None:
    pair = established()
    with pytest.raises(LocalProtocolError):
        pair.dialler.send(*chunk(limits.FRAME_BYTES_MAX + 1))


def _wires() -> st.SearchStrategy[Wire]:
    ids = st.sampled_from([ID, OTHER_ID, bytes(8)])
    sane = st.builds(lambda id, sample: [id, encode(sample[0]), *sample[1]], ids, st.sampled_from(SAMPLES))
    hellos = st.builds(
        lambda id, is_reply: [
            id,
            encode(structs.replace(HELLO, is_reply=is_reply, cluster="home", chunker=limits.CHUNKER_ID)),
        ],
        ids,
        st.booleans(),
    )
    return sane | hellos | st.lists(st.binary(max_size=20), max_size=4)


@settings(max_examples=300)
@given(st.booleans(), st.lists(_wires() | st.floats(0, 6), max_size=12))
def test_nothing_that_comes_raises(is_dialler: bool, inputs: list[Wire | float]) -> None:
    now = 0.0
    session = Session(lambda: ALICE, now, ID if is_dialler else None)
    for given_input in inputs:
        if isinstance(given_input, float):
            now += given_input
            events = session.tick(now)
        else:
            events = session.receive(given_input, now)
        for event in events:
            assert not isinstance(event, Received) or session.is_established
        for wire in session.outgoing(now):
            decode(wire[1], wire[2:])


# -- the table -----------------------------------------------------------------------------------


def test_every_row_of_the_table_can_happen() -> None:
    """Each row has the state it begins in, and a state that its role can be in."""
    assert {state for is_dialler, state, _ in TABLE if is_dialler} == {State.GREETING, State.ESTABLISHED}
    assert {state for is_dialler, state, _ in TABLE if not is_dialler} == {State.WAITING, State.ESTABLISHED}
    assert all(state != State.WAITING for (is_dialler, _, _), (_, state) in TABLE.items() if is_dialler)
    assert {row[2] for row in TABLE} == set(Input) - {Input.HEARTBEAT}
    assert {action for action, _ in TABLE.values()} == set(Action) - {Action.IGNORE}
