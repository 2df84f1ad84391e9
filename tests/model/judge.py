"""What must hold when nobody learns anything new."""

from __future__ import annotations

from collections.abc import Sequence

from model.ledger import Ledger
from model.replica import Replica
from syncproto.model import Entry, Kind, Path
from syncproto.paths import above, is_below, name, parent
from syncproto.version import covers_all

Tree = dict[Path, Entry]


def verdict(ledger: Ledger, survivors: Sequence[Replica], happened: set[str]) -> str | None:
    """What is wrong, or None: replicas are equal, nothing is lost or back, and nothing undisputed was touched."""
    return (
        _judge_trees(survivors)
        or _judge_replicas(survivors, len(ledger.writes))
        or _judge_acts(ledger, survivors, happened)
        or _judge_undisputed(ledger, survivors[0].live(), happened)
    )


def _judge_trees(replicas: Sequence[Replica]) -> str | None:
    tree, *others = [replica.live() for replica in replicas]
    if any(other.keys() != tree.keys() for other in others):
        return "trees differ"
    for other in others:
        for path, entry in tree.items():
            if _payload(other[path]) != _payload(entry):
                return "trees differ"
            if other[path].dot != entry.dot:
                return "dots differ"
            if other[path].metadata != entry.metadata:
                return "modes differ"
    if any(p not in tree or tree[p].kind != Kind.DIRECTORY for path in tree for p in above(path)):
        return "an orphan"
    return None


def _payload(entry: Entry) -> tuple[object, ...]:
    return entry.kind, entry.content, entry.size, entry.mtime_ns, entry.sparse


def _judge_replicas(replicas: Sequence[Replica], writes: int) -> str | None:
    states = [replica.state for replica in replicas]
    if any(list(state.pending()) for state in states):
        return "something stays pending"
    if any(vector != states[0].known for state in states for vector in (state.known, state.applied)):
        return "vectors differ"
    if sum(state.copies for state in states) > 3 * len(states) * (writes + 1):
        return "a storm of copies"
    return None


def _judge_acts(ledger: Ledger, survivors: Sequence[Replica], happened: set[str]) -> str | None:
    present, tree = survivors[0].contents(), survivors[0].live()
    if any(write not in present and ledger.is_owed(write, survivors) for write in ledger.writes):
        return "a write is lost"
    for replica, act in ledger.acts:
        now = tree.get(act.path)
        if now and _has_replaced(act, now, happened) and ledger.counts(replica, act, survivors):
            return "a replaced entry is back"
    return None


def _has_replaced(act: Entry, now: Entry, happened: set[str]) -> bool:
    """Equal payloads that were joined are one: who saw either saw both, unless the tombstone is gone that says so."""
    if act.dot == now.dot or not act.has_seen(now):
        return False
    return "collect" not in happened or covers_all(dict(act.version), now.version)


def _judge_undisputed(ledger: Ledger, tree: Tree, happened: set[str]) -> str | None:
    """Where content acts followed one another, the last is in place without a copy; the best mode holds everywhere."""
    if happened & {"die", "lose index", "roll back"}:
        return None
    paths = {act.path for _, act in ledger.acts}
    for path in paths:
        if b"~" not in name(path) and not any(is_below(p, path) for p in paths):
            if wrong := _judge_path(ledger, tree, path, paths):
                return wrong
    if "collect" in happened:
        return None
    for path in tree.keys() & paths:
        rivals = [e.metadata for e in [*(act for _, act in ledger.acts), *ledger.chmods] if e.path == path]
        if b"~" not in name(path) and tree[path].metadata.value != max(rivals, key=lambda m: m.rank).value:
            return "the best mode is lost"
    return None


def _judge_path(ledger: Ledger, tree: Tree, path: Path, paths: set[Path]) -> str | None:
    acts = sorted((act for _, act in ledger.acts if act.path == path), key=lambda act: act.rank)
    if not all(later.has_seen(former) for former, later in zip(acts, acts[1:], strict=False)):
        return None
    if acts[-1].is_leaf and (path not in tree or tree[path].content != acts[-1].content):
        return "an undisputed edit is not at its path"
    for other in tree.keys() - paths:
        if parent(other) == parent(path) and name(other).rpartition(b"~")[0] == name(path):
            return "a copy without a conflict"
    return None
