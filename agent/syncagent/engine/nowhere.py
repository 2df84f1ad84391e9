"""Stands in for the disk of a volume whose root cannot be opened: whatever is asked of it, the root is gone."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import NoReturn, cast

from syncagent.ports import Scanner, Tree


class _Nowhere:
    def __init__(self, error: OSError) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        def gone(*arguments: object) -> NoReturn:
            code = self._error.errno or errno.ENOENT
            raise OSError(code, os.strerror(code))

        return gone


def nowhere(error: OSError) -> tuple[Scanner, Tree]:
    """A scanner and a tree that raise this error again."""
    absent = _Nowhere(error)
    return cast(Scanner, absent), cast(Tree, absent)
