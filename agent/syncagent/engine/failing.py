"""When the disk says no: what was half done is taken back, and a directory may stay for what it holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from syncagent.core.plan import Keep, MakeDirectory, Move, Remove, Step
from syncagent.core.transition import Change
from syncagent.engine.context import Context
from syncagent.ports import Applied, Listing, Outcome
from syncproto.model import Kind, Path

LookAgain = Callable[[Path, float], None]


def undo(context: Context, look_again: LookAgain, steps: Sequence[Step], outcomes: Sequence[Outcome]) -> None:
    """Take back what would look like a user's act: second names, and new directories. The last name always stays."""
    done = [(step, out) for step, out in zip(steps, outcomes, strict=False) if isinstance(out, Applied)]
    for number, (step, outcome) in reversed(list(enumerate(done))):
        if isinstance(step, MakeDirectory):
            context.tree.apply([Remove(step.path, outcome.stat, Kind.DIRECTORY)])
        elif isinstance(step, Keep):
            is_displaced = any(later.path == step.path for later, _ in done[number + 1 :])
            back = Move(step.to, outcome.stat, step.path) if is_displaced else Remove(step.to, outcome.stat, Kind.FILE)
            if not isinstance(context.tree.apply([back])[-1], Applied):
                look_again(step.to, context.now)
            look_again(step.path, context.now)
    context.is_applied = True


def give_back_residues(context: Context, look_again: LookAgain, changes: Sequence[Change]) -> bool:
    """Whether a directory that stayed for what it holds is to be there again: a look takes it for the new one."""
    back = [c.path for c in changes if c.path in context.residues and c.after and c.after.kind == Kind.DIRECTORY]
    for path in back:
        context.residues.discard(path)
        context.index.drop_residue(path)
        context.is_changed = True
        look_again(path, context.now)
    return bool(back)


def is_residue(context: Context, look_again: LookAgain, path: Path) -> bool:
    """Whether only what is not replicated is left in a directory; anything else is marked to be looked at."""
    listing = context.scanner.list_directory(path)
    if not isinstance(listing, Listing) or not (listing.children or listing.unsupported):
        return False  # nothing is left by now
    unknown = [
        child
        for child in (path + b"/" + name for name, _ in listing.children)
        if child not in context.residues
        and not context.rules.ignores(child)
        and not context.rules.ignores(child, is_directory=True)
    ]
    for child in unknown:
        look_again(child, context.now)
    return not unknown
