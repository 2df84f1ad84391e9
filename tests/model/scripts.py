"""Directed schedules: the replicas, then operations: "B pulls A cut 1 blind", "expect x write 0", "A clock 50"."""

from __future__ import annotations

from collections.abc import Callable

from model.history import History
from model.replica import Replica
from syncagent.core.reconcile import Reconciler
from syncproto.model import Attributes, Entry, Path
from syncproto.paths import above

SCRIPTS = {
    "concurrent edit and chmod": """A B
        A writes x; B pulls A; A writes x  # write 1
        B chmods x 600  # the later stamp, and no claim on the content
        A pulls B
        expect x write 1; expect x mode 600; expect names 1""",
    "equal content, two modes": """A B C
        C writes x; A pulls C; B pulls C; A renames x y; B renames x y
        A chmods y 600; B chmods y 640
        expect y mode 640; expect names 1""",
    "a private directory": """A B
        A makes d; A chmods d 700; A writes d/x; B pulls A
        B deletes d  # all of it
        A writes d/x  # had not seen the delete: d is revived with its mode
        expect d mode 700""",
    "an old message": """A B
        A makes d; B pulls A; A deletes d; B pulls A; A pulls B
        A collects; B pulls A; B collects; B rehears 0""",
    "a file on the name of a copy": """A B
        B clock -50; A writes x; A writes x~B0-1  # its own file
        B writes x; A pulls B
        expect x~B0-1 write 1; expect x~B0-1~2 write 2; expect names 3""",
    "a forgotten member returns": """A B
        A makes d; B pulls A; B leaves now; A deletes d; A collects
        B returns now
        expect names 0""",
    "begun anew": """A B
        A writes x; B pulls A; B leaves now; A deletes x; A collects
        A clock -999
        A writes x  # must outrank what the tombstone had outranked
        B returns now
        expect x write 1""",
    "begun anew with a mode": """A B
        A writes x; B pulls A; A deletes x; B pulls A; A pulls B; A collects  # B keeps the tombstone
        A clock -999
        A writes x; A chmods x 600  # must outrank the mode of what was deleted
        B pulls A
        expect x mode 600""",
    "half a rename and a death": """A B C
        A writes x; B pulls A; A half-renames x y; B pulls A; A dies now""",
    "a new directory and an old delete": """A B C
        C clock 500; C makes d; C deletes d; A pulls C; C pulls A
        B leaves now; B makes d
        A collects  # B is not a member; C keeps the tombstone
        B returns now; A pulls B; C pulls B""",
    "an adopted winner": """A B C
        A clock 500; A writes z; B pulls A; B writes x  # write 1
        C pulls B; A renames z x  # outranks it
        C pulls A  # adopts, and keeps x~B0-1
        B pulls C blind  # has the content of the new x, and must itself keep the old
        C dies now
        expect x~B0-1 write 1""",
    "a rename whose content died": """A B C
        B writes x; A pulls B; B writes x  # write 1
        B renames x y
        A pulls B blind  # y waits for write 1, and so does the delete of x
        B dies now
        expect x write 0; expect names 1""",
    "two deletes": """A C
        A writes y; C pulls A blind  # pending
        A renames y x; C writes y
        C deletes y  # outranks A's delete, which has seen more
        A pulls C  # joins the two
        C pulls A
        expect names 1""",
    "the mode of a collected tombstone": """A B C
        C makes d; C clock 500
        C chmods d 700  # a stamp from the future
        A pulls C; A deletes d; C pulls A; A pulls C; B leaves now
        A collects; B makes d  # outranks the delete, not the mode
        B returns now; A pulls B  # knows no better mode any more
        C pulls B
        expect d mode 700""",
    "a volume without its index": """A B
        A writes x; B pulls A; A writes x  # write 1
        B loses index; B pulls A
        expect x write 1""",
    "renamed, replaced, cut, dead": """A B C
        B writes x; A pulls B; B renames x y; B writes x  # write 1
        B chmods y 600; B writes y  # write 2: comes after x now
        A pulls B cut 1  # the new x, not the new y
        B dies now
        expect x write 0""",
    "an edit before the content came": """A B
        A writes x; B pulls A blind  # pending: no user of B has seen it
        B writes x; A pulls B
        expect x write 1; expect x~A0-1 write 0""",
    "a file in the way of a directory": """A B
        B writes x/z; A writes x  # outranks the directory, which has children
        B pulls A
        expect x/z write 0; expect x~A0-1 write 1""",
    "a copy whose content is elsewhere": """A B C
        A writes x; B writes x; B pulls A  # makes the copy
        C pulls B blind  # and must not acknowledge what A wrote
        expect x write 1; expect x~A0-1 write 0""",
    "a new name whose content is elsewhere": """A B C
        A writes x; B pulls A; B renames x y
        C pulls B blind
        expect y write 0; expect names 1""",
    "a copy deleted beside its loser": """A B C
        A writes x; C pulls A; B writes x; C pulls B  # C makes the copy
        A pulls C blind  # has what lost twice, at its name and as the copy, and has not seen what won
        A deletes x~A0-1  # once is enough
        A pulls B
        expect x write 1; expect x~A0-1 write 0; expect names 2""",
    "a successor whose content is elsewhere": """A B C
        A writes x; B pulls A; B writes x
        C pulls B blind
        expect x write 1; expect names 1""",
    "a restored index": """A B
        A writes x; A writes y; B pulls A; A pulls B  # write 0, write 1
        A saves; A writes z; B pulls A  # write 2, of a history that is lost
        A restores; A writes v  # write 3
        B deletes y; B writes x; B pulls A; A pulls B  # write 4
        expect x write 4; expect z write 2; expect v write 3; expect names 3""",
    "an edit that a restored index does not know": """A B
        A writes x; B pulls A; A pulls B; A saves
        A writes x; A restores  # write 1, on the disk only
        B pulls A; A pulls B
        expect x write 1; expect names 1""",
    "counters begun again": """A B
        A writes x; A writes x; A writes x; B pulls A
        A loses index; A writes y; B pulls A
        expect x write 2; expect y write 3""",
    "an edit by a slow clock": """A B C
        A clock 500; A writes x; B pulls A
        B clock -999; B writes x  # outranks what it replaces all the same
        C writes x; A pulls C; B pulls C
        expect x write 1; expect x~C0-1 write 2; expect names 2""",
}


