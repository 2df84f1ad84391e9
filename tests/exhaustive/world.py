"""Two replicas, two paths, and every step that may come next.

A world is a ``History`` of the model that can be copied. The n-th act of all users has a stamp above everything before
it, and what replicas mint by themselves between two acts lies between: so the clock is a function of the number of
acts. A slow clock always reads 0. A pull takes entries without contents; ``resolve`` is the arrival of those contents
that the other replica has at that moment.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from model.history import History, Message
from model.ledger import Ledger
from model.replica import CountingState, Replica
from syncagent.core.local import Content, content_of
from syncagent.core.reconcile import Reconciler
from syncproto.model import Attributes, Entry, Kind, Path
from syncproto.paths import above, is_below, name

BLOCK = 1000
"""How far apart the stamps of two acts are: more than what is minted between them."""
SLOW = -(10**9)
SAME = b"same"
COARSE_ACTS = {"write", "delete", "rename", "half"}

Step = tuple[str, ...]
"""What happens, to whom, and where: ("rename", "A", "x", "y")."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a search begins and how far it goes."""

    paths: tuple[str, ...]
    ops: int
    faults: int
    is_slow: bool = False
    """Whether B's clock is far behind."""
    is_coarse: bool = False
    """Contents arrive with the pull, and only an accident lets them stay away; few kinds of acts."""


class World(History):
    """One state of the search. ``ops`` and ``faults`` are how many may still happen."""

    def __init__(self, scope: Scope, reconciler: type[Reconciler] = Reconciler) -> None:
        super().__init__([Replica("A", 0, reconciler), Replica("B", SLOW if scope.is_slow else 0, reconciler)])
        self.paths = tuple(path.encode() for path in scope.paths)
        self.ops, self.faults, self.acts, self.is_coarse = scope.ops, scope.faults, 0, scope.is_coarse
        self.heard: dict[str, Message] = {}
        self.halves: dict[str, tuple[Entry, Path]] = {}
        self.trace: tuple[Step, ...] = ()

    def copy(self) -> World:
        """An equal world that goes its own way."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.replicas = [_copy_of(replica) for replica in self.replicas]
        twin.ledger = _copy_of_ledger(self.ledger, {replica.name: replica for replica in twin.replicas})
        twin.happened, twin.halves, twin.heard = set(self.happened), dict(self.halves), dict(self.heard)
        twin.log, twin.past, twin.away, twin.unfinished = [], [], set(), {}
        return twin

    def after(self, step: Step) -> World:
        """The world that this step leads to."""
        twin = self.copy()
        twin.trace = (*self.trace, step)
        twin.happen(step)
        twin.observe()
        return twin

    # -- what may come next --------------------------------------------------------------------

    def exchanges(self) -> Iterator[Step]:
        """What brings the replicas closer."""
        for replica in self.replicas:
            if len(self.replicas) > 1:
                yield "pull", replica.name
                if not self.is_coarse and any(True for _ in replica.state.pending()):
                    yield "resolve", replica.name

    def user_acts(self) -> Iterator[Step]:
        """What users may do now."""
        if self.ops > 0:
            for replica in self.replicas:
                for path in self._paths_of(replica):
                    acts = self._acts_on(replica, path)
                    yield from (act for act in acts if not self.is_coarse or act[0] in COARSE_ACTS)

    def _paths_of(self, replica: Replica) -> list[Path]:
        copies = [path for path in replica.live() if b"~" in name(path)]
        return [*self.paths, *([] if self.is_coarse else copies)]

    def _acts_on(self, replica: Replica, path: Path) -> Iterator[Step]:
        who, where, is_live = replica.name, path.decode(), replica.is_live(path)
        if any(replica.is_leaf(directory) for directory in above(path)):
            return
        if not is_live or replica.is_leaf(path):
            yield "write", who, where
            yield "same", who, where
        if not is_live:
            yield "mkdir", who, where
            return
        yield "delete", who, where
        yield "chmod", who, where
        if replica.is_leaf(path):
            for other in self.paths:
                if not replica.is_live(other) and not is_below(other, path) and not self._is_under_a_file(other):
                    yield "rename", who, where, other.decode()
                    if self.faults > 0:
                        yield "half", who, where, other.decode()

    def _is_under_a_file(self, path: Path) -> bool:
        return any(replica.is_leaf(directory) for replica in self.replicas for directory in above(path))

    def accidents(self) -> Iterator[Step]:
        """What may go wrong now."""
        if self.faults <= 0:
            return
        for replica in self.replicas:
            who = replica.name
            for kind in ("lose", "collect", "forget", "die", *(["blind"] if self.is_coarse else [])):
                yield kind, who
            if who in self.heard:
                yield "hear", who
            for cut in range(1, len(self._other(replica).core.unknown_to(replica.state.known))):
                yield "break", who, str(cut)

    # -- what it does --------------------------------------------------------------------------

    def happen(self, step: Step) -> None:
        """Do it."""
        kind, who, *where = step
        replica = next(replica for replica in self.replicas if replica.name == who)
        self.finish_rename(replica)
        if kind in ("pull", "resolve"):
            self.clock = self.acts * BLOCK + BLOCK // 2
            self._meet_other(replica, kind)
        elif kind in ("write", "same", "mkdir", "delete", "chmod", "rename", "half"):
            self.acts, self.ops = self.acts + 1, self.ops - 1
            self.clock = self.acts * BLOCK
            self._user_acts(replica, kind, [path.encode() for path in where])
        else:
            self.faults -= 1
            self.clock = self.acts * BLOCK + BLOCK // 2
            self._accident(replica, kind, where)

    def _other(self, replica: Replica) -> Replica:
        return next((other for other in self.replicas if other is not replica), replica)

    def _meet_other(self, replica: Replica, kind: str) -> None:
        other = self._other(replica)
        if kind == "resolve":
            replica.work(self.clock, [other])
            return
        origin = replica.state.origin
        batch = replica.pull(other, self.clock, [other] if self.is_coarse and kind == "pull" else [])
        if self.faults > 0 and batch:
            self.heard[replica.name] = replica, origin, batch

    def _user_acts(self, replica: Replica, kind: str, paths: list[Path]) -> None:
        path = paths[0]
        if kind in ("write", "same"):
            self._write(replica, path, kind == "same")
        elif kind == "mkdir":
            self.make(replica, [*above(path), path])
        elif kind == "delete":
            self.delete(replica, path)
        elif kind == "chmod":
            self.chmod(replica, path, Attributes(0o600, uid=self._number(replica)))
        else:
            self.begin_rename(replica, replica.live()[path], paths[1])
            if kind == "rename":
                self.finish_rename(replica)
            else:
                self.faults -= 1

    def _number(self, replica: Replica) -> int:
        """Of the next act of this replica's users: tells apart what different acts leave."""
        own = [act for by, act in self.ledger.acts if by.name == replica.name]
        mine = [chmod for chmod in self.ledger.chmods if chmod.metadata.origin[0] == replica.name]
        return 2 * (len(own) + len(mine)) + (replica.name == "B")

    def act(
        self, replica: Replica, path: Path, content: Content, source: Entry | None = None, moved: bool = False
    ) -> None:
        before, attributes = replica.state.entry(path), None
        if content.kind != Kind.TOMBSTONE and not replica.is_live(path):
            attributes = Attributes(0o644, uid=self._number(replica))
        if source:
            attributes = source.metadata.value
        entry = replica.change(path, content, self.clock, attributes, source)
        self.ledger.note_act(replica, entry, before, moved)

    def _write(self, replica: Replica, path: Path, is_same: bool) -> None:
        self.make(replica, above(path))
        number = self._number(replica)
        content = SAME if is_same else b"%s%d" % (replica.name.encode(), number)
        self.act(replica, path, Content(Kind.FILE, content, 1, 1 if is_same else number))
        self.ledger.writes[content] = replica, self.ledger.acts[-1][1]

    def begin_rename(self, replica: Replica, old: Entry, path: Path) -> None:
        super().begin_rename(replica, old, path)
        self.unfinished.clear()  # a function of this world, of no use to its copies
        self.halves[replica.name] = old, path

    def finish_rename(self, replica: Replica) -> None:
        if half := self.halves.pop(replica.name, None):
            old, path = half
            if replica.is_live(path):
                self.act(replica, old.path, Content(Kind.TOMBSTONE), moved=True)
            else:
                self.act(replica, path, content_of(old), old, moved=True)

    def _accident(self, replica: Replica, kind: str, where: list[str]) -> None:
        other = self._other(replica)
        if kind == "blind":
            self._meet_other(replica, kind)
        elif kind == "lose":
            self.lose_index(replica)
        elif kind == "collect":
            self.collect(replica)
        elif kind == "forget":  # the other drops its tombstones without asking; then this one is back
            self.away = {replica.name}
            self.collect(other)
            self.away = set()
        elif kind == "die":
            self.ops = self.faults = 0
            self.halves.pop(replica.name, None)
            self.die(replica)
        elif kind == "hear":
            _, incarnation, batch = self.heard[replica.name]
            self.hear_again(replica, incarnation, batch)
        else:
            replica.pull(other, self.clock, [], int(where[0]))


