"""What happens to disks and to the machines around them: the power fails, disks are full, broken, coarse or covered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simulation.kinds import Draw, Kind, draw_crash, lasting
from simulation.ledger import tree_of
from twins.accidents import Snapshot
from twins.index import MemoryDisk

if TYPE_CHECKING:
    from simulation.faults import Faults
    from simulation.machine import Machine

SECOND_NS = 10**9


# -- processes and power ---------------------------------------------------------------------------------


def cut_power(faults: Faults, machine: Machine, effects: int, name: str = "") -> bool:
    """Now, or between any two of its next effects, or at so many of that name."""
    if effects == 0:
        machine.cut_power()
        return True
    machine.set_fuse(effects, name, is_power=True)
    return False


def crash_twice(faults: Faults, machine: Machine, first: int, second: int, is_power: bool) -> bool:
    """It is killed, or loses power, and is killed again while it recovers."""
    if machine.is_running:
        machine.set_fuse(first, is_power=is_power)
        machine.next_fuse = second, "", False
    return False


# -- space and errors ------------------------------------------------------------------------------------


def run_out_of_space(faults: Faults, machine: Machine, room: int, seconds: float) -> bool:
    """The disk is full after so many bytes more, in the middle of a file."""
    return _trouble(faults, machine, seconds, lambda: setattr(machine.volume.trouble, "room", room))


def fail_calls(faults: Faults, machine: Machine, what: str, chance: float, seconds: float) -> bool:
    """Some calls give an I/O error for a while."""

    def begin() -> None:
        machine.volume.trouble.chance = chance
        machine.volume.trouble.broken.add(what)

    return _trouble(faults, machine, seconds, begin)


def rot(faults: Faults, machine: Machine, seconds: float) -> bool:
    """What peers ask for is read wrongly, without any error, for a while."""
    return _trouble(faults, machine, seconds, lambda: machine.volume.trouble.broken.add("silent"))


def _trouble(faults: Faults, machine: Machine, seconds: float, begin: Callable[[], None]) -> bool:
    trouble = machine.volume.trouble
    if trouble.is_on:
        return False
    trouble.random.seed(machine.random.random())
    begin()
    faults.mends.append(trouble.end)
    faults.later(seconds, trouble.end)
    return True


def make_read_only(faults: Faults, machine: Machine, seconds: float) -> bool:
    """The file system is mounted read-only for a while, as after an error."""
    if machine.volume.is_read_only:
        return False

    def end() -> None:
        machine.volume.is_read_only = False

    machine.volume.is_read_only = True
    faults.mends.append(end)
    faults.later(seconds, end)
    return True


# -- what stands at the root's path ----------------------------------------------------------------------


def cover(faults: Faults, machine: Machine, seconds: float) -> bool:
    """An empty file system is mounted over the root for a while; those who watch it are told nothing."""
    if not machine.is_running or not machine.volume.is_writable or faults.is_unmounted(machine):
        return False
    machine.volume.cover()
    faults.mends.append(machine.volume.uncover)
    faults.later(seconds, machine.volume.uncover)
    return True


def remount(faults: Faults, machine: Machine, seconds: float) -> bool:
    """The volume is unmounted and mounted again, as another device."""
    if not machine.volume.is_writable or not faults.unmount(machine, seconds):
        return False
    machine.volume.remount()
    return True


# -- what is older than it should be ---------------------------------------------------------------------


def restore(faults: Faults, machine: Machine, what: str, seconds: float) -> bool:
    """It is copied, works on, and after a while its "index", its "volume", or "both" are brought back from the copy."""
    if not machine.is_running or not machine.volume.is_writable or machine.name in faults.away:
        return False
    machine.stop()
    index, volume = machine.snapshot_index(), machine.snapshot_volume()
    faults.later(seconds, lambda: _bring_back(faults, machine, index if what != "volume" else None, volume, what))
    return True


def _bring_back(faults: Faults, machine: Machine, index: MemoryDisk | None, volume: Snapshot, what: str) -> None:
    if machine not in faults.machines or not machine.volume.is_writable:
        return
    machine.kill()
    if index is not None:
        machine.restore_index(index)
    if what != "index":
        ledger = faults.users.ledger
        kept = {t.payload for m in faults.machines if m is not machine for t in tree_of(m.volume).values()}
        tree = tree_of(machine.volume)
        ledger.destroyed |= {thing.payload for thing in tree.values() if thing.is_leaf} - kept
        machine.restore_volume(volume)
    faults.users.ledger.doubt(tree_of(machine.volume))
    faults.users.ledger.is_memory_lost = True


# -- what a disk is like from now on -----------------------------------------------------------------------


def coarsen(faults: Faults, machine: Machine, seconds: int) -> bool:
    """Its times are whole seconds from now on, or even seconds: what is written twice in one shows the same times."""
    if machine.volume.granularity_ns > 1:
        return False
    machine.volume.granularity_ns = seconds * SECOND_NS
    return True


def reuse_inodes(faults: Faults, machine: Machine) -> bool:
    """The number of a deleted file is the next new file's."""
    if machine.volume.reuses_inodes:
        return False
    machine.volume.reuses_inodes = True
    return True


def _draw_calls(what: str) -> Callable[[Draw], tuple[Any, ...]]:
    return lambda draw: (what, draw.random.choice([0.3, 1.0]), draw.seconds(3.0))


DISK_KINDS = {
    "power cut": Kind(cut_power, draw_crash),
    "double crash": Kind(
        crash_twice,
        lambda draw: (draw.random.randrange(1, 30), draw.random.randrange(1, 30), draw.random.random() < 0.5),
    ),
    "no space": Kind(
        run_out_of_space, lambda draw: (draw.random.choice([0, 1, 20, 10_000, 100_000]), draw.seconds(4.0))
    ),
    "read error": Kind(fail_calls, _draw_calls("read")),
    "list error": Kind(fail_calls, _draw_calls("list")),
    "write error": Kind(fail_calls, _draw_calls("write")),
    "flush error": Kind(fail_calls, _draw_calls("sync")),
    "silent rot": Kind(rot, lasting(3.0)),
    "read-only": Kind(make_read_only, lasting(3.0)),
    "cover": Kind(cover, lasting(3.0)),
    "remount": Kind(remount, lasting(3.0)),
    "coarse clock": Kind(coarsen, lambda draw: (draw.random.choice([1, 2]),)),
    "inode reuse": Kind(reuse_inodes),
    "old index": Kind(restore, lambda draw: ("index", draw.seconds(20.0))),
    "old volume": Kind(restore, lambda draw: ("volume", draw.seconds(20.0))),
}
