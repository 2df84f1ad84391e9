"""What flags, environment and config file say, as raw texts; strict about names that nobody knows."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os.path import abspath, dirname
from typing import Any

from syncagent.config.model import Source
from syncagent.config.options import BY_KEY, OPTIONS, PREFIX, Option, label
from syncagent.config.values import did_you_mean
from syncagent.config.volumes import Volume, split, table_volumes

FOREIGN = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\w+)?|HOST|ENV_\w+)")
"""What Docker links and Kubernetes services add for a service that is itself called syncagent."""


@dataclass(frozen=True, slots=True)
class Given:
    """What one source says about one option; of volumes, what cannot be taken apart stays a text.

    Relative paths are taken from ``base`` ("": the working directory).
    """

    items: tuple[str | Volume, ...]
    source: Source
    label: str
    base: str = ""


Layer = dict[str, Given]
ReadFile = Callable[[str], bytes]


def read_bytes(path: str) -> bytes:
    """The content of a file; raises OSError."""
    with open(path, "rb") as file:
        return file.read()


def from_flags(flags: Mapping[str, object], problems: list[str]) -> Layer:
    """``flags`` as argparse leaves them: a text, a list of texts, or None where the flag was not given."""
    layer: Layer = {}
    for option in OPTIONS:
        value = flags.get(option.key)
        if value is None or value == []:
            continue
        texts = [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)]
        layer[option.key] = Given(_items(option, texts, option.flag, problems), "flag", option.flag)
    return layer


def from_environ(environ: Mapping[str, str], problems: list[str], warnings: list[str]) -> Layer:
    """Variables that are empty count as not set, so that a compose file can pass them on unconditionally."""
    layer: Layer = {}
    for option in OPTIONS:
        text = environ.get(option.variable, "").strip()
        if text:
            texts = re.findall(r"[^ \t\r\n]+", text) if option.plural else [text]
            items = _items(option, texts, option.variable, problems)
            layer[option.key] = Given(items, "environment", option.variable)
    _unknown_variables(environ, problems, warnings)
    return layer


def from_file(path: str | None, read_file: ReadFile, problems: list[str]) -> Layer:
    """The TOML file's layer; a file that cannot be read or parsed is one problem and an empty layer."""
    if path is None:
        return {}
    try:
        document = tomllib.loads(read_file(path).decode())
    except OSError as error:
        problems.append(f"config file {path!r} cannot be read: {error.strerror or error}; check --config")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        problems.append(
            f"config file {path!r} is not valid TOML: {error}; correct it there, nothing of the file was used"
        )
    else:
        return _layer_of(document, path, problems)
    return {}


def _items(option: Option, texts: list[str], name: str, problems: list[str]) -> tuple[str | Volume, ...]:
    if option.key != "volumes":
        return tuple(texts)
    return tuple(split(text, name, problems) for text in texts)


def _unknown_variables(environ: Mapping[str, str], problems: list[str], warnings: list[str]) -> None:
    known = [option.variable for option in OPTIONS]
    words = [variable.removeprefix(PREFIX) for variable in known]
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in known or FOREIGN.fullmatch(variable):
            continue
        if hint := did_you_mean(variable.removeprefix(PREFIX), words, cutoff=0.75):
            hint = hint.replace("mean ", f"mean {PREFIX}")
            problems.append(f"the variable {variable} is not known{hint} (unset it if it is meant for something else)")
        else:
            warnings.append(f"the variable {variable} is not known to syncagent and has no effect")


def _layer_of(document: Mapping[str, Any], path: str, problems: list[str]) -> Layer:
    known = {option.key: option for option in OPTIONS if option.in_file}
    layer: Layer = {}
    for written, value in document.items():
        option = known.get(written.replace("-", "_"))
        if option is None:
            problems.append(f"{written!r} in {path} is no key of the config file{_hint(written, list(known))}")
        elif option.key in layer:
            problems.append(f"{option.key!r} in {path} is there twice, once with - and once with _; remove one")
        else:
            name = label(option, "config file", path)
            items = _items_of(option, value, name, problems)
            layer[option.key] = Given(items, "config file", name, dirname(abspath(path)))
    return layer


def _hint(written: str, known: list[str]) -> str:
    if written.replace("-", "_") == "config":
        return "; a config file cannot name another"
    for option in OPTIONS:
        if written == option.flag.removeprefix("--") and option.plural:
            return f"; did you mean {option.plural}?"
    return did_you_mean(written.replace("-", "_"), known) or f"; known are {', '.join(known)}"


def _items_of(option: Option, value: Any, name: str, problems: list[str]) -> tuple[str | Volume, ...]:
    if option.key == "volumes" and isinstance(value, dict):
        return tuple(table_volumes(value, name, problems))
    if isinstance(value, list) and option.plural:
        entries = value
    elif isinstance(value, list | dict):
        problems.append(f"{name} must be a single value, not a {'list' if isinstance(value, list) else 'table'}")
        return ()
    else:
        entries = [value]
    texts = [text for entry in entries if (text := scalar(entry, name, problems)) is not None]
    return _items(option, texts, name, problems)


def scalar(value: Any, name: str, problems: list[str]) -> str | None:
    """A TOML value as the text that a flag would have had; numbers may stand for durations."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value}"
    problems.append(f"{name} must be a text in quotes, not {value!r}")
    return None


def config_path(flags: Mapping[str, object], environ: Mapping[str, str]) -> str | None:
    """The config file: it must be known before the other options are."""
    option = BY_KEY["config"]
    given = flags.get(option.key) or environ.get(option.variable, "").strip()
    return str(given) if given else None
