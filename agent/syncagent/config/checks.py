"""Rules between options, and what must be true of the disk before the agent starts."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from itertools import combinations

from syncagent.config.model import Config, ConfigError, Endpoint, VolumeConfig
from syncagent.config.options import BY_KEY, label
from syncagent.config.sources import ReadFile, read_bytes

SECRET_BYTES_MIN = 32
MANAGED_SECRETS = "/run/secrets/"
"""Where container engines put secrets that root owns; their mode is not the user's to choose."""


@dataclass(slots=True)
class Findings:
    """Sentences: problems forbid a start, warnings do not."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, other: Findings) -> None:
        self.problems += other.problems
        self.warnings += other.warnings


def rules(config: Config, read_file: ReadFile) -> Findings:
    """What must hold between options, and of the secrets: at the start and after each reload."""
    findings = Findings()
    for key, path, remedy in (
        ("secret_file", config.secret_file, "make one with `syncctl keygen`"),
        ("http_token_file", config.http_token_file, f"fill it with at least {SECRET_BYTES_MIN} random characters"),
    ):
        if path is not None:
            _check_secret(f"{_name(config, key)}:", path, remedy, findings, read_file)
    findings.problems += _exposed(config)
    for volume in config.volumes:
        findings.problems += _unsupported(volume, _where(config, volume))
    return findings


def disk(config: Config) -> Findings:
    """What must be true of directories before the agent starts."""
    findings = Findings()
    _check_state_dir(config, findings)
    for volume in config.volumes:
        _check_directory(volume, config, findings)
    _check_places(config, findings)
    return findings


def read_secret(path: str, read_file: ReadFile = read_bytes) -> bytes:
    """The content of a secret or token file without the white space around it. Raises ConfigError."""
    try:
        secret = read_file(path).strip()
    except OSError as error:
        raise ConfigError([f"{path!r} cannot be read: {error.strerror or error}"]) from None
    if len(secret) < SECRET_BYTES_MIN:
        raise ConfigError([f"{path!r} holds {len(secret)} characters; at least {SECRET_BYTES_MIN} are needed"])
    return secret


def exposure(path: str, mode: int, uid: int) -> tuple[str | None, bool]:
    """What is wrong with the permissions of a secret's file, if anything, and whether that is only to be warned of."""
    if not mode & 0o077:
        return None, False
    text = f"{path!r} may be read by others than its owner (mode {stat.S_IMODE(mode):04o})"
    if uid == 0 and os.path.realpath(path).startswith(MANAGED_SECRETS):
        return text, True
    return f"{text}; run: chmod 600 {path}", False


def _name(config: Config, key: str) -> str:
    return label(BY_KEY[key], config.sources.get(key, "flag"), config.config)


def _where(config: Config, volume: VolumeConfig) -> str:
    return f"{_name(config, 'volumes')}: volume {volume.name!r}"


def _check_secret(where: str, path: str, remedy: str, findings: Findings, read_file: ReadFile) -> None:
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            findings.problems.append(f"{where} {path!r} is not a regular file; {remedy}")
            return
        read_secret(path, read_file)
    except FileNotFoundError:
        findings.problems.append(f"{where} {path!r} does not exist; {remedy}")
        return
    except OSError as error:
        findings.problems.append(f"{where} {path!r} cannot be read: {error.strerror}; correct the path or its owner")
        return
    except ConfigError as error:
        findings.problems.extend(f"{where} {problem}; {remedy}" for problem in error.problems)
    text, is_managed = exposure(path, found.st_mode, found.st_uid)
    if text:
        (findings.warnings if is_managed else findings.problems).append(f"{where} {text}")


def _exposed(config: Config) -> list[str]:
    """Without a secret nobody is authenticated, so only this machine may be at the other end of a connection."""
    problems = []
    if config.secret_file is None:
        reached = [("listen", config.listen)] if config.listen else []
        reached += [("peers", peer) for peer in config.peers]
        problems += [
            f"{_name(config, key)} {endpoint.tcp} is not on loopback, which needs a secret shared by all agents: "
            f"make one with `syncctl keygen` and give it to each with --secret-file FILE"
            for key, endpoint in reached
            if endpoint and not endpoint.is_loopback
        ]
    if config.http and not config.http.is_loopback and config.http_token_file is None:
        problems.append(
            f"{_name(config, 'http')} {config.http} is not on loopback, which needs a token: "
            "give --http-token-file FILE"
        )
    if config.listen and config.http and _collide(config.listen, config.http):
        problems.append(
            f"{_name(config, 'http')} {config.http} is where {_name(config, 'listen')} {config.listen.tcp} listens "
            "already; choose another port"
        )
    return problems


