"""What the ``Control`` port promises, on running agents and on the twin: status, waiting, members and halts."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable

from contract.control_harness import (
    SIZE,
    VOLUMES,
    Scene,
    codes,
    member,
    missed,
    reached,
    refusal,
    until,
    volume_of,
    written,
)

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
DIGEST = re.compile(r"[0-9a-f]{32}")

Open = Callable[..., Scene]


# -- status ------------------------------------------------------------------------------------------------


def test_status_of_an_agent_alone(alone: Scene) -> None:
    status = alone.control.status()
    assert (status.format, status.agent, status.troubles) == (1, "a", [])
    assert TIME.fullmatch(status.time) and status.version
    assert [volume.name for volume in status.volumes] == list(VOLUMES)
    data = status.volumes[0]
    assert (data.path, data.state, data.direction, data.halt) == (alone.root("data"), "running", "two-way", None)
    assert data.watch in ("events", "poll") and data.ready is True and data.in_sync is True
    assert (data.entries, data.bytes, data.pending, data.conflicts, data.problems, data.held) == (0,) * 6
    (own,) = data.replicas
    assert (own.name, own.self, own.connected, own.in_sync, own.expected) == ("a", True, True, True, False)
    assert (own.entries_behind, own.bytes_behind, own.lag_seconds, own.direction) == (0, 0, 0.0, "two-way")
    assert own.incarnation.startswith("a.")
    assert all(TIME.fullmatch(str(when)) for when in (own.last_seen, own.as_of))


def test_the_digest_changes_with_what_there_is_and_only_then(alone: Scene) -> None:
    before = volume_of(alone.control)
    assert DIGEST.fullmatch(str(before.digest))
    alone.control.rescan(None)
    until(lambda: volume_of(alone.control).in_sync)
    assert volume_of(alone.control).digest == before.digest
    written(alone, "x")
    after = volume_of(alone.control)
    assert (after.entries, after.bytes) == (1, SIZE)
    assert DIGEST.fullmatch(str(after.digest)) and after.digest != before.digest
    alone.control.rescan("data")
    until(lambda: volume_of(alone.control).in_sync)
    assert volume_of(alone.control).digest == after.digest
    assert volume_of(alone.control, "logs").entries == 0


def test_status_of_a_member_that_is_there_behind_and_away(pair: Scene) -> None:
    control = written(pair, "x").control
    own, other = volume_of(control).replicas
    assert own.self and (other.name, other.self, other.connected, other.in_sync) == ("b", False, True, True)
    assert (other.entries_behind, other.bytes_behind, other.lag_seconds) == (0, 0, 0.0)
    assert other.incarnation.startswith("b.") and TIME.fullmatch(str(other.last_seen))
    pair.stall("b")
    pair.write("y")
    until(lambda: member(control, "b").entries_behind == 1)
    late = member(control, "b")
    assert (late.connected, late.in_sync, late.bytes_behind) == (True, False, SIZE)
    assert late.lag_seconds is not None and late.lag_seconds > 0
    assert volume_of(control).in_sync is False and volume_of(control, "logs").in_sync is True
    pair.proceed("b")
    until(lambda: volume_of(control).in_sync and member(control, "b").entries_behind == 0)
    pair.leave("b")
    until(lambda: not member(control, "b").connected)
    assert volume_of(control).in_sync is False and member(control, "b").in_sync is False
    assert (member(control, "b").entries_behind, volume_of(control).state) == (0, "running")


def test_a_peer_that_never_answered_is_expected(open_scene: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        control = open_scene(address).control
        until(lambda: volume_of(control).replicas[0].in_sync)
        missing = member(control, address)
        assert (missing.self, missing.expected, missing.connected, missing.in_sync) == (False, True, False, False)
        unknown = (missing.entries_behind, missing.bytes_behind, missing.lag_seconds, missing.last_seen, missing.as_of)
        assert unknown == (None,) * 5
        assert volume_of(control).in_sync is False
        ready = control.ready()
        assert (ready.ready, ready.missing) == (False, list(VOLUMES))
        result = missed(control, "data", None, "unreachable")
        assert (result.members, result.missing) == (2, [f"data: {address} has never answered"])


# -- wait and ready ----------------------------------------------------------------------------------------


def test_waiting_alone(alone: Scene) -> None:
    control = alone.control
    ready = control.ready()
    assert (ready.ready, ready.missing) == (True, [])
    result = control.wait_check(control.wait_token("data"), None)
    assert (result.reached, result.cause, result.members) == (False, "alone", 1)
    assert result.missing == ["data: this agent is the only member; '--members 1'"]
    result = control.wait_check(control.wait_token(None), None)
    assert result.cause == "alone" and [line.partition(":")[0] for line in result.missing] == list(VOLUMES)
    result = reached(control, control.wait_token(None), 1)
    assert (result.cause, result.members, result.missing) == ("", 1, [])
    assert missed(control, "data", 2, "behind").missing == ["data: 1 of 2 members are there"]


def test_waiting_for_a_member(pair: Scene) -> None:
    control = pair.control
    result = reached(control, control.wait_token(None))
    assert (result.cause, result.members, result.missing) == ("", 2, [])
    old = control.wait_token("data")
    reached(control, old)
    pair.stall("b")
    pair.write("x")
    until(lambda: member(control, "b").entries_behind == 1)
    assert control.wait_check(old, None).reached
    result = missed(control, None, None, "behind")
    assert (result.members, result.missing) == (2, [f"data: b lacks 1 entries, {SIZE} bytes"])
    new = control.wait_token("data")
    reached(control, new, 1)
    assert not control.wait_check(new, 2).reached
    assert reached(control, control.wait_token("logs")).reached
    pair.proceed("b")
    assert reached(control, new).members == 2
    assert missed(control, "data", 3, "behind").missing == ["data: 2 of 3 members are there"]


def test_waiting_for_a_member_that_is_away(pair: Scene) -> None:
    control = pair.control
    pair.leave("b")
    until(lambda: not member(control, "b").connected)
    reached(control, control.wait_token("data"))
    pair.write("x")
    until(lambda: member(control, "b").entries_behind == 1)
    result = missed(control, "data", None, "unreachable")
    assert (result.members, result.missing) == (2, ["data: b is not connected"])
    token = control.wait_token("data")
    reached(control, token, 1)
    pair.join("b")
    reached(control, token)


def test_who_is_behind_counts_more_than_who_is_away(pair: Scene) -> None:
    control = pair.control
    pair.join("c")
    until(lambda: len(volume_of(control).replicas) == 3 and volume_of(control).in_sync)
    pair.leave("b")
    pair.stall("c")
    until(lambda: not member(control, "b").connected)
    pair.write("x")
    until(lambda: member(control, "b").entries_behind == member(control, "c").entries_behind == 1)
    result = missed(control, "data", None, "behind")
    assert (result.members, result.missing) == (
        3,
        [f"data: c lacks 1 entries, {SIZE} bytes", "data: b is not connected"],
    )
    assert missed(control, "data", 2, "behind").missing == result.missing
    pair.proceed("c")
    token = control.wait_token("data")
    reached(control, token, 2)
    assert control.wait_check(token, None).cause == "unreachable"


# -- members -----------------------------------------------------------------------------------------------


def test_forget(pair: Scene) -> None:
    control = pair.control
    assert refusal(lambda: control.forget(None, "b")) == (
        "b is connected: stop that agent first, or it will be back at once",
        1,
    )
    assert refusal(lambda: control.forget("data", "c")) == ("there is no other member 'c'", 1)
    assert refusal(lambda: control.forget(None, "a")) == ("there is no other member 'a'", 1)
    pair.leave("b")
    until(lambda: not member(control, "b").connected)
    incarnation = member(control, "b").incarnation
    assert refusal(lambda: control.forget(None, "")) == ("there is no other member ''", 1)
    assert refusal(lambda: control.forget(None, incarnation[:-1])) == (
        f"there is no other member {incarnation[:-1]!r}",
        1,
    )
    assert control.forget("data", incarnation) == [f"data: {incarnation} is off the list"]
    assert [len(volume.replicas) for volume in control.status().volumes] == [1, 2]
    assert control.forget(None, "b") == ["logs: b is off the list"]
    assert refusal(lambda: control.forget(None, "b"))[1] == 1
    assert control.wait_check(control.wait_token(None), None).cause == "alone"
    pair.join("b")
    until(lambda: len(volume_of(control).replicas) == 2 and volume_of(control).in_sync)


def test_a_halt_ends_when_the_root_is_back(pair: Scene) -> None:
    control = written(pair, "x").control
    digest = volume_of(control).digest
    assert refusal(lambda: control.adopt("data")) == ("data is not halted: there is nothing to adopt", 1)
    pair.take_root()
    until(lambda: volume_of(control).state == "halted")
    halted = volume_of(control)
    assert halted.halt and (halted.in_sync, halted.digest, halted.entries) == (False, None, 1)
    assert halted.problems >= 1 and codes(control, None) == ["halted"]
    assert volume_of(control, "logs").state == "running"
    problem = control.problems(None)[0]
    assert (problem.code, problem.is_blocking, problem.path) == ("halted", True, None)
    assert problem.text == f"halted: {halted.halt}" and "syncctl adopt" in problem.remedy
    result = missed(control, None, None, "blocked")
    assert result.missing[0] == f"data: halted: {halted.halt}; see 'syncctl adopt data'"
    assert refusal(lambda: control.rescan("data")) == (f"data is halted: {halted.halt}", 5)
    text, code = refusal(lambda: control.adopt("data"))
    assert (text, code) == (f"{pair.root('data')} cannot be opened: No such file or directory", 5)
    assert volume_of(control).state == "halted"
    pair.return_root()
    until(lambda: volume_of(control).in_sync)
    back = volume_of(control)
    assert (back.state, back.halt, back.digest, codes(control, None)) == ("running", None, digest, [])


def test_adopt(pair: Scene) -> None:
    control = written(pair, "x").control
    before = member(control, "a").incarnation
    pair.take_root()
    until(lambda: volume_of(control).state == "halted")
    pair.replace_root("y")
    assert control.adopt("data") == [
        "data: what is there now is a new replica; it is united with the others, nothing is deleted"
    ]
    until(lambda: volume_of(control).in_sync and volume_of(control).entries == 2)
    assert (volume_of(control).state, volume_of(control).halt) == ("running", None)
    assert codes(control, "data") == ["new-incarnation"] and not control.problems("data")[0].is_blocking
    assert {control.why("data", path).state for path in (b"x", b"y")} == {"replicated"}
    assert member(control, "a").incarnation != before
    assert len(volume_of(control).replicas) == 2
    assert refusal(lambda: control.adopt("data"))[1] == 1
