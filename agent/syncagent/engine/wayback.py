"""The way back: what stood at paths before, brought back as new versions that everybody gets.

A person's wish is an entry of this replica that is pending like a peer's: known, told to all, and applied here when its
content is at hand, from the history here or from whoever keeps it. What a user here does before that takes its place;
what users elsewhere do meanwhile is concurrent with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from msgspec import structs

from syncagent.core.detect import creations_first, deletions_first
from syncagent.core.local import Content, content_of
from syncagent.engine.problems import printable, rfc3339
from syncagent.ports import Past
from syncagent.status import CommandRefused, HistoryStatus, PastStatus, UndoResult
from syncproto.model import Entry, Kind, Path
from syncproto.paths import is_below
from syncproto.version import merge

if TYPE_CHECKING:
    from syncagent.engine.volume import Volume

LISTED_MAX = 1000

WORDS = {Kind.TOMBSTONE: "deleted", Kind.FILE: "written", Kind.DIRECTORY: "made a directory", Kind.SYMLINK: "linked"}


def require_sound(volume: Volume) -> None:
    """Raise ``CommandRefused`` where nothing can be applied."""
    if volume.context.halt:
        raise CommandRefused(f"{volume.context.options.name} is halted: {volume.context.halt}", 5)


def is_at_hand(volume: Volume, entry: Entry) -> bool:
    """Whether this replica has what the entry stands for: in the volume, in the history, or in the entry itself."""
    index = volume.context.index
    if entry.kind != Kind.FILE or not entry.size:
        return True
    digest = entry.content
    return digest is not None and (index.has_content(digest) or bool(index.kept_with_content(digest, 1)))


class Wishes:
    """Collects what a person wants, then makes new versions of it: what is brought back first, then what goes."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._back: dict[Path, Entry] = {}
        self._gone: set[Path] = set()
        self._sources: dict[Path, Entry] = {}

    def __len__(self) -> int:
        return len(self._back) + len(self._gone)

    def is_free(self, path: Path) -> bool:
        """Whether nothing is wished for the path yet."""
        return path not in self._back

    def bring_back(self, path: Path, former: Entry, source: Entry | None = None) -> bool:
        """What ``former`` stands for shall be at the path; False if that stands there already.

        ``source``: the entry that is moved there.
        """
        here = self._volume.context.index.entry(path)
        if here is not None and here.same_payload(former):
            return False
        self._back[path] = former
        if source is not None:
            self._sources[path] = source
        return True

    def let_go(self, path: Path) -> bool:
        """Nothing shall be at the path; False if that is so."""
        here = self._volume.context.index.entry(path)
        if here is None or not here.is_live:
            return False
        self._gone.add(path)
        return True

    def grant(self) -> None:
        """Mint the new versions. A person ordered them: no brake holds the deletes among them, here or elsewhere."""
        volume, context = self._volume, self._volume.context
        if not len(self):
            return
        clock = context.clock.wall_ns()
        for path in creations_first(self._back):
            former = self._back[path]
            value = former.metadata.value
            attributes = structs.replace(value, mtime_ns=None) if value is not None else None
            source = self._sources.get(path)
            self._wake(context.reconciler.wish(path, content_of(former), clock, attributes=attributes, source=source))
        for path in deletions_first(self._gone):
            self._wake(context.reconciler.wish(path, Content(Kind.TOMBSTONE), clock))
        if self._gone:
            released = merge(volume.membership.released, {context.index.origin: context.index.counter})
            volume.membership.set_released(released)
            volume.applier.release_up_to(released)
            volume.tell_members()
        context.is_changed = True

    def _wake(self, wished: Entry) -> None:
        self._volume.applier.wake([wished])


# -- restore ---------------------------------------------------------------------------------------------


