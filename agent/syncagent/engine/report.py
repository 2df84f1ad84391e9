"""What one volume tells people: its status, what is held, what conflicts, and all that is known of a path."""

from __future__ import annotations

import os
from collections.abc import Iterable

from syncagent.core.conflict import copied_from
from syncagent.engine.problems import printable, rfc3339
from syncagent.engine.resolving import stands, writer_of
from syncagent.engine.volume import Volume
from syncagent.status import ConflictStatus, HeldStatus, ProblemStatus, ReplicaStatus, VolumeStatus, WhyStatus
from syncproto.model import Kind, Path
from syncproto.version import covers_all

RESIDUE = "was deleted elsewhere, and stays here for what it holds, which is not replicated"


def volume_status(volume: Volume, expected: Iterable[str]) -> VolumeStatus:
    """The row of ``syncctl status``; ``expected`` are configured addresses that have never answered."""
    context, index = volume.context, volume.context.index
    replicas = [_self_status(volume), *_member_statuses(volume)]
    replicas += [
        ReplicaStatus(
            name=address,
            self=False,
            connected=False,
            in_sync=False,
            entries_behind=None,
            bytes_behind=None,
            lag_seconds=None,
            last_seen=None,
            as_of=None,
            expected=True,
        )
        for address in expected
    ]
    state = "halted" if context.halt else "running" if volume.is_scanned else "scanning"
    return VolumeStatus(
        name=context.options.name,
        path=printable(context.options.path),
        state=state,
        direction=context.options.direction,
        watch=volume.watching.mode,
        ready=volume.is_ready,
        in_sync=all(replica.in_sync for replica in replicas),
        digest=None if context.halt else index.digest.hex(),
        entries=index.live_count,
        bytes=index.live_bytes,
        pending=index.pending_count,
        conflicts=len(conflicts(volume)),
        problems=context.problems.count_serious(),
        held=len(volume.lookout.departures.held) + len(volume.applier.holding.held),
        replicas=replicas,
        halt=context.halt,
        problem_codes=context.problems.codes(),
    )


def _self_status(volume: Volume) -> ReplicaStatus:
    context, index = volume.context, volume.context.index
    now = rfc3339(context.clock.wall_ns())
    is_in_sync = not volume.is_held_back() and not index.pending_count and volume.is_quiet()
    return ReplicaStatus(
        name=context.agent,
        self=True,
        connected=True,
        in_sync=is_in_sync,
        entries_behind=index.pending_count,
        bytes_behind=index.pending_bytes,
        lag_seconds=0.0 if is_in_sync else volume.herald.own_lag_seconds(),
        last_seen=now,
        as_of=now,
        incarnation=index.origin,
        direction=context.options.direction,
    )


def _member_statuses(volume: Volume) -> list[ReplicaStatus]:
    membership, names = volume.membership, volume.membership.names()
    result = []
    for member in membership.others():
        incarnation = member.incarnation
        entries, size = membership.behind(incarnation)
        seen = membership.last_seen(incarnation)
        result.append(
            ReplicaStatus(
                name=names[incarnation],
                self=False,
                connected=membership.is_connected(incarnation),
                in_sync=membership.is_in_sync(incarnation),
                entries_behind=entries,
                bytes_behind=size,
                lag_seconds=membership.lag_seconds(incarnation),
                last_seen=seen,
                as_of=seen,
                incarnation=incarnation,
                direction=member.direction,
            )
        )
    return result


def conflicts(volume: Volume) -> list[ConflictStatus]:
    """The conflict copies that are still in the volume."""
    result = []
    for entry in volume.context.index.copies():
        original, _ = copied_from(entry.path)
        result.append(
            ConflictStatus(
                path=printable(entry.path),
                of=printable(original),
                origin=writer_of(entry),
                size=entry.size,
                stands=stands(volume, original),
            )
        )
    return result


