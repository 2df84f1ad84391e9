"""Configuration: the table of options, each source, their order, and every fault at once."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from configs import SECRET, flags, make_place, problem, problems, write
from syncagent.config import (
    OPTIONS,
    VOLUME_OPTIONS,
    Brake,
    Config,
    Endpoint,
    VolumeConfig,
    draft_config,
    load,
    options,
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return make_place(tmp_path, monkeypatch)


def test_every_option_is_a_field_of_the_configuration_and_no_more() -> None:
    fields = {part.name for part in dataclasses.fields(Config)}
    assert {option.key for option in OPTIONS} == fields - {"sources", "flags", "warnings"}
    assert {option.key for option in VOLUME_OPTIONS} == {part.name for part in dataclasses.fields(VolumeConfig)} - {
        "name", "path",
    }  # fmt: skip


def test_no_variable_has_a_name_that_container_platforms_set_themselves() -> None:
    for option in OPTIONS:
        assert option.variable.startswith("SYNCAGENT_")
        assert not option.variable.endswith(("_PORT", "_HOST"))


def test_defaults_in_the_table_are_those_of_the_types() -> None:
    config = load(flags(), {"HOME": "/home/x"})
    volume = config.volumes[0]
    assert volume == VolumeConfig("data", os.fsencode(os.path.abspath("data")))
    assert config == Config(config.name, config.volumes, config.state_dir)
    assert set(config.sources) >= {option.key for option in OPTIONS}
    for choice in VOLUME_OPTIONS:
        assert choice.show(getattr(volume, choice.key)) == choice.default
    for option in OPTIONS:
        if option.default is not None:
            assert option.show(getattr(config, option.key)) == option.default


def test_a_flag_beats_a_variable_beats_the_file_beats_the_default() -> None:
    write("agent.toml", 'name = "file"\ncluster = "file"\ndrain = 7\n')
    environ = {"SYNCAGENT_NAME": "variable", "SYNCAGENT_CLUSTER": "variable"}
    config = load(flags(name="flag", config="agent.toml"), environ)
    assert (config.name, config.cluster, config.drain, config.log_level) == ("flag", "variable", 7.0, "info")
    assert [config.sources[key] for key in ("name", "cluster", "drain", "log_level")] == [
        "flag", "environment", "config file", "default",
    ]  # fmt: skip


def test_every_option_can_be_given_in_each_of_the_three_ways(place: Path) -> None:
    secret, token = write("secret", SECRET), write("token", SECRET)
    texts = {
        "name": "n", "state_dir": "s", "listen": "tcp://127.0.0.1:0", "cluster": "c",
        "secret_file": secret, "http": "127.0.0.1:0", "http_token_file": token, "drain": "1s",
        "forget_after": "2h", "log_level": "debug", "log_format": "json",
    }  # fmt: skip
    lists = {"volumes": ["data=data,watch=poll", "media=media"], "peers": ["tcp://b:1", "tcp://c:2"]}
    assert {*texts, *lists} == {option.key for option in OPTIONS if option.in_file}
    by_key = {option.key: option.variable for option in OPTIONS}
    lines = [f'{key} = "{text}"' for key, text in texts.items()] + [f"{key} = {items}" for key, items in lists.items()]
    write("agent.toml", "\n".join(lines))
    environ = {by_key[key]: text for key, text in {**texts, **{key: " ".join(lists[key]) for key in lists}}.items()}
    from_flags, from_environ, from_file = (
        load({**texts, **lists}, {}),
        load({}, environ),
        load({}, {"SYNCAGENT_CONFIG": "agent.toml"}),
    )
    assert from_flags == from_environ == dataclasses.replace(from_file, config=None)
    assert from_flags.peers == (Endpoint("b", 1), Endpoint("c", 2))
    assert from_flags.drain == 1.0
    assert from_flags.state_dir == f"{place}/s"


def test_a_list_replaces_the_list_of_a_weaker_source() -> None:
    write("agent.toml", '[volumes.media]\npath = "media"\n')
    config = load(flags(config="agent.toml"), {"SYNCAGENT_VOLUMES": "other=media"})
    assert [volume.name for volume in config.volumes] == ["data"]


def test_an_empty_variable_counts_as_not_set() -> None:
    config = load(
        flags(), {"SYNCAGENT_PEERS": " ", "SYNCAGENT_NAME": "", "SYNCAGENT_LISTEN": "", "SYNCAGENT_CONFIG": ""}
    )
    assert (config.peers, config.listen, config.config) == ((), None, None)
    assert config.sources["peers"] == "default"


def test_a_peer_given_twice_is_one_peer() -> None:
    assert load(flags(peers=["tcp://[::1]:1", "tcp://[0:0::1]:1"]), {}).peers == (Endpoint("::1", 1),)


def test_tables_of_the_file_are_volumes_and_relative_paths_start_at_the_file(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        "agent.toml",
        """
        state-dir = "state"
        [volumes.data]
        path = "data"
        brake = "10:5%"
        poll-interval = 1.5
        release_after = "10m"
        on_empty = "refill"
        [volumes."m.2"]
        path = "media"
    """,
    )
    monkeypatch.chdir("/")
    config = load({"config": f"{place}/agent.toml"}, {})
    data, media = config.volumes
    assert data == VolumeConfig(
        "data",
        os.fsencode(place / "data"),
        on_empty="refill",
        brake=Brake(10, 5),
        release_after=600.0,
        poll_interval=1.5,
    )
    assert (media.name, media.path, config.state_dir) == ("m.2", os.fsencode(place / "media"), f"{place}/state")
    assert config.sources["volumes.data.brake"] == "config file"
    assert config.sources["volumes.data.watch"] == "default"


def test_a_directory_whose_name_is_not_utf_8_is_kept_as_bytes(place: Path) -> None:
    path = os.fsencode(place) + b"/caf\xe9"
    os.mkdir(path)
    assert load(flags(volumes=["data=" + os.fsdecode(path)]), {}).volumes[0].path == path


def test_a_tilde_is_the_home_directory(place: Path) -> None:
    config = load(flags(volumes=["data=~/data"], state_dir="~/s"), {"HOME": str(place)})
    assert (config.volumes[0].path, config.state_dir) == (os.fsencode(place / "data"), f"{place}/s")


def test_the_state_directory_is_the_systems_where_writable_else_the_users(place: Path) -> None:
    system = str(place / "system")
    assert options.state_dir({}, system) == system
    blocked = "/proc/version/syncagent"
    assert options.state_dir({"XDG_STATE_HOME": "/xdg", "HOME": "/home/x"}, blocked) == "/xdg/syncagent"
    assert options.state_dir({"HOME": "/home/x"}, blocked) == "/home/x/.local/state/syncagent"
    with pytest.raises(ValueError, match="give --state-dir DIR"):
        options.state_dir({}, blocked)


def test_the_files_faults_are_found_and_named(place: Path) -> None:
    write(
        "agent.toml",
        """
        volume = ["data=data"]
        log-levl = "info"
        config = "other.toml"
        port = 5
        peers = "b:1"
        listen = ["tcp://127.0.0.1:1"]
        name = true
        state-dir = "x"
        state_dir = "y"
        [volumes]
        data = "data"
        [volumes.media]
        pth = "media"
    """,
    )
    assert problems({"config": "agent.toml"}) == [
        "'volume' in agent.toml is no key of the config file; did you mean volumes?",
        "'log-levl' in agent.toml is no key of the config file; did you mean log_level?",
        "'config' in agent.toml is no key of the config file; a config file cannot name another",
        "'port' in agent.toml is no key of the config file; known are name, volumes, state_dir, listen, "
        "peers, cluster, secret_file, http, http_token_file, drain, forget_after, log_level, log_format",
        "listen in agent.toml must be a single value, not a list",
        "name in agent.toml must be a text in quotes, not True",
        "'state_dir' in agent.toml is there twice, once with - and once with _; remove one",
        "volumes in agent.toml: 'data' must be a table; write [volumes.data] and path = \"DIR\" below it",
        "volumes in agent.toml: volume 'media' has no path, or none in quotes; write path = \"DIR\"",
        "volumes in agent.toml: volume 'media' has no option 'pth'; did you mean path?",
        "peers in agent.toml 'b:1' is not an address of the form tcp://HOST:PORT; write tcp://b:1",
    ]


def test_every_fault_of_one_volume_is_listed(place: Path) -> None:
    write("agent.toml", "[volumes.'a b']\nwach = 'poll'\ndirection = 'up'\nbrake = 5\n")
    assert problems({"config": "agent.toml", "state_dir": "state"}) == [
        "volumes in agent.toml: volume 'a b' has no path, or none in quotes; write path = \"DIR\"",
        "volumes in agent.toml: volume 'a b' is not a name; use 1 to 64 of the characters A-Z a-z 0-9 . _ -",
        "volumes in agent.toml: volume 'a b' has no option 'wach'; did you mean watch?",
        "volumes in agent.toml: volume 'a b': direction 'up' is not one of two-way, send-only, receive-only",
        "volumes in agent.toml: volume 'a b': brake '5' is not a brake; "
        "write a number and a percentage as 100,25% or off",
    ]
    assert problems({"volumes": ["data,wach=poll,more,watch=pol"], "state_dir": "state"}) == [
        "--volume 'data,wach=poll,more,watch=pol' has no directory; write NAME=DIR or NAME=DIR,key=value",
        "--volume 'data,wach=poll,more,watch=pol' has 'more', which is no key=value; "
        "a directory with a comma goes into a config file",
        "--volume: volume 'data' has no option 'wach'; did you mean watch?",
        "--volume: volume 'data': watch 'pol' is not one of auto, poll; did you mean poll?",
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            "name = ",
            "is not valid TOML: Invalid value (at end of document); correct it there, nothing of the file was used",
        ),
        ("name = 'a'\ncluster = b\n", "at line 2, column 11"),
        (b"name = '\xff'", "is not valid TOML: 'utf-8' codec"),
    ],
)
def test_bad_toml_is_one_sentence_with_its_place(content: str | bytes, words: str) -> None:
    write("agent.toml", content)
    sentence = problem({"config": "agent.toml", "state_dir": "state"})
    assert sentence.startswith("config file 'agent.toml' is not valid TOML") and words in sentence


def test_a_config_file_that_is_missing_or_a_directory_is_one_sentence() -> None:
    assert problem({"config": "no.toml", "state_dir": "state"}) == (
        "config file 'no.toml' cannot be read: No such file or directory; check --config"
    )
    assert "Is a directory" in problem({"state_dir": "state"}, {"SYNCAGENT_CONFIG": "data"})


def test_a_mistyped_variable_is_refused_and_foreign_ones_are_not() -> None:
    sentence = problem(flags(), {"SYNCAGENT_PEER": "tcp://b:1"})
    assert sentence.startswith("the variable SYNCAGENT_PEER is not known; did you mean SYNCAGENT_PEERS?")
    kubernetes = {
        "SYNCAGENT_PORT": "tcp://10.0.0.1:7401", "SYNCAGENT_PORT_7401_TCP_ADDR": "10.0.0.1",
        "SYNCAGENT_SERVICE_HOST": "10.0.0.1", "SYNCAGENT_SERVICE_PORT_SYNC": "7401", "SYNCAGENT_HTTP_PORT": "1",
        "SYNCAGENT_ENV_PATH": "/bin",
    }  # fmt: skip
    assert load(flags(), kubernetes).warnings == ()
    assert load(flags(), {"SYNCAGENT_IMAGE_BUILD": "7"}).warnings == (
        "the variable SYNCAGENT_IMAGE_BUILD is not known to syncagent and has no effect",
    )


def test_faults_of_all_sources_come_at_once() -> None:
    write("agent.toml", 'forget_after = "x"\n')
    found = problems(flags(name="a b", config="agent.toml", peers=["tcp://b:1"]), {"SYNCAGENT_DRAIN": "y"})
    assert [sentence.split()[0] for sentence in found] == ["--name", "SYNCAGENT_DRAIN", "forget_after", "--peer"]


def test_without_a_volume_there_is_nothing_to_run() -> None:
    nothing: list[str] = []
    for given in ({}, {"volumes": nothing}):
        assert problem({"state_dir": "state", **given}).startswith("no volume is given; add --volume NAME=DIR")
    write("agent.toml", "volumes = []\n")
    assert problem({"state_dir": "state", "config": "agent.toml"}).startswith("no volume is given")


def test_a_draft_keeps_what_is_right_and_shows_what_was_refused() -> None:
    draft = draft_config(flags(peers=["tcp://127.0.0.1:1", "x"], drain="no", name="fine"), {})
    assert (draft.config.name, draft.config.peers, draft.config.drain) == ("fine", (Endpoint("127.0.0.1", 1),), 5.0)
    assert draft.rejected == {"peers": "tcp://127.0.0.1:1 x", "drain": "no"}
