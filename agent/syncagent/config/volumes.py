"""Volumes as they are written: ``NAME=DIR,key=value,...`` in one text, or a table of the config file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from syncagent.config.model import VolumeConfig
from syncagent.config.options import VOLUME_BY_KEY
from syncagent.config.values import did_you_mean, name

FORM = "write NAME=DIR or NAME=DIR,key=value"


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume before its values are parsed. ``label`` says where it is written."""

    name: str
    path: str
    settings: Mapping[str, str]
    label: str


def split(text: str, label: str) -> Volume:
    """Take ``NAME=DIR,key=value,...`` apart. The comma of ``brake=100,25%`` belongs to its value."""
    first, *rest = re.sub(r"(,brake=[0-9]+),(?=[0-9]+%(?:,|$))", r"\1:", text).split(",")
    volume, separator, path = first.partition("=")
    if not separator:
        raise ValueError(f"has no directory; {FORM}")
    settings: dict[str, str] = {}
    for part in rest:
        key, separator, value = part.partition("=")
        if not separator:
            raise ValueError(f"has {part!r}, which is no key=value; a directory with a comma goes into a config file")
        key = key.strip().replace("-", "_")
        if key in settings:
            raise ValueError(f"has {key} twice; remove one")
        settings[key] = value.strip()
    return Volume(volume, path, settings, label)


def table_volumes(tables: Mapping[str, Any], label: str, problems: list[str]) -> Iterator[Volume]:
    """The tables below ``[volumes]``; what is no volume is a problem."""
    for volume, table in tables.items():
        if not isinstance(table, dict):
            problems.append(f'{label}: {volume!r} must be a table; write [volumes.{volume}] and path = "DIR" below it')
            continue
        settings = {key.replace("-", "_"): _text(value) for key, value in table.items()}
        if isinstance(table.get("path"), str):
            yield Volume(volume, settings.pop("path"), settings, label)
        else:
            problems.append(f'{label}: volume {volume!r} has no path, or none in quotes; write path = "DIR"')


def build(volume: Volume, path: str, problems: list[str]) -> VolumeConfig | None:
    """Parse the values; ``path`` is the absolute directory. None, and at least one problem, if something is wrong."""
    where = f"{volume.label}: volume {volume.name!r}"
    faults = len(problems)
    try:
        name(volume.name)
    except ValueError as error:
        problems.append(f"{where} {error}")
    values: dict[str, Any] = {}
    for key, text in volume.settings.items():
        option = VOLUME_BY_KEY.get(key)
        if option is None:
            hint = did_you_mean(key, VOLUME_BY_KEY) or f"; known are {', '.join(VOLUME_BY_KEY)}"
            problems.append(f"{where} has no option {key!r}{hint}")
            continue
        try:
            values[key] = option.parse(text)
        except ValueError as error:
            problems.append(f"{where}: {key} {text!r} {error}")
    if len(problems) > faults:
        return None
    return VolumeConfig(volume.name, os.fsencode(path), **values)


def _text(value: Any) -> str:
    """What is neither text nor number is left to the option's parser to refuse, which names the forms it takes."""
    return value if isinstance(value, str) else f"{value}"
