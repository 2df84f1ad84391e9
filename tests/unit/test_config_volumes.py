"""Configuration: how volumes are written, and what excludes what."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs import flags, make_place, problem, problems
from syncagent.config import (
    Brake,
    load,
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return make_place(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("given", "brake", "watch"),
    [
        ("data=data", Brake(100, 25), "auto"),
        ("data=data,brake=5,10%", Brake(5, 10), "auto"),
        ("data=data,brake=5:10%,watch=poll", Brake(5, 10), "poll"),
        ("data=data,watch=poll,brake=5,10%", Brake(5, 10), "poll"),
        ("data=data,brake=5,10%,watch=poll", Brake(5, 10), "poll"),
        ("data=data,brake=off", None, "auto"),
    ],
)
def test_volumes_are_written_as_mounts_are(given: str, brake: Brake | None, watch: str) -> None:
    (volume,) = load(flags(volumes=[given]), {}).volumes
    assert (volume.brake, volume.watch) == (brake, watch)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("data", "--volume 'data' has no directory; write NAME=DIR or NAME=DIR,key=value"),
        ("data=", "--volume: volume 'data': directory '' is empty; name a path"),
        ("a b=data", "--volume: volume 'a b' is not a name; use 1 to 64 of the characters A-Z a-z 0-9 . _ -"),
        ("..=data", "--volume: volume '..' is not a name; use 1 to 64 of the characters A-Z a-z 0-9 . _ -"),
        ("data=data,wach=poll", "--volume: volume 'data' has no option 'wach'; did you mean watch?"),
        ("data=data,watch=pol", "--volume: volume 'data': watch 'pol' is not one of auto, poll; did you mean poll?"),
        ("data=data,watch=poll,watch=auto", "--volume 'data=data,watch=poll,watch=auto' has watch twice; remove one"),
        ("data=data,brake=5", "--volume: volume 'data': brake '5' is not a brake; "
         "write a number and a percentage as 100,25% or off"),
        ("data=data,brake=0,5%", "--volume: volume 'data': brake '0:5%' is not a brake; "
         "write a number and a percentage as 100,25% or off"),
        ("data=data,more", "--volume 'data=data,more' has 'more', which is no key=value; "
         "a directory with a comma goes into a config file"),
        ("data=data,direction=send-only",
         "--volume: volume 'data': direction=send-only is not supported yet; use direction=two-way"),
        ("data=data,first_join=take",
         "--volume: volume 'data': first_join=take is not supported yet; use first_join=merge"),
        ("data=data,poll_interval=0", "--volume: volume 'data': poll_interval '0' is out of range; use 100ms to 1d"),
    ],
)  # fmt: skip
def test_a_volume_with_a_fault_is_one_sentence(given: str, sentence: str) -> None:
    assert problem(flags(volumes=[given])) == sentence


def test_volumes_may_not_share_names_or_directories(place: Path) -> None:
    (place / "data/sub").mkdir()
    (place / "link").symlink_to("data/sub")
    sentences = problems(flags(volumes=["a=data", "b=link", "a=media"]))
    assert len(sentences) == 2
    assert "volume 'b'" in sentences[0] and "is inside or the same as volume 'a'" in sentences[0]
    assert sentences[1] == "--volume: volume 'a' is given twice; name each volume once"
    assert "overlap" in problem(flags(volumes=["a=data", "b=./data/"]))
    assert "volume 'a'" in problem(flags(volumes=["a=data/sub", "b=data"]))


def test_names_that_share_a_prefix_do_not_overlap(place: Path) -> None:
    (place / "data2").mkdir()
    assert len(load(flags(volumes=["a=data", "b=data2"]), {}).volumes) == 2


def test_the_state_directory_may_not_be_inside_a_volume(place: Path) -> None:
    (place / "link").symlink_to("data")
    for state in ("data", "data/.state/deep", "link/x"):
        assert "choose a directory outside every volume" in problem(flags(state_dir=state))
    assert load(flags(state_dir="data/../other"), {}).state_dir == f"{place}/other"