class Restoration:
    """What is to be brought back of a path, or of all below it; part of it may be kept by others alone."""

    def __init__(self, volume: Volume, path: Path, at_ns: int | None) -> None:
        """Raises ``CommandRefused`` where nothing is to be brought back."""
        require_sound(volume)
        self._volume = volume
        self.wishes = Wishes(volume)
        self.lacking: dict[Path, Entry] = {}
        self.since: int | None = None
        index, name = volume.context.index, volume.context.options.name
        own, below = index.history_of(path), list(_by_path(index.history_below(path)).items())
        if not own and not below:
            raise CommandRefused(f"{name}: no change of {printable(path)} is remembered here", 1)
        for each, pasts in [(path, own), *below]:
            here = index.entry(each)
            if below and at_ns is None and here is not None and here.is_live:
                continue  # a directory is filled with what is missing of it
            self._plan(each, pasts, at_ns)
        if not len(self.wishes) and not self.lacking:
            when = "before" if at_ns is None else f"at {rfc3339(at_ns)}"
            text = f"{printable(path)} is as it was {when}, or was not there: 'syncctl history' shows what is kept"
            raise CommandRefused(f"{name}: {text}", 1)

    def _plan(self, path: Path, pasts: list[Past], at_ns: int | None) -> None:
        past = _last_good(pasts, at_ns, lambda entry: is_at_hand(self._volume, entry))
        if past is not None and past.before is not None:
            self.wishes.bring_back(path, past.before)
            return
        past = _last_good(pasts, at_ns, lambda entry: True)
        if past is not None and past.before is not None:
            self.lacking[path] = past.before
            self.since = past.stamp if self.since is None else min(self.since, past.stamp)

    def grant(self, kept_elsewhere: Iterable[Entry], silent: list[str]) -> UndoResult:
        """Bring back what is kept, here or elsewhere."""
        for entry in kept_elsewhere:
            wanted = self.lacking.get(entry.path)
            if wanted is not None and wanted.same_payload(entry):
                self.wishes.bring_back(entry.path, self.lacking.pop(entry.path))
        self.wishes.grant()
        lacking = [printable(path) for path in sorted(self.lacking)]
        return UndoResult(reverted=len(self.wishes), unchanged=0, lacking=lacking[:LISTED_MAX], silent=silent)


def _last_good(pasts: list[Past], at_ns: int | None, is_good: Callable[[Entry], bool]) -> Past | None:
    """The change before which a good content stood, at a time or at last; ``pasts`` are newest first."""
    if at_ns is not None:
        pasts = [past for past in pasts if past.stamp > at_ns][-1:]
    for past in pasts:
        if past.before is not None and past.before.is_live and is_good(past.before):
            return past
    return None


def _by_path(pasts: Iterable[Past]) -> dict[Path, list[Past]]:
    found: dict[Path, list[Past]] = {}
    for past in pasts:
        found.setdefault(past.path, []).append(past)
    return found


# -- history -----------------------------------------------------------------------------------------------


def history(volume: Volume, path: Path | None) -> HistoryStatus:
    """The changes of one path and of what is below it, or the latest of all, newest first."""
    context, index = volume.context, volume.context.index
    if path is None:
        pasts = index.latest_history(LISTED_MAX)
    else:
        pasts = sorted([*index.history_of(path), *index.history_below(path)], key=lambda past: -past.number)
    sums = index.history_sums
    return HistoryStatus(
        volume=context.options.name,
        changes=[_past_status(volume, past) for past in pasts[:LISTED_MAX]],
        total=sums.changes,
        kept=sums.kept,
        kept_bytes=sums.kept_bytes,
        kept_bytes_max=context.options.history_size,
        age_seconds=context.options.history_age,
    )


def _past_status(volume: Volume, past: Past) -> PastStatus:
    before = past.before if past.before is not None and past.before.is_live else None
    what = WORDS[past.kind]
    if past.dot[0] == "":
        what = "replaced or deleted"
    elif before is None and past.kind == Kind.FILE:
        what = "created"
    elif before is not None and before.kind == past.kind == Kind.FILE:
        what = "replaced"
    return PastStatus(
        volume=volume.context.options.name,
        path=printable(past.path),
        time=rfc3339(past.stamp),
        by=past.dot[0].rpartition(".")[0] or "?",
        what=what,
        before=None if before is None else before.kind.name.lower(),
        size=before.size if before is not None else 0,
        is_kept=before is not None and is_at_hand(volume, before),
    )


def is_within(path: Path, scope: Path) -> bool:
    """Whether a path is the scope or below it; the empty scope is everything."""
    return not scope or path == scope or is_below(path, scope)
