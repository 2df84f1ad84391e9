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
    """A volume before its values are parsed.

    ``label`` says where it is written. ``path`` is None without one; then ``is_named`` tells whether the name is one,
    or rather a directory that was given without a name.
    """

    name: str
    path: str | None
    settings: Mapping[str, str]
    label: str
    is_named: bool = True


def split(text: str, label: str, problems: list[str]) -> Volume:
    """Take ``NAME=DIR,key=value,...`` apart. The comma of ``brake=100,25%`` belongs to its value."""
    where = f"{label} {text!r}"
    first, *rest = re.sub(r"(,brake=[0-9]+),(?=[0-9]+%(?:,|$))", r"\1:", text).split(",")
    volume, separator, path = first.partition("=")
    if not separator:
        problems.append(f"{where} has no directory; {FORM}")
    settings: dict[str, str] = {}
    for part in rest:
        key, is_pair, value = part.partition("=")
        key = key.strip().replace("-", "_")
        if not is_pair:
            advice = "a directory with a comma goes into a config file"
            problems.append(f"{where} has {part!r}, which is no key=value; {advice}")
        elif key in settings:
            problems.append(f"{where} has {key} twice; remove one")
        else:
            settings[key] = value.strip()
    return Volume(volume, path if separator else None, settings, label, is_named=bool(separator))


def table_volumes(tables: Mapping[str, Any], label: str, problems: list[str]) -> Iterator[Volume]:
    """The tables below ``[volumes]``; what is no volume is a problem."""
    for volume, table in tables.items():
        if not isinstance(table, dict):
            problems.append(f'{label}: {volume!r} must be a table; write [volumes.{volume}] and path = "DIR" below it')
            continue
        settings = {key.replace("-", "_"): _text(value) for key, value in table.items() if key != "path"}
        path = table.get("path")
        if not isinstance(path, str):
            problems.append(f'{label}: volume {volume!r} has no path, or none in quotes; write path = "DIR"')
            path = None
        yield Volume(volume, path, settings, label)


def build(volume: Volume, path: str, problems: list[str]) -> VolumeConfig | None:
    """Parse the values; ``path`` is the absolute directory. None, and at least one problem, if something is wrong."""
    where = f"{volume.label}: volume {volume.name!r}"
    faults = len(problems)
    if volume.is_named:
        try:
            name(volume.name)
        except ValueError as error:
            problems.append(f"{where} {error}")
    values: dict[str, Any] = {}
    for key, text in volume.settings.items():
        option = VOLUME_BY_KEY.get(key)
        if option is None:
            hint = did_you_mean(key, [*VOLUME_BY_KEY, "path"]) or f"; known are {', '.join(VOLUME_BY_KEY)}"
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
