"""The agent's configuration: read by ``load`` from flags, environment and a TOML file; re-read by ``reload``."""

from __future__ import annotations

from syncagent.config.checks import read_secret
from syncagent.config.loader import Draft, draft_config, load, reload
from syncagent.config.model import Brake, Config, ConfigError, Endpoint, VolumeConfig
from syncagent.config.options import OPTIONS, VOLUME_OPTIONS, Option
from syncagent.config.report import listing, markdown

__all__ = [
    "OPTIONS",
    "VOLUME_OPTIONS",
    "Brake",
    "Config",
    "ConfigError",
    "Draft",
    "Endpoint",
    "Option",
    "VolumeConfig",
    "draft_config",
    "listing",
    "load",
    "markdown",
    "read_secret",
    "reload",
]
