"""Breadth-first over all states of a scope."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from exhaustive.canonical import Keys
from exhaustive.world import Scope, Step, World
from model.replica import Replica
from syncagent.core.reconcile import Reconciler
from syncproto.model import Entry, Kind
from syncproto.paths import above
from syncproto.version import covers_all


@dataclass(slots=True)
class Result:
    """What a search has seen."""

    states: int = 0
    steps: int = 0
    judged: int = 0
    failures: list[tuple[str, tuple[Step, ...]]] = field(default_factory=list)


def search(scope: Scope, first: Step | None = None, reconciler: type[Reconciler] = Reconciler) -> Result:
    """All states of the scope, or those that ``first`` as the first act leads to. Ends at the first failure."""
    start, keys, result = World(scope, reconciler), Keys(), Result()
    seen, queue = {keys.of(start)}, deque([(start, keys.of(start))])
    while queue and not result.failures:
        world, own = queue.popleft()
        result.states += first is None or world.acts > 0
        is_quiet = True
        for step, is_exchange in steps_of(world, first):
            child = world.after(step)
            found = keys.of(child)
            result.steps += 1
            is_quiet = is_quiet and not (is_exchange and found != own)
            if found in seen or _changes_nothing(child, world, keys):
                continue
            seen.add(found)
            if wrong := broken_rule(child):
                result.failures.append((wrong, child.trace))
            queue.append((child, found))
        if is_quiet:
            result.judged += 1
            if wrong := world.copy().verdict():
                result.failures.append((wrong, world.trace))
    return result


def _changes_nothing(child: World, before: World, keys: Keys) -> bool:
    """An accident without effect leaves less to come: what follows, follows from the world before it too."""
    if child.faults == before.faults or child.acts != before.acts:
        return False
    again = child.copy()
    again.faults, again.happened, again.heard = before.faults, before.happened, before.heard
    return keys.of(again) == keys.of(before)


def steps_of(world: World, first: Step | None) -> list[tuple[Step, bool]]:
    acts = world.user_acts() if first is None or world.acts else iter([first] if world.ops else [])
    return [
        *((step, True) for step in world.exchanges()),
        *((step, False) for step in acts),
        *((step, False) for step in world.accidents()),
    ]


def first_acts(scope: Scope) -> list[Step]:
    """How a history may begin. Equal siblings are interchangeable: the first act is on the first."""
    world = World(scope)
    is_nested = any(above(path) for path in world.paths)
    return [step for step in world.user_acts() if is_nested or step[2] == scope.paths[0]]


def broken_rule(world: World) -> str | None:
    """What must hold after every step, not only at the end."""
    if world.ledger.is_early:
        return "acknowledged too early"
    for replica in world.replicas:
        if wrong := _broken_in(replica, world):
            return wrong
    return _reused_dot(world)


def _broken_in(replica: Replica, world: World) -> str | None:
    state, live = replica.state, replica.live()
    if any(p not in live or live[p].kind != Kind.DIRECTORY for path in live for p in above(path)):
        return f"an orphan at {replica.name}"
    if not covers_all(state.known, state.applied.items()):
        return f"{replica.name} has applied what it does not know"
    if any(not covers_all(state.known, entry.version) for entry in state.entries()):
        return f"{replica.name} has what it does not know"
    if any(entry.content not in world.ledger.writes for entry in live.values() if entry.is_leaf):
        return f"invented content at {replica.name}"
    return None


def _reused_dot(world: World) -> str | None:
    """A dot names one content of one path for ever."""
    names: dict[tuple[str, int], tuple[object, ...]] = {}
    entries: list[Entry] = [act for _, act in world.ledger.acts]
    for replica in world.replicas:
        entries += [*replica.state.entries(), *replica.state.pending()]
    for entry in entries:
        what = entry.path, entry.kind, entry.content
        if names.setdefault(entry.dot, what) != what:
            return f"dot {entry.dot} is used twice"
    return None
