"""Configuration: what a reload takes over, what it refuses, and when it raises."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from configs import SECRET, flags, make_place, write
from syncagent.config import (
    ConfigError,
    Endpoint,
    load,
    reload,
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return make_place(tmp_path, monkeypatch)


def test_a_reload_takes_over_what_may_change_and_names_the_rest() -> None:
    write(
        "agent.toml",
        """
        name = "a"
        log_level = "info"
        listen = "tcp://127.0.0.1:1"
        [volumes.data]
        path = "data"
    """,
    )
    before = load({"config": "agent.toml", "state_dir": "state"}, {})
    write(
        "agent.toml",
        """
        name = "b"
        log_level = "debug"
        peers = ["tcp://127.0.0.1:9"]
        drain = 9
        [volumes.data]
        path = "media"
        brake = "off"
        watch = "poll"
        [volumes.more]
        path = "data"
    """,
    )
    after, refused = reload(before, {})
    assert refused == ["volumes.more", "volumes.data.path", "volumes.data.watch", "name", "listen"]
    assert (after.log_level, after.peers, after.drain) == ("debug", (Endpoint("127.0.0.1", 9),), 9.0)
    assert (after.name, after.listen) == ("a", Endpoint("127.0.0.1", 1))
    assert after.volumes == (dataclasses.replace(before.volumes[0], brake=None),)
    assert after.sources["listen"] == "config file" and after.sources["peers"] == "config file"


def test_a_reload_without_a_change_refuses_nothing() -> None:
    before = load(flags(peers=["tcp://127.0.0.1:1"]), {"SYNCAGENT_DRAIN": "1"})
    assert reload(before, {"SYNCAGENT_DRAIN": "1"}) == (before, [])


def test_a_reload_of_a_faulty_file_raises_and_the_flags_still_win() -> None:
    write("agent.toml", "drain = 1\n")
    before = load(flags(config="agent.toml", log_level="debug"), {})
    write("agent.toml", 'drain = 2\nlog_level = "error"\n')
    after, refused = reload(before, {})
    assert (after.drain, after.log_level, refused) == (2.0, "debug", [])
    write("agent.toml", "drain =\n")
    with pytest.raises(ConfigError, match="is not valid TOML"):
        reload(before, {})


def test_a_secret_may_be_another_file_but_not_appear_or_vanish() -> None:
    one, two = write("one", SECRET), write("two", SECRET)
    write("agent.toml", 'listen = "tcp://*:1"\nsecret_file = "one"\n')
    before = load(flags(config="agent.toml"), {})
    write("agent.toml", 'listen = "tcp://*:1"\nsecret_file = "two"\n')
    after, refused = reload(before, {})
    assert (after.secret_file, refused) == (os.path.abspath(two), [])
    write("agent.toml", 'listen = "tcp://127.0.0.1:1"\n')
    after, refused = reload(before, {})
    assert (after.secret_file, refused) == (os.path.abspath(one), ["listen", "secret_file"])


def test_a_reload_checks_the_merged_configuration() -> None:
    write("agent.toml", 'peers = ["tcp://127.0.0.1:1"]\n')
    before = load(flags(config="agent.toml"), {})
    write("secret", SECRET)
    write("agent.toml", 'peers = ["tcp://b:1"]\nsecret_file = "secret"\n')
    with pytest.raises(ConfigError, match="tcp://b:1 is not on loopback"):
        reload(before, {})


def test_a_volume_in_trouble_does_not_block_a_reload(place: Path) -> None:
    write("agent.toml", "log_level = 'info'\n")
    before = load(flags(config="agent.toml"), {})
    (place / "data").rmdir()
    write("agent.toml", "log_level = 'debug'\n")
    assert reload(before, {})[0].log_level == "debug"