def _copy_of(replica: Replica) -> Replica:
    twin = object.__new__(Replica)
    twin.__dict__.update(replica.__dict__)
    twin.members, twin.resolved = dict(replica.members), []
    twin.state = _copy_of_state(replica.state)
    twin.core = type(replica.core)(twin.state)
    return twin


def _copy_of_state(state: CountingState) -> CountingState:
    """Vectors and entries are never changed in place."""
    twin = object.__new__(CountingState)
    twin.__dict__.update(state.__dict__)
    twin._entries, twin._pending = dict(state._entries), dict(state._pending)
    twin._written = dict(state._written)
    return twin


def _copy_of_ledger(ledger: Ledger, replicas: dict[str, Replica]) -> Ledger:
    twin = Ledger()
    twin.is_early = ledger.is_early
    twin.writes = {c: (replicas.get(r.name, r), e) for c, (r, e) in ledger.writes.items()}
    for content, later in ledger.overwrites.items():
        twin.overwrites[content] = [(replicas.get(r.name, r), e) for r, e in later]
    twin.acts = [(replicas.get(r.name, r), e) for r, e in ledger.acts]
    twin.chmods = list(ledger.chmods)
    twin.held = defaultdict(set, {who: set(contents) for who, contents in ledger.held.items()})
    twin.applied = defaultdict(dict, {who: dict(past) for who, past in ledger.applied.items()})
    twin.ever_applied = defaultdict(dict, {who: dict(past) for who, past in ledger.ever_applied.items()})
    twin.acknowledged = dict(ledger.acknowledged)
    return twin