def held(volume: Volume) -> list[HeldStatus]:
    """Deletes kept back by the brake, here and from peers."""
    index = volume.context.index
    result = []
    for path in sorted(volume.lookout.departures.held):
        entry = index.entry(path)
        result.append(HeldStatus(path=printable(path), where="deleted here", size=entry.size if entry else 0))
    for dot in sorted(volume.applier.holding.held):
        if (delete := index.pending_entry(dot)) is not None:
            entry = index.entry(delete.path)
            size = entry.size if entry else 0
            result.append(HeldStatus(path=printable(delete.path), where="deleted by a peer", size=size))
    return result


def why(volume: Volume, path: Path) -> WhyStatus:
    """All that is known of one path."""
    context, index = volume.context, volume.context.index
    details: list[str] = []
    state = "unknown"
    row, pending = index.row(path), index.pending_at(path)
    if context.halt:
        details.append(f"the volume is halted: {context.halt}")
    if row is not None and row.entry.is_live:
        state = "replicated"
        entry = row.entry
        kinds = {Kind.FILE: f"a file of {entry.size} bytes", Kind.DIRECTORY: "a directory", Kind.SYMLINK: "a symlink"}
        details.append(
            f"{kinds[entry.kind]}, last changed by {entry.origin.rpartition('.')[0]} (change {entry.counter})"
        )
        if entry.is_copy:
            details.append("it is a conflict copy")
        if row.stat is None:
            details.append("the disk here is not known to hold it")
    elif row is not None:
        state = "deleted"
        details.append(
            f"deleted by {row.entry.origin.rpartition('.')[0]}; kept as a tombstone until all have applied it"
        )
    if context.rules.ignores(path) or context.rules.ignores(path, is_directory=True):
        state = "ignored"
        details.append("ignored by .syncignore")
    elif volume.lookout.is_left_out(path):
        state = "left out"
        details.append("left out by its name: it is never replicated")
    if path in volume.lookout.dirty or path in volume.lookout.departures:
        details.append("queued: it may have changed here and is about to be looked at")
    if path in volume.lookout.departures.held:
        state = "held"
        details.append("its deletion is held by the brake: see 'syncctl hold'")
    for entry in pending:
        state = "pending" if state == "unknown" else state
        held_here = entry.dot in volume.applier.holding.held
        what = "a deletion" if not entry.is_live else f"a version of {entry.size} bytes"
        cause = "held by the brake" if held_here else "waits for its content" if entry.is_live else "waits"
        details.append(f"{what} from {entry.origin.rpartition('.')[0]} is pending: {cause}")
    details += [problem.text for problem in problems(volume) if problem.path == printable(path)]
    details.append(f"watched by {'events' if volume.watching.mode == 'events' else 'polling'}")
    if state == "unknown":
        details.append("no entry: it was never seen here, or its name is mistyped")
    return WhyStatus(path=printable(path), state=state, details=details, lacking=_lacking(volume, path))


def problems(volume: Volume) -> list[ProblemStatus]:
    """What is wrong, and the directories that stay though they were deleted elsewhere."""
    residues = [
        ProblemStatus(
            code="residue", text=RESIDUE, remedy="remove it, if nothing in it is needed", path=printable(path)
        )
        for path in sorted(volume.context.residues)
    ]
    return [*volume.context.problems, *residues]


def _lacking(volume: Volume, path: Path) -> list[str]:
    """The members that have not applied what stands at the path here."""
    entry = volume.context.index.entry(path)
    if entry is None:
        return []
    names = volume.membership.names()
    needed = (*entry.version, entry.metadata.dot)
    return [
        names[member.incarnation]
        for member in volume.membership.others()
        if not covers_all(volume.membership.applied_of(member.incarnation), needed)
    ]


def inside(volume: Volume, path: bytes) -> Path | None:
    """``path`` relative to the volume, if it is absolute and below its root, or relative already."""
    root = os.path.abspath(volume.context.options.path)
    if not path.startswith(b"/"):
        return os.path.normpath(path) if path else None
    path = os.path.normpath(path)
    return path[len(root) + 1 :] if path.startswith(root + b"/") else None
