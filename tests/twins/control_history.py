"""The part of the ``Control`` in memory that leads back: changes that are remembered, and conflicts that end."""

from __future__ import annotations

import os
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass

from syncagent.engine.problems import printable
from syncagent.engine.times import moment_ns
from syncagent.status import CommandRefused, HistoryStatus, PastStatus, UndoResult
from twins.control_volume import ENTRY_BYTES, MemoryVolume, now

KEPT_BYTES_MAX = 2**30
AGE_SECONDS = 7 * 86400.0


@dataclass
class Asked:
    """An undo that is done once its result was asked for so many times."""

    result: UndoResult
    turns: int = 1


class MemoryHistoryControl(ABC):
    """Thread-safe, as what is built on it."""

    lock: threading.RLock

    @abstractmethod
    def _chosen(self, volume: str | None) -> dict[str, MemoryVolume]:
        """The volumes that are meant."""

    def history(self, volume: str | None, path: bytes | None) -> list[HistoryStatus]:
        with self.lock:
            return [self._told(name, chosen, path) for name, chosen in self._chosen(volume).items()]

    def _told(self, name: str, volume: MemoryVolume, path: bytes | None) -> HistoryStatus:
        changes = [past for past in volume.pasts if path is None or _is_within(past.path, printable(path))]
        kept = [past for past in volume.pasts if past.is_kept]
        return HistoryStatus(
            volume=name,
            changes=changes,
            total=len(volume.pasts),
            kept=len(kept),
            kept_bytes=len(kept) * ENTRY_BYTES,
            kept_bytes_max=KEPT_BYTES_MAX,
            age_seconds=AGE_SECONDS,
        )

    def restore(self, volume: str | None, path: bytes, at: str | None) -> object:
        if at is not None:
            moment_ns(at, time.time_ns())
        with self.lock:
            for name, chosen in self._places(volume, path).items():
                self._require_sound(name, chosen)
                found = [past for past in chosen.pasts if _is_within(past.path, printable(path))]
                if found:
                    return Asked(_reverted(chosen, found))
        name = next(iter(self._chosen(volume)))
        raise CommandRefused(f"{name}: no change of {printable(path)} is remembered here", 1)

    def undo(self, volume: str | None, since: str, path: bytes | None) -> object:
        stamp = moment_ns(since, time.time_ns())
        result = UndoResult(reverted=0, unchanged=0)
        with self.lock:
            for name, chosen in self._places(volume, path).items():
                self._require_sound(name, chosen)
                if chosen.held:
                    text = f"{name}: {len(chosen.held)} deletes are held: decide with 'syncctl revert' or"
                    raise CommandRefused(f"{text} 'syncctl release' first", 5)
                scope = printable(path) if path else ""
                found = [p for p in chosen.pasts if _is_within(p.path, scope) and moment_ns(p.time, 0) >= stamp]
                one = _reverted(chosen, found)
                result.reverted += one.reverted
                result.lacking += one.lacking
        return Asked(result)

    def undone(self, token: object) -> UndoResult | None:
        assert isinstance(token, Asked)
        token.turns -= 1
        return token.result if token.turns < 0 else None

    def resolve(self, volume: str | None, path: bytes, keep: str) -> list[str]:
        asked = printable(path)
        with self.lock:
            for name, chosen in self._places(volume, path).items():
                self._require_sound(name, chosen)
                found = [each for each in chosen.conflicts if asked in (each.path, each.of)]
                if not found:
                    continue
                writers = {found[0].stands, *(each.origin for each in found)}
                if keep != "both" and keep not in writers:
                    listed = ", ".join(sorted(writers))
                    raise CommandRefused(f"{keep!r} wrote no content of {found[0].of}: keep {listed} or both", 2)
                chosen.conflicts = [each for each in chosen.conflicts if each not in found]
                chosen.grow(2 * len(found))
                return [f"{name}: the content of {keep} stands at {found[0].of}"]
        raise CommandRefused(f"{next(iter(self._chosen(volume)))}: there is no conflict copy of {asked}", 1)

    def _places(self, volume: str | None, path: bytes | None) -> dict[str, MemoryVolume]:
        """The volumes in which the path may be meant."""
        found = {
            name: chosen
            for name, chosen in self._chosen(volume).items()
            if path is None or not path.startswith(b"/") or path.startswith(chosen.root + b"/")
        }
        if not found:
            raise CommandRefused(f"{os.fsdecode(path or b'')} is in no volume of this agent", 2)
        return found

    def _require_sound(self, name: str, volume: MemoryVolume) -> None:
        if volume.halt:
            raise CommandRefused(f"{name} is halted: {volume.halt}", 5)


def created(volume: str, path: str, by: str) -> PastStatus:
    """A file that was not there before."""
    return PastStatus(volume=volume, path=path, time=now(), by=by, what="created", before=None, size=0, is_kept=False)


def _is_within(path: str, scope: str) -> bool:
    return not scope or path == scope or path.startswith(scope + os.sep)


def _reverted(volume: MemoryVolume, pasts: list[PastStatus]) -> UndoResult:
    paths = {past.path: past for past in pasts}
    lacking = sorted(path for path, past in paths.items() if past.before is not None and not past.is_kept)
    count = len(paths) - len(lacking)
    volume.deletes += sum(past.before is None for past in paths.values())
    volume.grow(count)
    return UndoResult(reverted=count, unchanged=0, lacking=lacking)
