"""``syncctl keygen``: the secret that all agents of a cluster share, or a token for the HTTP API."""

from __future__ import annotations

import errno
import os
import secrets

import click

from syncagent.cli import exits
from syncagent.cli.base import command
from syncagent.cli.exits import CommandError
from syncagent.cli.output import say

SECRET_BYTES = 48
"""Of randomness: 64 characters that are safe in URLs and shells."""

NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
"""What file systems without hard links answer."""

EXAMPLE = """\
syncctl keygen cluster.secret
syncctl keygen - | docker secret create cluster_secret -
"""
CODES = {exits.YES: "written", exits.FAILED: "the file exists or cannot be written"}


@command("keygen", EXAMPLE, CODES)
@click.option("--if-missing", is_flag=True, help="It is no error if FILE exists: it is left as it is.")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
def keygen(if_missing: bool, file: str) -> int:
    """Write a new secret to FILE, which nobody else can read, or with - to standard output."""
    if file == "-":
        click.echo(new_secret())
    elif write_secret(file):
        say(f"wrote a new secret to {file}: give this file to every agent with --secret-file")
    elif not if_missing:
        raise CommandError(f"{file} exists and is not overwritten; name another file, or say --if-missing to keep it")
    return exits.YES


def new_secret() -> str:
    """64 random characters."""
    return secrets.token_urlsafe(SECRET_BYTES)


def write_secret(file: str) -> bool:
    """Write a new secret to ``file``; False if it exists. Nobody ever sees a part of it. Raises CommandError."""
    aside = f"{file}.{secrets.token_hex(4)}.new"
    try:
        _write(aside, f"{new_secret()}\n")
        try:
            os.link(aside, file)  # unlike a rename it replaces nothing
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            _write(file, f"{new_secret()}\n")
        finally:
            os.unlink(aside)
    except FileExistsError:
        return False
    except OSError as error:
        raise CommandError(f"cannot write {file}: {error.strerror}; name a file in a directory of yours") from None
    return True


def _write(file: str, text: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as written:
        written.write(text)
        written.flush()
        os.fsync(descriptor)
