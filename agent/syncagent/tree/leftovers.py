"""What an interrupted process left in the staging directory."""

from __future__ import annotations

import os
import re
from contextlib import suppress

from syncagent.disk.syscalls import rename_new
from syncagent.tree.displaced import Displaced
from syncagent.tree.private import discard
from syncagent.tree.staging import PART

_CONTENT = re.compile(rb"[0-9a-f]{64}")
_PART = re.compile(rb"[0-9a-f]{64}\.part")


def sweep(directory: int, displaced: Displaced, *, keeps_parts: bool = True) -> None:
    """Deal with every leftover. Complete contents become parts: they are trusted only after another look."""
    with os.scandir(directory) as entries:
        names = [os.fsencode(entry.name) for entry in entries]
    for name in names:
        if name in displaced.names or displaced.recover(directory, name):
            continue
        if keeps_parts and _PART.fullmatch(name):
            continue
        if keeps_parts and _CONTENT.fullmatch(name):
            with suppress(FileExistsError):
                rename_new(directory, name, directory, name + PART)
                continue
        with suppress(OSError):  # not ours, and not empty: it stays, and the directory with it
            discard(directory, name)
