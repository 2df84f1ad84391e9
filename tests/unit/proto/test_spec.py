"""SPEC.md says what the code does: grammar, state table, codes and limits."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from syncproto import limits
from syncproto.checks import DIRECTIONS
from syncproto.greeting import REFUSALS
from syncproto.messages import Former, Message, Range, Relayed, SessionMessage, Start, VolumeHello, VolumeMessage
from syncproto.model import Attributes, Chunk, Entry, Kind, Member, Metadata
from syncproto.states import TABLE

SPEC = (Path(__file__).parents[3] / "protocol" / "SPEC.md").read_text()
RULE = re.compile(r"^    ([a-z-]+) += \[(.*?)\]$", re.MULTILINE | re.DOTALL)
RULES = {name: " ".join(body.split()) for name, body in RULE.findall(SPEC)}

MESSAGES: list[type[Message]] = list((SessionMessage | VolumeMessage).__args__)
PARTS: dict[str, type[msgspec.Struct]] = {
    "volume-hello": VolumeHello,
    "start": Start,
    "relayed": Relayed,
    "member": Member,
    "range": Range,
    "former": Former,
    "chunk": Chunk,
    "entry": Entry,
    "metadata": Metadata,
    "attributes": Attributes,
}


def _fields(struct: type[msgspec.Struct]) -> list[str]:
    """The fields in their places; those that may be left out are marked."""
    return [field.name + ("" if field.required else "?") for field in msgspec.structs.fields(struct)]


def _stated(body: str) -> list[str]:
    return re.findall(r"([a-z_]+\??):", body)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)
def test_the_grammar_has_every_message(message: type[Message]) -> None:
    tag = message.__struct_config__.tag
    assert isinstance(tag, str)
    assert RULES[tag].startswith(f'"{tag}"')
    assert _stated(RULES[tag]) == _fields(message)


@pytest.mark.parametrize("name", PARTS)
def test_the_grammar_has_every_part(name: str) -> None:
    assert _stated(RULES[name]) == _fields(PARTS[name])


def test_the_grammar_has_nothing_else() -> None:
    tags = {str(message.__struct_config__.tag) for message in MESSAGES}
    assert set(RULES) - {"dot"} == tags | set(PARTS)
    bulk = {f"`{message.__struct_config__.tag}`" for message in MESSAGES if message.is_bulk}
    (sentence,) = re.findall(r"^(.*) are \*\*bulk\*\*", SPEC, re.MULTILINE)
    assert set(re.findall(r"`[a-z-]+`", sentence)) == bulk


def test_kinds_and_directions_are_listed() -> None:
    assert " / ".join(f"{kind.value} {kind.name.lower()}" for kind in Kind) in SPEC
    assert " / ".join(DIRECTIONS) in SPEC


def test_the_state_table_is_that_of_the_code() -> None:
    rows = [
        f"| {'dialler' if is_dialler else 'listener'} | {state} | {given} | {action} | {following} |"
        for (is_dialler, state, given), (action, following) in TABLE.items()
    ]
    assert "\n".join(rows) in SPEC
    assert len(re.findall(r"^\| (dialler|listener) \|", SPEC, re.MULTILINE)) == len(rows)


def test_the_codes_of_refuse_are_those_of_the_code() -> None:
    assert "\n".join(f"| `{code}` | {meaning} |" for code, meaning in REFUSALS.items()) in SPEC


def test_the_limits_are_those_of_the_code() -> None:
    stated = dict(re.findall(r"^\| `([A-Z_]+)` \| (\S+) \| \S.* \|$", SPEC, re.MULTILINE))
    actual = {name: value for name, value in vars(limits).items() if name.isupper()}
    assert stated == {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in actual.items()}