class Script(History):
    """One directed schedule, from its text."""

    def __init__(self, text: str, reconciler: type[Reconciler] = Reconciler) -> None:
        lines = [line.split("#")[0] for line in text.splitlines()]
        self.lines = [operation.split() for line in lines for operation in line.split(";")]
        self.expected: list[list[str]] = []
        super().__init__([Replica(name, reconciler=reconciler) for name in self.lines.pop(0)])
        self.by_name = {replica.name: replica for replica in self.replicas}

    def run(self) -> str | None:
        """What is wrong or not as expected at the end, or None."""
        for who, verb, *rest in self.lines:
            self.clock += 10
            if who == "expect":
                self.expected.append([verb, *rest])
            else:
                self._steps()[verb](self.by_name[who], rest)
                self.observe()
        return self.verdict() or self._unexpected()

    def _steps(self) -> dict[str, Callable[[Replica, list[str]], None]]:
        return {
            "writes": lambda who, rest: self.write(who, _path(rest[0])),
            "deletes": lambda who, rest: self.delete(who, _path(rest[0])),
            "makes": lambda who, rest: self.make(who, [*above(_path(rest[0])), _path(rest[0])]),
            "chmods": lambda who, rest: self.chmod(who, _path(rest[0]), Attributes(int(rest[1], 8))),
            "half-renames": lambda who, rest: self.begin_rename(who, who.live()[_path(rest[0])], _path(rest[1])),
            "renames": self._renames,
            "pulls": self._pulls,
            "rehears": self._rehears,
            "clock": self._clock,
            "leaves": lambda who, rest: self.away.add(who.name),
            "returns": lambda who, rest: self.away.discard(who.name),
            "dies": lambda who, rest: self.die(who),
            "collects": lambda who, rest: self.collect(who),
            "loses": lambda who, rest: self.lose_index(who),
            "saves": lambda who, rest: who.save(),
            "restores": lambda who, rest: self.roll_back(who),
        }

    def _renames(self, replica: Replica, rest: list[str]) -> None:
        self.begin_rename(replica, replica.live()[_path(rest[0])], _path(rest[1]))
        self.finish_rename(replica)

    def _pulls(self, replica: Replica, rest: list[str]) -> None:
        source = self.by_name[rest[0]]
        cut = int(rest[rest.index("cut") + 1]) if "cut" in rest else None
        self.exchange(replica, source, cut, [] if "blind" in rest else [source])

    def _rehears(self, replica: Replica, rest: list[str]) -> None:
        """Its n-th message arrives once more."""
        self.hear_again(*[message for message in self.past if message[0] is replica][int(rest[0])])

    def _clock(self, replica: Replica, rest: list[str]) -> None:
        replica.skew = int(rest[0])

    def _unexpected(self) -> str | None:
        tree = self.replicas[0].live()
        for what, *value in self.expected:
            found = str(len(tree)) if what == "names" else _found(tree.get(_path(what)), value[0] == "mode")
            if found != " ".join(value):
                return f"{what} is {found}"
        return None


def _path(text: str) -> Path:
    return text.encode()


def _found(entry: Entry | None, is_mode: bool) -> str | None:
    if entry is None:
        return None
    if is_mode:
        return f"mode {entry.metadata.value.mode:o}" if entry.metadata.value else "none"
    return entry.content.decode() if entry.content is not None else "none"
