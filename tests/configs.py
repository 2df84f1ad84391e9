"""What the tests of the configuration share: a place with directories, flags that are enough, and expected problems."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from syncagent.config import ConfigError, load

SECRET = b"0123456789abcdef0123456789abcdef\n"


def make_place(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the directories data and media."""
    for name in ("data", "media"):
        (path / name).mkdir()
    monkeypatch.chdir(path)
    return path


def flags(**more: object) -> dict[str, object]:
    return {"volumes": ["data=data"], "state_dir": "state", **more}


def problems(given: Mapping[str, object], environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(given, environ or {})
    return caught.value.problems


def problem(given: Mapping[str, object], environ: Mapping[str, str] | None = None) -> str:
    (sentence,) = problems(given, environ)
    return sentence


def write(name: str, content: str | bytes, mode: int = 0o600) -> str:
    path = Path(name)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return name
