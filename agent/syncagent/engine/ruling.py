"""The ignore rules of a volume, read from its own ``.syncignore``."""

from __future__ import annotations

from collections.abc import Iterable

from syncagent.core.ignore import IGNORE_FILE, IgnoreRules
from syncagent.core.transition import Change
from syncagent.engine.context import Context
from syncproto.model import Entry, Kind


def load_rules(context: Context) -> bool:
    """Read the rules; True if they are others now. Where the file cannot be read, the rules stay as they are."""
    context.has_new_rules = False
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


def is_ignored(context: Context, entry: Entry) -> bool:
    """Whether an entry is only relayed: a rule may be for directories only."""
    return context.rules.ignores(entry.path, is_directory=entry.kind == Kind.DIRECTORY)


def applied_here(context: Context, changes: Iterable[Change]) -> list[Change]:
    """Those changes of a decision that the disk follows: what is ignored is not touched."""
    return [change for change in changes if not is_change_ignored(context, change)]


def is_change_ignored(context: Context, change: Change) -> bool:
    """Whether a change is of something ignored: what there is after it, or was before."""
    entry = change.after if change.is_live or change.before is None else change.before
    return entry is not None and is_ignored(context, entry)
