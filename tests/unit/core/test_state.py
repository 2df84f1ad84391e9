"""The in-memory state, and that an overlay answers as if its changes were made."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from syncagent.core.state import MemoryState, Overlay, State
from syncproto.model import Entry, Kind
from unit.proto.strategies import PATHS, dots, entries

FILE = Entry(b"d/x", Kind.FILE, b"1", "a", 1, (("a", 1),), 1, carried=(("b", 3),))

Step = Callable[[State], None]


def _put(entry: Entry) -> Step:
    return lambda state: state.put(entry)


def _put_pending(entry: Entry) -> Step:
    def step(state: State) -> None:
        if (twin := state.pending_entry(entry.dot)) is None or twin.path == entry.path:  # a dot names one change
            state.put_pending(entry)

    return step


def _drop(path: bytes) -> Step:
    return lambda state: state.drop(path)


def _drop_pending(dot: tuple[str, int]) -> Step:
    return lambda state: state.drop_pending(dot)


def _vectors(counter: int) -> Step:
    def step(state: State) -> None:
        state.counter, state.floor = counter, counter + 1
        state.known, state.applied, state.collected = {"k": counter}, {"a": counter}, {"c": counter}

    return step


steps = st.lists(
    st.one_of(
        entries().map(_put),
        entries().map(_put_pending),
        st.sampled_from(PATHS).map(_drop),
        dots.map(_drop_pending),
        st.integers(1, 9).map(_vectors),
    ),
    max_size=12,
)


def answers(state: State) -> list[object]:
    contents = [b"1", b"2", b"3", b"4", None]
    return [
        [*state.entries()],
        [*state.tombstones()],
        [*state.pending()],
        [state.entry(path) for path in PATHS],
        [state.live_below(path) for path in [*PATHS, b""]],
        [state.has_live_below(path) for path in [*PATHS, b""]],
        [state.pending_at(path) for path in PATHS],
        [state.has_content(content) for content in contents],
        [state.pending_entry((origin, counter)) for origin in ("a.1", "b.2", "c.3") for counter in range(6)],
        [state.has_pending_wanting((content,), ("b.2", n)) for content in contents for n in range(1, 7)],
        [state.origin, state.counter, state.floor, state.known, state.applied, state.collected],
    ]


def after(*parts: list[Step]) -> MemoryState:
    state = MemoryState("here.1")
    for part in parts:
        for step in part:
            step(state)
    return state


@given(steps, steps, steps)
def test_an_overlay_answers_as_if_it_were_committed(before: list[Step], first: list[Step], then: list[Step]) -> None:
    base = after(before)
    lower = Overlay(base)
    for step in first:
        step(lower)
    upper = Overlay(lower)
    for step in then:
        step(upper)
    assert answers(base) == answers(after(before))
    assert answers(lower) == answers(after(before, first))
    assert answers(upper) == answers(after(before, first, then))
    upper.commit()
    lower.commit()
    assert answers(base) == answers(after(before, first, then))


def test_an_overlay_tells_what_it_would_change() -> None:
    base = MemoryState("here.1")
    base.put(FILE)
    edited, made = structs.replace(FILE, content=b"2"), structs.replace(FILE, path=b"a")
    overlay = Overlay(base)
    overlay.put(made)
    overlay.put(edited)
    assert list(overlay.changes().items()) == [(b"a", (None, made)), (b"d/x", (FILE, edited))]
    overlay.drop(b"d/x")
    assert overlay.changes()[b"d/x"] == (FILE, None)
    assert base.entry(b"d/x") == FILE


def test_an_overlay_is_never_asked_for_a_history() -> None:
    with pytest.raises(TypeError, match="overlay"):
        Overlay(MemoryState("here.1")).changed_since(0)


def test_what_changed_comes_in_the_order_of_the_last_write() -> None:
    state = MemoryState("here.1")
    other, waiting = structs.replace(FILE, path=b"y", counter=2), structs.replace(FILE, path=b"z", counter=3)
    state.put(FILE)
    state.put(other)
    mark = state.sequence
    state.put_pending(waiting)
    state.put(FILE)
    assert [*state.changed_since(0)] == [other, waiting, FILE]
    assert [*state.changed_since(mark)] == [waiting, FILE]
    state.drop(FILE.path)
    state.drop_pending(waiting.dot)
    assert [*state.changed_since(0)] == [other]


def test_a_directory_has_below_it_what_lives_and_not_what_is_named_alike() -> None:
    state = MemoryState("here.1")
    for path in (b"d/x", b"d/y/z", b"d2", b"d"):
        state.put(structs.replace(FILE, path=path))
    state.put(structs.replace(FILE, path=b"d/gone", kind=Kind.TOMBSTONE))
    assert state.live_below(b"d") == [b"d/x", b"d/y/z"]
    assert state.live_below(b"") == [b"d", b"d/x", b"d/y/z", b"d2"]
    assert not state.has_live_below(b"d2")


def test_a_pending_file_wants_its_content_and_what_it_carries() -> None:
    state = MemoryState("here.1")
    state.put_pending(FILE)
    assert state.has_pending_wanting((b"1", None), ("z", 1))
    assert state.has_pending_wanting((b"2",), ("b", 3))
    assert not state.has_pending_wanting((b"2",), ("b", 4))
    state.put_pending(structs.replace(FILE, kind=Kind.SYMLINK))
    assert not state.has_pending_wanting((b"1",), ("b", 3))


def test_only_files_that_live_hold_content() -> None:
    state = MemoryState("here.1")
    for kind in (Kind.TOMBSTONE, Kind.SYMLINK):
        state.put(structs.replace(FILE, kind=kind))
        assert not state.has_content(b"1")
    state.put(FILE)
    assert state.has_content(b"1")
