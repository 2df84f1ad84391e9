"""Byte credit: bulk waits, control passes by, nothing stalls and nothing exceeds the window."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from syncproto import limits
from syncproto.codec import encode
from syncproto.messages import Barrier, Credit, VolumeMessage
from syncproto.session import Closed, Event, Received, Session
from unit.proto.pairs import ALICE, ID, OTHER_ID, chunk, established, windows, with_credit
from unit.proto.samples import DELTA, PULL, VOLUME


def bulk_sizes(events: list[Event]) -> list[int]:
    return [len(event.frames[0]) for event in events if isinstance(event, Received) and event.frames]


def test_bulk_waits_for_credit_and_control_passes_by() -> None:
    pair = established(*windows(10_000))
    for size in (4000, 4001, 4002, 4003):
        assert pair.dialler.send(*chunk(size))
    assert pair.dialler.send(PULL)
    pair.settle()
    got = pair.told(pair.listener)
    assert bulk_sizes(got) == [4000, 4001]
    assert isinstance(got[-1], Received)
    assert got[-1].message == PULL
    assert pair.dialler.backlog_bytes > 8000
    for event in got:
        if isinstance(event, Received):
            pair.listener.consumed(event.size)
    pair.settle()
    assert bulk_sizes(pair.told(pair.listener)) == [4002, 4003]
    assert pair.dialler.backlog_bytes == 0


def test_what_has_credit_keeps_its_place_among_control_messages() -> None:
    pair = established()
    sent: list[VolumeMessage] = [PULL, chunk(10)[0], Barrier(VOLUME, b"barrier1", 0), chunk(20)[0]]
    pair.dialler.send(sent[0])
    pair.dialler.send(*chunk(10))
    pair.dialler.send(sent[2])
    pair.dialler.send(*chunk(20))
    pair.settle()
    assert [event.message for event in pair.told(pair.listener) if isinstance(event, Received)] == sent


def test_size_is_header_and_frames() -> None:
    pair = established()
    pair.dialler.send(DELTA, [b"hello"])
    pair.dialler.send(PULL)
    pair.settle()
    bulk, control = pair.told(pair.listener)
    assert isinstance(bulk, Received)
    assert isinstance(control, Received)
    assert bulk.size == len(encode(DELTA)) + 5 == pair.listener.unconsumed_bytes
    assert control.size == 0


def test_credit_is_granted_again_by_eighths_of_the_window() -> None:
    pair = established(*windows(8000))
    pair.dialler.send(*chunk(4000))
    pair.settle()
    pair.listener.consumed(999)
    assert pair.carry(pair.listener) == []
    pair.listener.consumed(1)
    assert pair.carry(pair.listener) == [Credit(9000)]


@pytest.mark.parametrize("window", [0, 1, 100, 5000])
def test_a_message_beyond_the_window_passes_when_little_is_in_flight(window: int) -> None:
    pair = established(*windows(window))
    for size in (9000, 9001, 10, 9002):
        pair.dialler.send(*chunk(size))
    seen: list[int] = []
    for _ in range(4):
        pair.settle()
        for event in pair.told(pair.listener):
            if isinstance(event, Received):
                seen.append(len(event.frames[0]))
                pair.listener.consumed(event.size)
    pair.settle()
    seen += bulk_sizes(pair.told(pair.listener))
    assert seen == [9000, 9001, 10, 9002]


@given(st.integers(0, 3000), st.lists(st.tuples(st.integers(1, 1500), st.booleans()), max_size=30))
def test_any_traffic_flows_within_the_window_and_never_stalls(window: int, steps: list[tuple[int, bool]]) -> None:
    pair = established(*windows(window))
    unconsumed: list[int] = []
    arrived = 0

    def drain(is_consumer_awake: Callable[[], bool]) -> int:
        pair.settle()
        count = 0
        for event in pair.told(pair.listener):
            assert isinstance(event, Received)
            unconsumed.append(event.size)
            count += 1
        assert sum(unconsumed) <= window + 1600
        while unconsumed and is_consumer_awake():
            pair.listener.consumed(unconsumed.pop(0))
        return count

    for size, is_awake in steps:
        pair.dialler.send(*chunk(size))
        arrived += drain(lambda is_awake=is_awake: is_awake)  # type: ignore[misc]
    for _ in range(len(steps) + 1):
        arrived += drain(lambda: True)
    assert arrived == len(steps)
    assert pair.dialler.is_established


def test_more_than_the_credit_is_a_fault() -> None:
    pair = established(*windows(10_000))
    message, frames = chunk(9000)
    wire = [ID, encode(message), *frames]
    assert len(pair.listener.receive(wire, pair.now)) == 1
    (closed,) = pair.listener.receive(wire, pair.now)
    assert isinstance(closed, Closed)
    assert closed.is_fault
    assert "10000" in closed.reason


def test_credit_is_void_in_a_new_session() -> None:
    pair = established(*windows(10_000))
    pair.dialler.send(*chunk(9000))
    pair.settle()
    pair.dialler = Session(lambda: with_credit(ALICE, 10_000), pair.now, OTHER_ID)
    pair.events[pair.dialler] = []
    pair.settle()
    assert pair.listener.unconsumed_bytes == 0
    pair.listener.consumed(9000)
    pair.dialler.send(*chunk(9500))
    pair.dialler.send(*chunk(9501))
    pair.settle()
    assert bulk_sizes(pair.told(pair.listener)) == [9000, 9500]


def test_a_backlog_is_bounded_but_for_answers() -> None:
    pair = established(*windows(0))
    size = limits.RANGE_BYTES_MAX
    sent = [pair.dialler.send(*chunk(size)) for _ in range(100)]
    assert sent == [True] * sum(sent) + [False] * (100 - sum(sent))
    assert pair.dialler.backlog_bytes <= limits.BACKLOG_BYTES_MAX
    pushed = structs.replace(DELTA, request=0, inline=(), entries=())
    while pair.dialler.send(pushed):
        pass
    assert pair.dialler.send(structs.replace(pushed, request=1))
    assert pair.dialler.send(PULL)
