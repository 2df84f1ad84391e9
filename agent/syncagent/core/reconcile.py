"""How replicas reconcile. Pure: a decision changes nothing but the ``State`` it is made on. Ideas, each with one job:

* ``stamp`` (a hybrid logical clock) makes the entries of a path totally ordered. The largest rank wins on every
  replica, whatever the order of arrival: that alone gives convergence.
* ``version`` (a version vector of this path) only answers "had the writer of this entry seen that one?". It decides
  whether a loser was overwritten knowingly, or must be preserved.
* ``carried`` is what an entry speaks for beyond its path: the history of the file that was moved or copied here. It
  holds back acknowledgements and the delete of the old name, and decides nothing else.
* ``metadata`` is a register of its own, with its own dot and stamp.
* ``known``: "I need nothing at or below this". ``applied``: "all of it is on my disk, replaced knowingly, or kept as a
  copy".

Known gaps: a tombstone does not know what was merely outranked at its path before; a third replica that dropped it and
then gets such an entry by relay, before the copy that was made of it, keeps the entry live where others have only the
copy. A directory that takes the place of a file inherits the register with the file's mode. Versions only grow.

Rules. Each has planted bugs (``tests/planted``) that show what breaks without it.

 1. The largest rank wins; a new entry ranks above what it takes the place of.
 2. Of two concurrent entries the loser is kept: a file or symlink as a conflict copy, anything live against a delete by
    reviving it, whichever side it was.
 3. Versions are joined only where payloads are equal. Nobody claims to have seen what was merely ranked. A joined
    version is news: it is sent to those who know the entry without it.
 4. An entry resolves only when its content is at hand. Until then it is *pending*: known, relayed, shown, but not seen
    by the user, not covered by his edits, not acknowledged.
 5. A pending entry holds back every origin that its version, its metadata or its ``carried`` speaks for.
 6. A pull is taken whole, together with the vector that its sender stated at the start, or not at all: the unread rest
    of one that broke off may hold what its writer moved elsewhere first, and compaction leaves holes below its dots.
 7. A delete waits while a pending entry wants the content that it would remove, or carries it: the file was renamed,
    perhaps edited, and its new content is not here yet.
 8. A rename announces the creation before the deletion.
 9. What is at or below ``known`` is not taken again.
10. A tombstone goes when all have applied all that it covers, and nothing is pending at its path here. A path begun
    anew ranks above all dropped tombstones; who lacks one gets a full exchange.
11. After index loss a new incarnation starts, and what it finds ranks lowest.
12. When a replica is gone for ever, content that only it had is given up and what is here stands again, under an old
    name too.
13. A copy takes the first name of its series that is free, has the same content, or has held this copy before; a user's
    own file on such a name stays where it is. A copy that was deleted stays deleted, but where its loser still stood.
14. A change of metadata keeps the content's dot; the larger rank wins; equal content never conflicts.
15. A revived directory keeps the best known metadata; an implied one has a placeholder, which ranks below any real
    value. Who merges a tombstone's metadata into an entry from elsewhere mints it again, since others may have dropped
    the tombstone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import structs

from syncagent.core.conflict import conflict_paths
from syncagent.core.exchange import Exchange
from syncagent.core.local import DIRECTORY, clamped, content_of
from syncproto.model import Entry, Kind, Path
from syncproto.paths import above

IsAtHand = Callable[[bytes], bool]
"""Whether the content with this digest is staged, or can be fetched now."""


class Reconciler(Exchange):
    """Decides what pending entries make of what is here. Deletes come last: see ``work`` for the order."""

    def work(self, clock: int, is_at_hand: IsAtHand) -> list[Entry]:
        """Resolve what can be resolved, then acknowledge; returns what was integrated."""
        integrated: list[Entry] = []
        progress = True
        while progress:
            progress = False
            for entry in self._pending_deletes_last():
                if self.is_settled(entry):
                    self.settle(entry)
                elif self.is_ready(entry, is_at_hand):
                    self.integrate(entry, clock)
                    integrated.append(entry)
                else:
                    continue
                progress = True
        self.acknowledge()
        return integrated

    def _pending_deletes_last(self) -> Iterator[Entry]:
        """What is pending now, each as it is when its turn comes."""
        order = [e.dot for e in sorted(self.state.pending(), key=lambda e: (not e.is_live, e.dot))]
        for dot in order:
            if entry := self.state.pending_entry(dot):
                yield entry

    # -- what is known or replaced already -----------------------------------------------------

    def is_settled(self, entry: Entry) -> bool:
        """Whether what is here, or another pending entry, is this one or has seen it."""
        rivals = [e for e in self.state.pending_at(entry.path) if e.dot != entry.dot]
        here = self.state.entry(entry.path)
        if here is not None:
            rivals.append(here)
        return any(rival.dot == entry.dot or rival.has_seen(entry) for rival in rivals)

    def settle(self, entry: Entry) -> None:
        """Forget a settled pending entry; its metadata may still be the best."""
        self.state.drop_pending(entry.dot)
        here = self.state.entry(entry.path)
        if here is not None and here.dot == entry.dot:
            self._put(here.joined_with(entry))
        self._merge_metadata(entry.path, entry.metadata)

    # -- resolving -----------------------------------------------------------------------------

    def is_ready(self, entry: Entry, is_at_hand: IsAtHand) -> bool:
        """A file needs its content, held here under any name or at hand (rule 4); a delete may wait (rule 7)."""
        if entry.kind == Kind.FILE:
            digest = entry.content
            return digest is not None and (self.state.has_content(digest) or is_at_hand(digest))
        here = None if entry.is_live else self.state.entry(entry.path)
        return here is None or not self.state.has_pending_wanting((entry.content, here.content), here.dot)

    def integrate(self, entry: Entry, clock: int) -> None:
        """Resolve a pending entry that is ready, against what is here, and keep the tree whole."""
        self.state.drop_pending(entry.dot)
        here = self.state.entry(entry.path)
        if here is None:
            self._put(entry)
        elif entry.has_seen(here):
            self._put(entry.with_metadata(here.metadata))
            self._tell_what_a_tombstone_had(here, entry)
        else:
            self._resolve(here, entry)
        self._keep_the_tree_whole(entry.path, clamped(clock))

    def _resolve(self, local: Entry, remote: Entry) -> None:
        """The two are concurrent, and both contents are here: the larger rank stays, the other is kept aside."""
        winner, loser = (remote, local) if remote.rank > local.rank else (local, remote)
        is_equal = local.same_payload(remote)
        if is_equal:  # nothing to preserve, so the join hides nothing
            winner = winner.joined_with(loser)
        self._put(winner.with_metadata(loser.metadata))
        self._tell_what_a_tombstone_had(loser, winner)
        if loser.is_live and not is_equal:
            self._keep_the_loser(loser, winner, stood_here=loser is local)

    def _tell_what_a_tombstone_had(self, loser: Entry, winner: Entry) -> None:
        """Rule 15: a register that was taken over from a tombstone, which others may have dropped."""
        if not loser.is_live and loser.metadata.rank > winner.metadata.rank:
            self._mint_metadata_again(loser.path)

    def _keep_the_loser(self, loser: Entry, winner: Entry, *, stood_here: bool) -> None:
        if not winner.is_live:  # what lives survives a delete that had not seen it
            self._mint(loser.path, content_of(loser), loser.stamp, winner, loser)
        elif loser.is_leaf:
            self._preserve(loser, stood_here=stood_here)

    def _preserve(self, loser: Entry, *, stood_here: bool) -> None:
        """Rule 13: keep a file or symlink under a conflict name.

        A copy that a user deleted stays deleted, unless he did so here, where the loser still ``stood_here``: then he
        removed what was there twice, or took the copy back, and did not give up the loser.
        """
        for path in conflict_paths(loser):
            here = self.state.entry(path)
            is_own_delete = here is not None and not here.is_live and here.origin == self.state.origin
            if here is not None and here.is_copy and not (stood_here and is_own_delete):
                return  # it is this copy, or what users made of it
            rivals = self.state.pending_at(path) + ([here] if here else [])
            if all(rival.is_copy or not rival.is_live or rival.same_payload(loser) for rival in rivals):
                self._mint_copy(path, loser, here)
                return

    def _mint_copy(self, path: Path, loser: Entry, here: Entry | None) -> None:
        value = loser.metadata.value
        # The time that counts goes with the content; a register minted now would outrank it with an older touch.
        attributes = structs.replace(value, mtime_ns=None) if value else None
        seen = [here] if here else []
        copy = self._mint(path, content_of(loser), loser.stamp, *seen, attributes=attributes, source=loser)
        self._put(structs.replace(copy, is_copy=True))

    # -- the tree ------------------------------------------------------------------------------

    def _keep_the_tree_whole(self, path: Path, now: int) -> None:
        """Every live entry has live directories above it; a directory with live children stays."""
        here = self._entry(path)
        if here.kind != Kind.DIRECTORY and self.state.has_live_below(path):
            if here.is_leaf:
                self._preserve(here, stood_here=False)
            seen = [] if here.is_live else [here]
            self._mint(path, DIRECTORY, here.stamp, *seen)
        if self._is_live(path):
            for directory in above(path):
                self._make_a_directory(directory, now)

    def _make_a_directory(self, path: Path, now: int) -> None:
        here = self.state.entry(path)
        if here is None:
            self._mint(path, DIRECTORY, 0)
        elif not here.is_live:
            self._mint(path, DIRECTORY, now, here)
        elif here.is_leaf:
            self._preserve(here, stood_here=True)
            self._mint(path, DIRECTORY, now)
