"""What must hold at the end, when everything was put right and nothing happens any more."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from simulation.ledger import Ledger, Payload, Tree, tree_of
from simulation.machine import Machine
from simulation.users import Users
from simulation.world import World
from syncagent.engine.context import Context
from syncagent.log import printable
from syncproto.model import Kind, Path
from syncproto.paths import is_below, name

SLICE_SECONDS = 0.5
TIDY_SECONDS = 35.0
"""Longer than three rounds of what replicas do now and then."""
SETTLE_SECONDS_MAX = 240.0
AGAIN_SECONDS = 12.0
PATIENCE_SECONDS = 6.0
IN_THE_WAY = "the directory still holds something"
MERE_NOTES = ("rules", "not-kept", "unsupported", "new-incarnation", "clock")


def settle(world: World, machines: Sequence[Machine], users: Users | None = None) -> str | None:
    """Let time pass until all replicas say that they are in sync, and then some; what is wrong if they never do.

    What is ignored and in the way of something is said to stay until somebody moves it: ``users`` do.
    """
    why = _wait(world, machines, SETTLE_SECONDS_MAX)
    if why and users is not None and _make_way(machines, users):
        why = _wait(world, machines, SETTLE_SECONDS_MAX)
    if why:
        return f"never settles: {why}"
    world.run(TIDY_SECONDS)
    why = _wait(world, machines, PATIENCE_SECONDS)
    return f"unsettled again: {why}" if why else None


def _wait(world: World, machines: Sequence[Machine], seconds: float) -> str | None:
    """A heartbeat or a scan may be under way at any instant, so only what lasts is told."""
    end = world.now + seconds
    while (why := _why_unsettled(world, machines)) is not None and world.now < end:
        _release(machines)
        world.run(SLICE_SECONDS + world.random.uniform(0, 0.1))
    return why


def _release(machines: Sequence[Machine]) -> None:
    """A person sees to what is held."""
    for machine in machines:
        if machine.agent is not None and machine.agent.commands.held(None):
            machine.world.note(f"{machine.name}: what is held is released")
            machine.agent.commands.release(None)
            machine.post(lambda: None, machine.life)


def _make_way(machines: Sequence[Machine], users: Users) -> bool:
    """Delete directories that are told to be in the way, and hold only what is ignored; whether there were any."""
    is_done = False
    for machine in machines:
        told = {p.path for p in machine.engine.context.problems if p.code == "apply" and IN_THE_WAY in p.text}
        tree = tree_of(machine.volume)
        for path in [each for each in tree if printable(each) in told]:
            within = [thing for thing in tree if is_below(thing, path) and tree[thing].is_leaf]
            if within and all(machine.ignores(each) for each in within):
                is_done |= users.do(machine, partial(users.delete, path=path), "make way")
    return is_done


def _why_unsettled(world: World, machines: Sequence[Machine]) -> str | None:
    if any(queue for pipe in world.network.pipes for queue in pipe.queues):
        return "messages are on their way"
    for machine in machines:
        if machine.agent is None:
            return f"{machine.name} does not run"
        if not machine.is_idle:
            return f"{machine.name} has something under way"
        status = machine.agent.status().volumes[0]
        problems = [f"{p.path or ''} {p.text}" for p in machine.engine.context.problems if p.code not in MERE_NOTES]
        if not status.in_sync or problems:
            behind = [(r.name, r.connected, r.in_sync, r.entries_behind) for r in status.replicas]
            return f"{machine.name} is {status.state}, {status.pending} pending, {problems}, {behind}"
    vectors = [machine.engine.context.index.applied for machine in machines]
    return None if all(vector == vectors[0] for vector in vectors) else f"vectors differ: {vectors}"


def verdict(world: World, ledger: Ledger, machines: Sequence[Machine]) -> str | None:
    """What is wrong with a settled run, or None."""
    trees = [_replicated(machine) for machine in machines]
    return (
        _judge_equality(machines, trees)
        or _judge_contents(ledger, machines)
        or _judge_places(ledger, trees[0])
        or _judge_copies(ledger, trees[0])
        or _judge_leftovers(machines)
        or _judge_again(world, machines)
    )


def _replicated(machine: Machine) -> Tree:
    """What stands on a disk and is to be equal: no ignored paths, no directories that stay for what is in them only."""
    rules, residues = machine.engine.context.rules, machine.engine.context.residues
    tree = tree_of(machine.volume)
    return {
        path: thing
        for path, thing in tree.items()
        if path not in residues and not rules.ignores(path, is_directory=not thing.is_leaf)
    }


def _judge_equality(machines: Sequence[Machine], trees: list[Tree]) -> str | None:
    implied = _implied_directories(machines[0])
    trees = [_without_modes(tree, implied) for tree in trees]
    first = trees[0]
    for machine, tree in zip(machines, trees, strict=True):
        for path in sorted(first.keys() | tree.keys()):
            if first.get(path) != tree.get(path):
                return f"trees differ at {path!r}: {machine.name}: {tree.get(path)}; others: {first.get(path)}"
        context = machine.engine.context
        live = {entry.path for entry in context.index.entries() if entry.is_live}
        live = {path for path in live if not context.rules.ignores(path, is_directory=_is_directory(context, path))}
        if live != tree.keys():
            return f"the index of {machine.name} and its disk differ: {sorted(live ^ tree.keys())}"
    return None


def _is_directory(context: Context, path: Path) -> bool:
    entry = context.index.entry(path)
    return entry is not None and entry.kind == Kind.DIRECTORY


def _implied_directories(machine: Machine) -> set[Path]:
    """Those whose mode nobody has ever stated: each replica keeps what it has."""
    return {entry.path for entry in machine.engine.context.index.entries() if entry.metadata.value is None}


def _without_modes(tree: Tree, paths: set[Path]) -> Tree:
    return {
        path: thing._replace(mode=0, owner=(0, 0), xattrs=()) if path in paths else thing
        for path, thing in tree.items()
    }


def _judge_contents(ledger: Ledger, machines: Sequence[Machine]) -> str | None:
    """All disks count: what is ignored stays where it was written."""
    present: set[Payload] = {t.payload for m in machines for t in tree_of(m.volume).values() if t.is_leaf}
    if invented := present - ledger.written:
        return f"contents that nobody wrote: {sorted(str(each)[:60] for each in invented)}"
    if lost := ledger.written - ledger.destroyed - present:
        return f"lost writes: {sorted(str(each)[:60] for each in lost)}"
    return None


def _judge_places(ledger: Ledger, tree: Tree) -> str | None:
    if ledger.is_memory_lost or ledger.were_rules_changed:
        return None
    for path, last in ledger.undisputed():
        there = tree.get(path)
        if there != last:
            return f"{path!r} is not what its last author left: {there} instead of {last}"
    return None


def copies(tree: Tree) -> list[Path]:
    """The conflict copies."""
    return [path for path in tree if b"~" in name(path)]


def _judge_copies(ledger: Ledger, tree: Tree) -> str | None:
    made = [path for path in copies(tree) if path not in ledger.authors]
    if len(made) > ledger.concurrent_pairs() and not ledger.is_memory_lost:
        return f"conflict copies without a conflict: {made}"
    return None


def _judge_leftovers(machines: Sequence[Machine]) -> str | None:
    for machine in machines:
        if machine.volume.staged or machine.volume.parts:
            return f"{machine.name} has left something in staging"
        if list(machine.engine.context.index.tombstones()):
            return f"{machine.name} keeps tombstones that all have applied"
    return None


def _judge_again(world: World, machines: Sequence[Machine]) -> str | None:
    """A full scan and an exchange in new sessions: nothing is sent, nothing is written down."""
    before = [_counts(machine) for machine in machines]
    for machine in machines:
        machine.engine.walker.start_full()
        if machine.peers is not None:
            machine.peers.reset()
        machine.post(lambda: None, machine.life)
    world.run(AGAIN_SECONDS)
    for machine, counts in zip(machines, before, strict=True):
        if _counts(machine) != counts:
            return f"{machine.name} is not still: {counts} became {_counts(machine)}"
    return _wait(world, machines, PATIENCE_SECONDS)


def _counts(machine: Machine) -> tuple[int, ...]:
    """What must not grow: changes of the disk, writes to the index, what was sent and what was counted."""
    context = machine.engine.context
    names = ("entries_sent", "bytes_served", "local_changes", "steps_applied")
    return (
        machine.volume.changes,
        context.index.sequence,
        context.index.counter,
        *(context.counters.get(name, 0) for name in names),
    )
