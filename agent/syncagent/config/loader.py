"""One configuration from all sources: flag before environment before config file before default."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from syncagent.config import checks, sources, volumes
from syncagent.config.model import Config, ConfigError, Source, VolumeConfig
from syncagent.config.options import OPTIONS, VOLUME_OPTIONS, Option
from syncagent.config.sources import Given, Layer, ReadFile, read_bytes


@dataclass(slots=True)
class Draft:
    """A configuration that may have problems. A value that could not be used is in ``rejected`` as it was written,
    and stands at its default in ``config``, so that the rest can still be checked and shown."""

    config: Config
    problems: list[str]
    rejected: dict[str, str] = field(default_factory=dict)


def load(flags: Mapping[str, object], environ: Mapping[str, str], read_file: ReadFile = read_bytes) -> Config:
    """The configuration; ``flags`` as from ``vars(namespace)``. Raises ConfigError with the problems of all sources."""
    draft = draft_config(flags, environ, read_file)
    if draft.problems:
        raise ConfigError(draft.problems)
    return draft.config


def draft_config(flags: Mapping[str, object], environ: Mapping[str, str], read_file: ReadFile = read_bytes) -> Draft:
    """As ``load``, but what is wrong is in the result: this is what ``syncagent config`` shows."""
    config, gathering = _gather(flags, environ, read_file)
    findings = checks.rules(config, read_file)
    findings.add(checks.disk(config))
    config = dataclasses.replace(config, warnings=(*gathering.warnings, *findings.warnings))
    return Draft(config, gathering.problems + findings.problems, gathering.rejected)


class _Gathering:
    """Collects values, and with them where they come from and what was wrong."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self.rejected: dict[str, str] = {}
        self.sources: dict[str, Source] = {}

    def layers(self, flags: Mapping[str, object], read_file: ReadFile) -> list[Layer]:
        """All sources, the strongest first."""
        file = sources.config_path(flags, self.environ)
        return [
            sources.from_flags(flags, self.problems),
            sources.from_environ(self.environ, self.problems, self.warnings),
            sources.from_file(file, read_file, self.problems),
        ]

    def value(self, option: Option, layers: list[Layer]) -> Any:
        """The parsed value of the first layer that has the option, else its default."""
        given = next((layer[option.key] for layer in layers if option.key in layer), None)
        self.sources[option.key] = given.source if given else "default"
        if option.key == "volumes":
            return self._volumes(given)
        if option.plural:
            parsed = [self._parse(option, str(item), given) for item in given.items] if given else []
            return tuple(dict.fromkeys(value for value in parsed if value is not None))
        value = self._parse(option, str(given.items[-1]), given) if given and given.items else None
        if given and not given.items:
            self.rejected[option.key] = "not a text"
        return self._default(option) if value is None else value

    def _default(self, option: Option) -> Any:
        try:
            text = option.computed(self.environ) if option.computed else option.default
        except ValueError as error:
            if option.key not in self.rejected:
                self.problems.append(f"{option.flag} {error}")
            return ""
        return None if text is None else option.parse(text)

    def _parse(self, option: Option, text: str, given: Given) -> Any:
        try:
            return option.parse(self._absolute(text, given.base) if option.is_path else text)
        except ValueError as error:
            self.problems.append(f"{given.label} {text!r} {error}")
            self.rejected[option.key] = " ".join(str(item) for item in given.items)
            return None

    def _volumes(self, given: Given | None) -> tuple[VolumeConfig, ...]:
        built: list[VolumeConfig | None] = []
        for item in given.items if given else ():
            if isinstance(item, volumes.Volume) and given:
                built.append(self._volume(item, given))
            else:
                self.rejected["volumes"] = str(item)
        if not any(built) and not self._is_explained(given):
            self.problems.append("no volume is given; add --volume NAME=DIR (or SYNCAGENT_VOLUMES, or [volumes.NAME])")
        return tuple(volume for volume in built if volume is not None)

    def _is_explained(self, given: Given | None) -> bool:
        """Whether another problem says already why there is no volume."""
        cause = given.label if given else "config file "
        return any(problem.startswith(cause) for problem in self.problems)

    def _volume(self, item: volumes.Volume, given: Given) -> VolumeConfig | None:
        path = ""
        try:
            path = "" if item.path is None else self._absolute(item.path, given.base)
        except ValueError as error:
            self.problems.append(f"{item.label}: volume {item.name!r}: directory {item.path!r} {error}")
        volume = volumes.build(item, path, self.problems)
        if volume is None or not path:
            self.rejected[f"volumes.{item.name}"] = item.path or ""
            return None
        self.sources[f"volumes.{item.name}.path"] = given.source
        for option in VOLUME_OPTIONS:
            key = f"volumes.{item.name}.{option.key}"
            self.sources[key] = given.source if option.key in item.settings else "default"
        return volume

    def _absolute(self, text: str, base: str) -> str:
        if not text or "\0" in text:
            raise ValueError("is empty; name a path" if not text else "has a NUL byte in it; name a path")
        home = self.environ.get("HOME", "")
        if (text == "~" or text.startswith("~/")) and os.path.isabs(home):
            text = home + text[1:]
        try:
            return os.path.abspath(os.path.join(base, text))
        except OSError as error:
            raise ValueError(f"is relative to a working directory that is gone ({error.strerror})") from None