def _collide(left: Endpoint, right: Endpoint) -> bool:
    same_host = left.host == right.host or left.is_wildcard or right.is_wildcard
    return left.port == right.port != 0 and same_host


def _check_state_dir(config: Config, findings: Findings) -> None:
    if not config.state_dir:
        return
    path = config.state_dir
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    name = f"{_name(config, 'state_dir')} {config.state_dir!r}"
    if not os.path.isdir(path):
        findings.problems.append(f"{name}: {path!r} is not a directory; choose another --state-dir")
    elif not os.access(path, os.W_OK | os.X_OK):
        findings.problems.append(
            f"{name} is not writable for user {os.getuid()} ({path!r}); change its owner or choose another --state-dir"
        )


def _unsupported(volume: VolumeConfig, where: str) -> list[str]:
    problems = []
    if volume.direction != "two-way":
        problems.append(f"{where}: direction={volume.direction} is not supported yet; use direction=two-way")
    if volume.first_join != "merge":
        problems.append(f"{where}: first_join={volume.first_join} is not supported yet; use first_join=merge")
    return problems


def _check_directory(volume: VolumeConfig, config: Config, findings: Findings) -> None:
    where, path = _where(config, volume), os.fsdecode(volume.path)
    try:
        is_directory = stat.S_ISDIR(os.stat(path).st_mode)
    except FileNotFoundError:
        _check_absent(f"{where}: directory {path!r} does not exist", config, findings)
        return
    except OSError as error:
        findings.problems.append(f"{where}: directory {path!r} cannot be opened: {error.strerror}; correct the path")
        return
    if not is_directory:
        _check_absent(f"{where}: {path!r} is not a directory", config, findings)
    elif not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        findings.problems.append(
            f"{where}: directory {path!r} cannot be read and written by user {os.getuid()}; change its owner or "
            "mode, mount it writable, or run the agent as the user who owns it"
        )


def _check_absent(what: str, config: Config, findings: Findings) -> None:
    """A volume that is gone after it was in use is not a mistyped flag: the agent starts, and halts that volume."""
    if _is_used(config.state_dir):
        findings.warnings.append(f"{what}; mount or restore it")
    else:
        findings.problems.append(f"{what}; create the directory or correct the path")


def _is_used(state_dir: str) -> bool:
    try:
        return bool(os.listdir(state_dir))
    except OSError:
        return False


def _check_places(config: Config, findings: Findings) -> None:
    """Names and directories exclude each other: a file belongs to at most one volume, and the state to none."""
    name = _name(config, "volumes")
    for left, right in combinations(config.volumes, 2):
        if left.name == right.name:
            findings.problems.append(f"{name}: volume {left.name!r} is given twice; name each volume once")
        elif _is_inside(right.path, left.path):
            findings.problems.append(_overlap(name, right, left))
        elif _is_inside(left.path, right.path):
            findings.problems.append(_overlap(name, left, right))
    for volume in config.volumes:
        if config.state_dir and _is_inside(os.fsencode(config.state_dir), volume.path):
            findings.problems.append(
                f"{_name(config, 'state_dir')} {config.state_dir!r} is inside volume {volume.name!r} "
                f"({os.fsdecode(volume.path)!r}); choose a directory outside every volume"
            )


def _overlap(name: str, inner: VolumeConfig, outer: VolumeConfig) -> str:
    return (
        f"{name}: volume {inner.name!r} ({os.fsdecode(inner.path)!r}) is inside or the same as volume {outer.name!r} "
        f"({os.fsdecode(outer.path)!r}); volumes may not overlap"
    )


def _is_inside(inner: bytes, outer: bytes) -> bool:
    """By path and, where both exist, by identity of directories, which sees through links and bind mounts."""
    path, top = os.path.realpath(inner), os.path.realpath(outer)
    while True:
        if path == top or _is_same_directory(path, top):
            return True
        if path == os.path.dirname(path):
            return False
        path = os.path.dirname(path)


def _is_same_directory(left: bytes, right: bytes) -> bool:
    try:
        return os.path.samefile(left, right)
    except OSError:
        return False
