"""The ignore rules of a volume, read from its own ``.syncignore``."""

from __future__ import annotations

from syncagent.core.ignore import IGNORE_FILE, IgnoreRules
from syncagent.engine.context import Context


def load_rules(context: Context) -> bool:
    """Read the rules; True if they are others now. Where the file cannot be read, the rules stay as they are."""
    try:
        text = context.scanner.read_ignore_file() or b""
    except OSError as error:
        context.problems.add(
            "rules",
            f".syncignore cannot be read: {error.strerror or error}",
            remedy="make it readable",
            path=IGNORE_FILE,
            wall_ns=context.clock.wall_ns(),
        )
        return False
    context.problems.clear("rules", IGNORE_FILE)
    is_new = text != context.rules.text
    if is_new:
        context.rules = IgnoreRules(text)
        context.problems.clear_ignored(context.rules.ignores)
    for fault in context.rules.faults:
        context.problems.add(
            "rules", fault, remedy="correct the line", path=IGNORE_FILE, wall_ns=context.clock.wall_ns()
        )
    if is_new:
        context.index.recount()
        context.is_changed = True
    return is_new
