"""One history of several replicas: what users do, what goes wrong, and how it is brought to an end."""

from __future__ import annotations

from collections.abc import Callable

from model.judge import verdict
from model.ledger import Ledger
from model.replica import Cut, Replica
from syncagent.core.local import Content, content_of
from syncproto.model import Attributes, Entry, Kind, Path
from syncproto.paths import above

Step = Callable[[], None]
Message = tuple[Replica, str, list[Entry]]
"""For whom it is, for which of its incarnations, and the entries."""

ROUNDS_MAX = 80


class History:
    """``has_links``: every other write is a symlink, and every other change of metadata a bare touch."""

    def __init__(self, replicas: list[Replica], has_links: bool = False) -> None:
        self.replicas = replicas
        self.has_links = has_links
        self.ledger = Ledger()
        self.away: set[str] = set()  # forgotten by the others, unreachable until it comes back
        self.happened: set[str] = set()
        self.unfinished: dict[str, Step] = {}  # the second half of a rename
        self.past: list[Message] = []  # what may arrive again
        self.log: list[str] = []
        self.clock = 0

    # -- users ---------------------------------------------------------------------------------

    def act(
        self, replica: Replica, path: Path, content: Content, source: Entry | None = None, moved: bool = False
    ) -> None:
        before = replica.state.entry(path)
        attributes = None
        if content.kind != Kind.TOMBSTONE and not replica.is_live(path):
            attributes = Attributes(0o644, uid=len(self.ledger.acts))
        if source:
            attributes = source.metadata.value
        entry = replica.change(path, content, self.clock, attributes, source)
        self.ledger.note_act(replica, entry, before, moved)
        self.log.append(f"{replica.name}: {path!r} = {content.kind.name} {content.content!r} {entry.dot}")

    def make(self, replica: Replica, directories: list[Path]) -> None:
        for directory in directories:
            if not replica.is_live(directory):
                self.act(replica, directory, Content(Kind.DIRECTORY))

    def write(self, replica: Replica, path: Path) -> None:
        if replica.is_live(path) and not replica.is_leaf(path):
            return
        self.make(replica, above(path))
        number = len(self.ledger.writes)
        kind = Kind.SYMLINK if self.has_links and number % 2 else Kind.FILE
        content = Content(kind, b"write %d" % number, number, self.clock, number % 3 == 0)
        self.act(replica, path, content)
        self.ledger.writes[b"write %d" % number] = replica, self.ledger.acts[-1][1]

    def delete(self, replica: Replica, path: Path) -> None:
        below = sorted(replica.state.live_below(path), key=lambda p: -p.count(b"/"))
        for victim in [*below, path]:
            self.act(replica, victim, Content(Kind.TOMBSTONE))

    def begin_rename(self, replica: Replica, old: Entry, path: Path) -> None:
        """Onto a free name. The creation is announced first: every prefix of the history has the file."""
        self.make(replica, above(path))

        def create() -> None:
            self.act(replica, path, content_of(old), old, moved=True)

        def delete() -> None:
            self.act(replica, old.path, Content(Kind.TOMBSTONE), moved=True)

        first, second = create, delete
        first()
        self.unfinished[replica.name] = second

    def finish_rename(self, replica: Replica) -> None:
        if step := self.unfinished.pop(replica.name, None):
            step()

    def chmod(self, replica: Replica, path: Path, attributes: Attributes) -> None:
        entry = replica.change_metadata(path, attributes, self.clock)
        self.ledger.chmods.append(entry)
        self.log.append(f"{replica.name}: {path!r} {attributes} {entry.metadata.dot}")

    # -- exchange and accidents ----------------------------------------------------------------

    def exchange(self, to: Replica, source: Replica, cut: Cut, holders: list[Replica]) -> None:
        self.finish_rename(to)
        self.past.append((to, to.state.origin, to.pull(source, self.clock, holders, cut)))
        how = ("" if cut is None else " cut") + ("" if holders else " without content")
        self.log.append(f"{to.name} pulls {source.name}{how}")

    def hear_again(self, replica: Replica, incarnation: str, batch: list[Entry]) -> None:
        """A message is for one session: an incarnation that began later refuses it, as half a pull (rule 6)."""
        if replica.state.origin == incarnation:
            replica.hear_again(batch, self.clock)

    def lose_index(self, replica: Replica) -> None:
        self.finish_rename(replica)
        self.happened.add("lose index")
        replica.rescan_without_index()
        self.ledger.applied[replica.name].clear()

    def roll_back(self, replica: Replica) -> None:
        self.finish_rename(replica)
        self.happened.add("roll back")
        replica.roll_back()
        self.ledger.applied[replica.name].clear()

    def die(self, replica: Replica) -> None:
        self.happened.add("die")
        self.replicas.remove(replica)

    def collect(self, replica: Replica) -> None:
        self.happened.add("collect")
        replica.collect([r.name for r in self.replicas if r.name not in self.away])

    def observe(self) -> None:
        self.ledger.observe(self.replicas)

    # -- the end -------------------------------------------------------------------------------

    def verdict(self) -> str | None:
        """What is wrong with this history, or None."""
        unsettled = self.settle()
        if self.ledger.is_early:
            return "acknowledged too early"
        return unsettled or verdict(self.ledger, self.replicas, self.happened)

    def settle(self) -> str | None:
        """Everybody left meets, until nobody learns anything; then what is gone is forgotten."""
        self.away.clear()
        for replica in self.replicas:
            self.finish_rename(replica)
        is_forgotten = False
        for _ in range(ROUNDS_MAX):
            before = self._summary()
            self._meet(not is_forgotten)
            if before == self._summary():
                is_forgotten = True
                self._forget()
                if before == self._summary():
                    return None
        return "never settles"

    def _meet(self, is_observed: bool) -> None:
        for to in self.replicas:
            for source in self.replicas:
                if source is not to:
                    to.pull(source, self.clock, self.replicas)
                    if is_observed:
                        self.observe()

    def _forget(self) -> None:
        for replica in self.replicas:
            replica.forget(self.replicas)
        for replica in self.replicas:
            replica.work(self.clock, self.replicas)

    def _summary(self) -> list[object]:
        states = [replica.state for replica in self.replicas]
        return [(s.known, s.applied, {e.dot for e in s.pending()}, s.counter) for s in states]
