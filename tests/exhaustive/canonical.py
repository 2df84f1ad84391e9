"""When two worlds are the same for everything that may still happen and for the judge.

What is abstracted, and why nothing that is left can depend on it:

* Counters become their ranks among all counters of their origin that occur anywhere: they are only compared, and the
  next one is above all. The names of conflict copies have counters in them and are renamed alike; names are sorted
  somewhere, so an origin that has come to two digits keeps its counters.
* Stamps become the rank of their half block (see ``World``), with what was added to it: they are only compared and
  counted up from. Stamps of different paths meet only in the floor, which only collecting raises: where that can happen
  no more, and has not, each path with its copies is ranked by itself.
* The order in which entries were written, and what only old messages and collecting read, where no accident is left.
* Of the ledger: the order of its lists; who held what, once that was acknowledged (its check is over for good); and
  where no replica died or lost its index, or can: what was applied, and acts that later ones have seen.

``test_small_scope`` checks it: worlds that meet have successors that meet, and the same verdict.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise

import blake3
import msgspec

from exhaustive.world import BLOCK, World
from model.replica import Replica
from syncproto.model import Entry, Metadata, Path
from syncproto.version import Dot, covers

HALF = BLOCK // 2
_COPY = re.compile(rb"~([AB]\d+)-(\d+)")


class Keys:
    """The canonical keys of worlds. Remembers those of worlds that are equal to the letter."""

    def __init__(self) -> None:
        self._known: dict[bytes, bytes] = {}

    def of(self, world: World) -> bytes:
        """Equal for worlds that are the same."""
        letter = _digest(_to_the_letter(world))
        if letter not in self._known:
            self._known[letter] = _digest(_Form(world).whole())
        return self._known[letter]


def _digest(form: object) -> bytes:
    return blake3.blake3(msgspec.msgpack.encode(form)).digest(length=16)


def _to_the_letter(world: World) -> list[object]:
    """All that ``_Form`` reads."""
    ledger = world.ledger
    form: list[object] = [world.ops, world.faults, world.acts, sorted(world.happened)]
    for replica in world.replicas:
        state, who = replica.state, replica.name
        form += [state.origin, state.counter, state.floor, state.known, state.applied, state.collected]
        form += [list(state._entries.values()), list(state._pending.values()), replica.members]
        form += [sorted(ledger.held[who], key=_content), ledger.applied[who], ledger.ever_applied[who]]
        form += [ledger.acknowledged.get(who)]
    form += [[act for _, act in ledger.acts], ledger.chmods, sorted(ledger.writes)]
    form += [world.halves, [(who, incarnation, batch) for who, (_, incarnation, batch) in world.heard.items()]]
    return form


def _content(content: bytes | None) -> bytes:
    return content or b""


class _Form:
    """The world with its counters and stamps renamed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.is_calm = world.faults == 0 and not world.happened & {"die", "lose index"}
        floors = any(replica.state.floor or replica.state.collected for replica in world.replicas)
        self.is_by_path = world.faults == 0 and not floors
        self.counters = self._counter_ranks()
        self.stamps = self._stamp_ranks()

    # -- renaming ------------------------------------------------------------------------------

    def _every_entry(self) -> Iterator[Entry]:
        for replica in self.world.replicas:
            yield from replica.state._entries.values()
            yield from replica.state._pending.values()
        for _, act in self.world.ledger.acts:
            yield act
        yield from self.world.ledger.chmods
        for old, _ in self.world.halves.values():
            yield old
        for _, _, batch in self.world.heard.values():
            yield from batch

    def _every_dot(self) -> Iterator[Dot]:
        for entry in self._every_entry():
            yield from entry.version
            yield from entry.carried
            yield entry.metadata.dot
            yield entry.metadata.author
        for replica in self.world.replicas:
            state = replica.state
            yield state.origin, state.counter
            for vector in (state.known, state.applied, state.collected, *replica.members.values()):
                yield from vector.items()

    def _counter_ranks(self) -> dict[str, dict[int, int]]:
        found: dict[str, set[int]] = defaultdict(lambda: {0})
        for origin, counter in self._every_dot():
            found[origin].add(counter)
        return {
            origin: {n: n if max(counters) > 9 else rank for rank, n in enumerate(sorted(counters))}
            for origin, counters in found.items()
        }

    def _stamp_ranks(self) -> dict[Path, dict[int, int]]:
        found: dict[Path, set[int]] = defaultdict(lambda: {0})
        for entry in self._every_entry():
            found[self.family(entry.path)] |= {entry.stamp // HALF, entry.metadata.stamp // HALF}
        for replica in self.world.replicas:
            found[self.family(b"")].add(replica.state.floor // HALF)
        return {family: {n: rank for rank, n in enumerate(sorted(bases))} for family, bases in found.items()}

    def family(self, path: Path) -> Path:
        return path.partition(b"~")[0] if self.is_by_path else b""

    def stamp(self, family: Path, stamp: int) -> tuple[int, int]:
        return self.stamps[family][stamp // HALF], stamp % HALF

    def dot(self, dot: Dot) -> Dot:
        return dot[0], self.counters[dot[0]][dot[1]] if dot[0] else 0

    def dots(self, dots: Iterable[Dot]) -> list[Dot]:
        return sorted((origin, self.counters[origin][counter]) for origin, counter in dots)

    def path(self, path: Path) -> Path:
        return _COPY.sub(self._renamed, path) if b"~" in path else path

    def _renamed(self, found: re.Match[bytes]) -> bytes:
        origin, counter = found[1].decode(), int(found[2])
        return b"~%s-%d" % (found[1], self.counters.get(origin, {}).get(counter, counter))

    def metadata(self, family: Path, register: Metadata) -> tuple[object, ...]:
        value = register.value
        stamp = self.stamp(family, register.stamp)
        return (
            None if value is None else (value.mode, value.uid, value.mtime_ns),
            stamp,
            self.dot(register.dot),
            self.dot(register.author),
            register.again,
        )

    def entry(self, entry: Entry) -> tuple[object, ...]:
        family = self.family(entry.path)
        return (
            self.path(entry.path),
            int(entry.kind),
            entry.content,
            self.dot(entry.dot),
            self.dots(entry.version),
            self.stamp(family, entry.stamp),
            self.metadata(family, entry.metadata),
            self.dots(entry.carried),
            entry.is_copy,
            entry.mtime_ns,
        )

    # -- the parts -----------------------------------------------------------------------------

    def whole(self) -> tuple[object, ...]:
        world = self.world
        return (
            world.ops,
            world.faults,
            [world._number(replica) for replica in world.replicas],
            sorted(world.happened),
            [self.replica(replica) for replica in world.replicas],
            sorted((who, self.entry(old), self.path(path)) for who, (old, path) in world.halves.items()),
            self.ledger(),
            self.messages() if world.faults else None,
        )

    def replica(self, replica: Replica) -> tuple[object, ...]:
        state = replica.state
        return (
            self.dot((state.origin, state.counter)),
            self.stamp(self.family(b""), state.floor),
            [self.dots(vector.items()) for vector in (state.known, state.applied, state.collected)],
            sorted(self.entry(entry) for entry in state._entries.values()),
            sorted(self.entry(entry) for entry in state._pending.values()),
            [(who, self.dots(v.items())) for who, v in sorted(replica.members.items())] if self.world.faults else None,
        )

    def messages(self) -> list[object]:
        heard = sorted(self.world.heard.items())
        return [(who, incarnation, [self.entry(entry) for entry in batch]) for who, (_, incarnation, batch) in heard]

    # -- the ledger ----------------------------------------------------------------------------

    def ledger(self) -> tuple[object, ...]:
        ledger = self.world.ledger
        acts = self.summary() if self.is_calm else sorted((r.name, self.act(act)) for r, act in ledger.acts)
        return (
            acts,
            sorted((content, replica.name, self.dot(e.dot)) for content, (replica, e) in ledger.writes.items()),
            sorted((c, sorted((r.name, self.dot(e.dot)) for r, e in later)) for c, later in ledger.overwrites.items()),
            sorted((self.path(e.path), self.metadata(self.family(e.path), e.metadata)) for e in ledger.chmods),
            [self.open_writes(replica) if self.is_calm else self.past(replica.name) for replica in self.world.replicas],
        )

    def act(self, act: Entry) -> tuple[object, ...]:
        """What the judge reads of it."""
        family = self.family(act.path)
        place = self.path(act.path), int(act.kind), act.content
        return *place, self.dot(act.dot), self.dots(act.version), self.stamp(family, act.stamp), act.carried != ()

    def summary(self) -> list[object]:
        """Of each path: what no later act has seen, the best register, and the last act unless two were concurrent."""
        by_path: dict[Path, list[Entry]] = defaultdict(list)
        for _, act in self.world.ledger.acts:
            by_path[act.path].append(act)
        return [*sorted((self.path(path), *self.path_summary(acts)) for path, acts in by_path.items())]

    def path_summary(self, acts: list[Entry]) -> tuple[object, ...]:
        acts.sort(key=lambda act: act.rank)
        is_chain = all(later.has_seen(former) for former, later in pairwise(acts))
        heads = [act for act in acts if not any(other.has_seen(act) for other in acts if other is not act)]
        registers = [act.metadata for act in acts]
        best = max(registers, key=lambda register: register.rank)
        family = self.family(acts[0].path)
        return (
            is_chain,
            sorted((self.dot(act.dot), self.dots(act.version), self.stamp(family, act.stamp)) for act in heads),
            (int(acts[-1].kind), acts[-1].content),
            self.metadata(family, best),
        )

    def open_writes(self, replica: Replica) -> list[object]:
        """What the check of early acknowledgements still needs."""
        ledger, held = self.world.ledger, self.world.ledger.held[replica.name]
        unacknowledged = [c for c, (_, e) in ledger.writes.items() if not covers(replica.state.applied, e.dot)]
        later: dict[Dot, Entry] = {}
        for content in unacknowledged:
            self.gather_later(content, later)
        came = sorted(self.dot(act.dot) for act in later.values() if ledger._has_applied(replica, act))
        watched = {*unacknowledged, *(act.content or b"" for act in later.values())}
        return [sorted(watched & held), came]

    def gather_later(self, content: bytes, later: dict[Dot, Entry]) -> None:
        for _, act in self.world.ledger.overwrites.get(content, ()):
            if act.dot not in later:
                later[act.dot] = act
                self.gather_later(act.content or b"", later)

    def past(self, who: str) -> list[object]:
        """Of the acts and writes: which it held, came to apply, with this index or ever, and acknowledged."""
        ledger = self.world.ledger
        acts = [act for _, act in ledger.acts]
        return [
            sorted(content for content in ledger.held[who] if content is not None),
            sorted(self.dot(act.dot) for act in acts if covers(ledger.applied[who].get(act.path, {}), act.dot)),
            sorted(self.dot(act.dot) for act in acts if covers(ledger.ever_applied[who].get(act.path, {}), act.dot)),
            sorted(self.dot(act.dot) for act in acts if covers(ledger.acknowledged.get(who, {}), act.dot)),
        ]