def reload(
    config: Config, environ: Mapping[str, str] | None = None, read_file: ReadFile = read_bytes
) -> tuple[Config, list[str]]:
    """Read everything again, for SIGHUP: the new configuration, and the changed options that need a restart.

    Those keep their old values in the result. Raises ConfigError when something is wrong; the old configuration stands.
    What is in the secret and token files is read by who uses them, again after each reload. The directories are not
    looked at: a volume in trouble halts by itself, and must not keep, say, the log level from being changed.
    """
    fresh, gathering = _gather(config.flags, os.environ if environ is None else environ, read_file)
    if gathering.problems:
        raise ConfigError(gathering.problems)
    refused: list[str] = []
    values: dict[str, Any] = {"volumes": _reload_volumes(config, fresh, refused)}
    for option in OPTIONS:
        old, new = getattr(config, option.key), getattr(fresh, option.key)
        if option.key != "volumes" and old != new and not _may_change(option, old, new):
            refused.append(option.key)
            values[option.key] = old
    kept = {key: source for key, source in config.sources.items() if _is_below(key, refused)}
    merged = dataclasses.replace(fresh, **values, sources={**fresh.sources, **kept})
    findings = checks.rules(merged, read_file)
    if findings.problems:
        raise ConfigError(findings.problems)
    return dataclasses.replace(merged, warnings=(*gathering.warnings, *findings.warnings)), refused


def _gather(flags: Mapping[str, object], environ: Mapping[str, str], read_file: ReadFile) -> tuple[Config, _Gathering]:
    gathering = _Gathering(environ)
    layers = gathering.layers(flags, read_file)
    values = {option.key: gathering.value(option, layers) for option in OPTIONS}
    return Config(**values, sources=gathering.sources, flags=dict(flags)), gathering


def _may_change(option: Option, old: object, new: object) -> bool:
    """Having a secret at all decides how every socket is made; only which one may change."""
    return option.on_sighup and not (option.is_path and None in (old, new))


def _reload_volumes(config: Config, fresh: Config, refused: list[str]) -> tuple[VolumeConfig, ...]:
    news = {volume.name: volume for volume in fresh.volumes}
    olds = {volume.name: volume for volume in config.volumes}
    refused.extend(f"volumes.{name}" for name in sorted(olds.keys() ^ news.keys()))
    return tuple(_reload_volume(old, news.get(name, old), refused) for name, old in olds.items())


def _reload_volume(old: VolumeConfig, new: VolumeConfig, refused: list[str]) -> VolumeConfig:
    taken = {option.key: getattr(new, option.key) for option in VOLUME_OPTIONS if option.on_sighup}
    merged = dataclasses.replace(old, **taken)
    names = [part.name for part in dataclasses.fields(VolumeConfig)]
    refused.extend(f"volumes.{old.name}.{name}" for name in names if getattr(merged, name) != getattr(new, name))
    return merged


def _is_below(key: str, refused: list[str]) -> bool:
    return any(key == item or key.startswith(item + ".") for item in refused)
