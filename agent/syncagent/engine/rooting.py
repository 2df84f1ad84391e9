"""The mode and owner of a volume's root: a metadata register of its own, which travels with the member list.

The root is no entry: it is never created, renamed or deleted. What a first look finds ranks lowest, an empty volume's
root below that of one with files, so that a new replica takes over what is there.
"""

from __future__ import annotations

import msgspec

from syncagent.core.plan import StatKey
from syncagent.engine.context import Context
from syncagent.engine.problems import printable
from syncproto.model import PLACEHOLDER, Attributes, Metadata

REGISTER_KEY = "root-register"
SEEN_KEY = "root-seen"


class RootAttributes:
    """Watches and applies the root's mode and owner."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @property
    def register(self) -> Metadata:
        """The best known register."""
        kept = self._context.index.get(REGISTER_KEY)
        return msgspec.msgpack.decode(kept, type=Metadata) if kept else PLACEHOLDER

    def observed(self, stat: StatKey, *, has_children: bool) -> bool:
        """The root was listed: True if a user has changed it, and peers must be told."""
        context, index = self._context, self._context.index
        here = Attributes(stat.mode & 0o777, stat.uid, stat.gid)
        kept = index.get(SEEN_KEY)
        if kept is not None and msgspec.msgpack.decode(kept, type=Attributes) == here:
            if self.register.value in (None, here):
                context.problems.clear("root-attributes")
            else:
                self._apply(self.register)  # it could not be set before
            return False
        stamp = (2 if has_children else 1) if kept is None else context.clock.wall_ns()
        register = self.register
        if kept is not None:
            stamp = max(stamp, register.stamp + 1)
        self._see(here)
        mine = Metadata(here, stamp, index.origin, 1, (index.origin, 1))
        if mine.rank <= register.rank:
            self._apply(register)
            return False
        self._keep(mine)
        return True

    def reset(self) -> None:
        """The next look is a first one."""
        self._context.index.set(SEEN_KEY, None)
        self._context.index.set(REGISTER_KEY, None)

    def heard(self, theirs: Metadata) -> bool:
        """A peer's register: True if it was news."""
        if theirs.value is None or theirs.rank <= self.register.rank or self._context.halt:
            return False
        self._keep(theirs)
        if self._context.index.get(SEEN_KEY) is not None:
            self._apply(theirs)
        return True

    def _apply(self, register: Metadata) -> None:
        context, wanted = self._context, register.value
        if wanted is None or context.halt:
            return
        try:
            actual = context.tree.dress_root(wanted)
            self._see(actual)
            reason = "" if actual == wanted else "not permitted"
        except OSError as error:
            reason = error.strerror or str(error)
        if reason:
            context.problems.add(
                "root-attributes",
                f"the mode or owner of {printable(context.options.path)} cannot be set: {reason}",
                remedy="run the agent with CAP_CHOWN and CAP_FOWNER, or as the owner",
                wall_ns=context.clock.wall_ns(),
            )
        else:
            context.problems.clear("root-attributes")

    def _see(self, attributes: Attributes) -> None:
        self._context.index.set(SEEN_KEY, msgspec.msgpack.encode(attributes))
        self._context.is_changed = True

    def _keep(self, register: Metadata) -> None:
        self._context.index.set(REGISTER_KEY, msgspec.msgpack.encode(register))
        self._context.is_changed = True
