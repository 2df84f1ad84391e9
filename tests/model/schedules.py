"""Random schedules: 2 to 4 replicas, skewed clocks, cut pulls, and everything that may happen to them."""

from __future__ import annotations

import random

from model.history import History
from model.replica import Replica
from syncagent.core.conflict import conflict_paths
from syncagent.core.reconcile import Reconciler
from syncproto.model import Attributes, Path
from syncproto.paths import above, name

PATHS: list[Path] = [b"x", b"y", b"d", b"d/x", b"d/y", b"x/z"]
EVENTS = ["collect", "duplicate", "away", "back", "die", "lose index", "save", "roll back"]


class RandomSchedule(History):
    """One seeded history. Each draws its own mix, so that rare combinations come up often (swarm testing)."""

    def __init__(self, seed: int, has_links: bool = False, reconciler: type[Reconciler] = Reconciler) -> None:
        self.random = random.Random(seed)
        names = "ABCD"[: self.random.choice([2, 3, 3, 4])]
        replicas = [Replica(name, self.random.choice([0, 0, -50, 50, 1000]), reconciler) for name in names]
        super().__init__(replicas, has_links)
        self.paths = self.random.sample(PATHS, self.random.choice([1, 2, 3, 6]))
        self.events = self.random.sample(EVENTS, self.random.randrange(len(EVENTS) + 1))
        self.cut = self.random.choice([0, 0.4, 0.8])
        self.fetch = self.random.choice([0.3, 0.7, 1])
        self.squat = self.random.choice([0, 0, 0.3])  # how often a user takes the name of a copy, made or to come

    def run(self) -> str | None:
        """What is wrong at the end, or None."""
        for _ in range(self.random.randrange(2, 26) if self.random.random() < 0.9 else 60):
            self.clock += self.random.randrange(1, 20)
            dice = self.random.random()
            if dice < 0.5:
                self._user_acts(self.random.choice(self.replicas))
            elif dice < 0.8 or not self.events:
                self._exchange()
            else:
                self._something_happens()
            self.observe()
        return self.verdict()

    def _path(self, replica: Replica) -> Path:
        everything = [entry for r in self.replicas for entry in r.state.entries()]
        if everything and self.random.random() < self.squat:
            return next(conflict_paths(self.random.choice(everything)))
        return self.random.choice(self.paths + [e.path for e in replica.state.entries() if b"~" in name(e.path)])

    def _user_acts(self, replica: Replica) -> None:
        self.finish_rename(replica)
        path, dice = self._path(replica), self.random.random()
        if any(replica.is_leaf(directory) for directory in above(path)):
            return
        if dice < 0.45:
            self.write(replica, path)
        elif dice < 0.65 and replica.is_live(path):
            self.delete(replica, path)
        elif dice < 0.75 and replica.is_live(path):
            number = len(self.ledger.chmods)
            touched = self.clock if self.has_links and number % 2 else None
            self.chmod(replica, path, Attributes(0o600, uid=number, mtime_ns=touched))
        elif dice < 0.9:
            self._rename(replica, path)
        else:
            self.make(replica, [*above(path), path])

    def _rename(self, replica: Replica, path: Path) -> None:
        files = [entry for entry in replica.live().values() if entry.is_leaf and entry.path not in above(path)]
        if files and not replica.is_live(path):
            self.begin_rename(replica, self.random.choice(files), path)
            if self.random.random() < 0.8:
                self.finish_rename(replica)

    def _exchange(self) -> None:
        present = [replica for replica in self.replicas if replica.name not in self.away]
        if len(present) > 1:
            to, source = self.random.sample(present, 2)
            cut = self.random if self.random.random() < self.cut else None
            self.exchange(to, source, cut, [source] if self.random.random() < self.fetch else [])

    def _something_happens(self) -> None:
        replica, event = self.random.choice(self.replicas), self.random.choice(self.events)
        self.log.append(f"{event} {replica.name}")
        if event == "collect":
            for replica in self.random.sample(self.replicas, self.random.randrange(1, len(self.replicas) + 1)):
                self.collect(replica)
        elif event == "duplicate" and self.past:
            self.hear_again(*self.random.choice(self.past))
        elif event == "away" and len(self.replicas) - len(self.away) > 2:
            self.away.add(replica.name)
        elif event == "back":
            self.away.discard(replica.name)
        elif event == "die" and len(self.replicas) > 2 and "die" not in self.happened:
            self.die(replica)
        elif event == "lose index" and replica.incarnation < 2:
            self.lose_index(replica)
        elif event == "save":
            replica.save()
        elif event == "roll back" and replica.incarnation < 2:
            self.roll_back(replica)
