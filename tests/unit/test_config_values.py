"""Configuration: from text to one value."""

from __future__ import annotations

import pytest

from syncagent.config import (
    Endpoint,
    values,
)


@pytest.mark.parametrize(
    ("text", "seconds", "shown"),
    [
        ("500ms", 0.5, "500ms"),
        ("5", 5, "5s"),
        ("1.5", 1.5, "1.5s"),
        ("90s", 90, "90s"),
        ("60", 60, "1m"),
        ("10m", 600, "10m"),
        ("2h", 7200, "2h"),
        ("30d", 2592000, "30d"),
        ("0", 0, "0s"),
    ],
)
def test_durations(text: str, seconds: float, shown: str) -> None:
    parse = values.duration(0, 30 * values.DAY)
    assert parse(text) == seconds
    assert values.show_duration(seconds) == shown
    assert parse(shown) == seconds


@pytest.mark.parametrize("text", ["", "5x", "-1", "1e3", "nan", "5 s", "١", "s", "31d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; write 500ms|is out of range; use 0s to 30d"):
        values.duration(0, 30 * values.DAY)(text)


@pytest.mark.parametrize(
    ("text", "size", "shown"),
    [
        ("off", None, "off"),
        ("0", 0, "0"),
        ("1500", 1500, "1500"),
        ("2048", 2048, "2K"),
        ("1G", 2**30, "1G"),
        ("1024M", 2**30, "1G"),
        ("3TiB", 3 * 2**40, "3T"),
    ],
)
def test_sizes(text: str, size: int | None, shown: str) -> None:
    assert values.size_or_off(text) == size
    assert values.show_size(size) == shown
    assert values.size_or_off(shown) == size


@pytest.mark.parametrize("text", ["", "G", "-1", "1.5G", "1 G", "1P", "on"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size; write 500M, 1G"):
        values.size_or_off(text)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("tcp://*:7401", Endpoint("*", 7401)),
        ("tcp://[::1]:7401", Endpoint("::1", 7401)),
        ("tcp://127.0.0.1:0", Endpoint("127.0.0.1", 0)),
        ("tcp://localhost:1", Endpoint("127.0.0.1", 1)),
        ("tcp://[::]:65535", Endpoint("::", 65535)),
    ],
)
def test_addresses_to_listen_on(text: str, endpoint: Endpoint) -> None:
    assert values.listen_address(text) == endpoint
    assert values.listen_address(endpoint.tcp) == endpoint


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("127.0.0.1:7401", "write tcp://127.0.0.1:7401"),
        ("b", "write tcp://b:7401"),
        ("http://b:1", "only tcp is supported"),
        ("tcp://b", "is not an address of the form"),
        ("tcp://b:x", "is not an address of the form"),
        ("tcp://::1:7401", "is not an address of the form"),
        ("tcp://b:70000", "ports end at 65535"),
        ("tcp://:1", "has no host"),
        ("tcp://b/c:1", "neither an address nor a name"),
        ("tcp://[zz]:1", "which is not an IPv6 address"),
        ("tcp://b:1\n", "is not an address"),
        ("", "is not an address"),
    ],
)
def test_what_is_no_address_is_refused_with_a_remedy(text: str, words: str) -> None:
    for parse in (values.listen_address, values.peer_address):
        with pytest.raises(ValueError, match=words):
            parse(text)


def test_a_peer_must_be_dialled_and_a_listener_must_be_bound() -> None:
    assert values.peer_address("tcp://agent_b.example:7401") == Endpoint("agent_b.example", 7401)
    for text, words in (("tcp://*:1", "name the host"), ("tcp://0.0.0.0:1", "name the host"), ("tcp://b:0", "port 0")):
        with pytest.raises(ValueError, match=words):
            values.peer_address(text)
    with pytest.raises(ValueError, match="give an IP address of this machine"):
        values.listen_address("tcp://agent-b:7401")


def test_http_addresses_have_no_scheme() -> None:
    assert values.http_address("[::1]:7481") == Endpoint("::1", 7481)
    assert str(values.http_address("[::1]:7481")) == "[::1]:7481"
    with pytest.raises(ValueError, match="write ADDRESS:PORT as 127.0.0.1:7481"):
        values.http_address("http://127.0.0.1:7481/")


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("::ffff:127.0.0.1", True),
        ("*", False), ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("b.example", False), ("fe80::1", False),
        ("127.0.0.1.example", False), ("::ffff:10.0.0.1", False),
    ],
)  # fmt: skip
def test_what_counts_as_loopback(host: str, is_loopback: bool) -> None:
    assert Endpoint(host, 1).is_loopback == is_loopback
