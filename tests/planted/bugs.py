"""The planted bugs, as patches of source text. Their rules are those at the top of the core's ``reconcile``.

Bugs in what the core does not decide (when a pull is taken, in which order a rename is announced, which incarnation a
replica has) are patches of the replica that the schedules use.
"""

from __future__ import annotations

from dataclasses import dataclass

LOCAL, EXCHANGE, RECONCILE = "syncagent/core/local.py", "syncagent/core/exchange.py", "syncagent/core/reconcile.py"
WIRE_MODEL, HISTORY, REPLICA = "syncproto/model.py", "model/history.py", "model/replica.py"


@dataclass(frozen=True, slots=True)
class Bug:
    """``old`` occurs once in ``file`` and becomes ``new``; the schedule ``caught_by`` fails with it, not without."""

    name: str
    rule: int
    meaning: str
    file: str
    old: str
    new: str
    caught_by: str


BUGS = [
    Bug(
        "ARRIVAL_ORDER",
        1,
        "the last to arrive wins",
        RECONCILE,
        "(remote, local) if remote.rank > local.rank else (local, remote)",
        "(remote, local)",
        "a file on the name of a copy",
    ),
    Bug(
        "STAMP_IGNORES_PAST",
        1,
        "a change may rank below what it takes the place of",
        LOCAL,
        "(current.stamp if current else self.state.floor) + 1",
        "0 if current else self.state.floor + 1",
        "an edit by a slow clock",
    ),
    Bug(
        "NO_COPY",
        2,
        "a loser is not kept as a conflict copy",
        RECONCILE,
        "for path in conflict_paths(loser):",
        "for path in ():",
        "an adopted winner",
    ),
    Bug(
        "DELETE_WINS",
        2,
        "an edit does not survive a delete that had not seen it",
        RECONCILE,
        "self._mint(loser.path, content_of(loser), loser.stamp, winner, loser)",
        "pass",
        "a new directory and an old delete",
    ),
    Bug(
        "DELETE_WINS_OVER_DIRECTORY",
        2,
        "a new directory does not survive a delete that had not seen it",
        RECONCILE,
        "            self._mint(loser.path, content_of(loser), loser.stamp, winner, loser)",
        "            if loser.is_leaf:\n"
        "                self._mint(loser.path, content_of(loser), loser.stamp, winner, loser)",
        "a new directory and an old delete",
    ),
    Bug(
        "ONLY_THE_HOLDER_KEEPS",
        2,
        "who keeps its own entry drops the losing content that just arrived",
        RECONCILE,
        "if loser.is_live and not is_equal:",
        "if loser.is_live and not is_equal and loser is local:",
        "a file on the name of a copy",
    ),
    Bug(
        "REVIVE_COVERS",
        2,
        "a directory revived over a file covers it without keeping a copy",
        RECONCILE,
        "            if here.is_leaf:\n"
        "                self._preserve(here, stood_here=False)\n"
        "            seen = [] if here.is_live else [here]\n",
        "            seen = [here]\n",
        "a file in the way of a directory",
    ),
    Bug(
        "JOIN_ON_KEEP",
        3,
        "a kept winner claims to have seen the loser",
        RECONCILE,
        "is_equal = local.same_payload(remote)",
        "is_equal = local.same_payload(remote) or winner is local",
        "a file on the name of a copy",
    ),
    Bug(
        "JOIN_ON_ADOPT",
        3,
        "an adopted winner claims to have seen the loser",
        RECONCILE,
        "if is_equal:  #",
        "if is_equal or winner is remote:  #",
        "an adopted winner",
    ),
    Bug(
        "JOIN_IS_SILENT",
        3,
        "what was joined to an entry is not sent to those who know the entry without it",
        WIRE_MODEL,
        "return not all(covers(known, dot) for dot in entry.version)",
        "return not covers(known, entry.dot)",
        "two deletes",
    ),
    Bug(
        "EDIT_COVERS_PENDING",
        4,
        "an edit claims to have seen an entry whose content was not yet there",
        LOCAL,
        "        seen = [current] if current else []\n",
        "        seen = ([current] if current else []) + self.state.pending_at(path)\n",
        "an edit before the content came",
    ),
    Bug(
        "ACK_PENDING",
        4,
        "known is acknowledged as applied",
        EXCHANGE,
        "for entry in self.state.pending():",
        "for entry in ():",
        "a rename whose content died",
    ),
    Bug(
        "ACK_HIDDEN_BY_SUCCESSOR",
        5,
        "a pending entry holds back its own dot, not those it replaced",
        EXCHANGE,
        "in entry.speaks_for if",
        "in (entry.dot,) if",
        "a successor whose content is elsewhere",
    ),
    Bug(
        "COPY_FORGETS_ITS_ORIGIN",
        5,
        "a conflict copy does not speak for what its loser had seen",
        RECONCILE,
        "attributes=attributes, source=loser)",
        "attributes=attributes)",
        "a copy whose content is elsewhere",
    ),
    Bug(
        "RENAME_FORGETS_ITS_ORIGIN",
        5,
        "a renamed file does not speak for what it was under its old name",
        LOCAL,
        "*seen, attributes=attributes, source=source)",
        "*seen, attributes=attributes)",
        "a new name whose content is elsewhere",
    ),
    Bug(
        "CUT_PULL_RAISES_KNOWN",
        6,
        "a pull that broke off advances the summary vector over compacted holes",
        REPLICA,
        "            return []  # it broke off\n",
        "            for entry in batch[:stop]:\n"
        "                self.core.receive(entry)\n"
        "            last = batch[stop]\n"
        "            below = {origin: counter for origin, counter in known.items() if origin < last.origin}\n"
        "            self.state.known = merge(self.state.known, below | {last.origin: last.counter - 1})\n"
        "            self.work(clock, holders)\n"
        "            return batch[:stop]\n",
        "renamed, replaced, cut, dead",
    ),
    Bug(
        "CUT_PULL_IS_TAKEN",
        6,
        "what a pull brought before it broke off is taken",
        REPLICA,
        "            return []  # it broke off\n",
        "            self.hear_again(batch[:stop], clock)\n"
        "            self.work(clock, holders)\n"
        "            return batch[:stop]\n",
        "renamed, replaced, cut, dead",
    ),
    Bug(
        "DELETE_LAST_COPY",
        7,
        "a delete removes the local content that a pending entry needs",
        RECONCILE,
        "return here is None or not self.state.has_pending_wanting((entry.content, here.content), here.dot)",
        "return True",
        "a rename whose content died",
    ),
    Bug(
        "RENAME_DELETES_FIRST",
        8,
        "a rename announces the deletion before the creation",
        HISTORY,
        "first, second = create, delete",
        "first, second = delete, create",
        "half a rename and a death",
    ),
    Bug(
        "ACCEPT_DUPLICATES",
        9,
        "an entry below the known vector is taken again",
        EXCHANGE,
        "if is_news(remote, self.state.known):",
        "if True:",
        "an old message",
    ),
    Bug(
        "GC_NO_FLOOR",
        10,
        "a path whose tombstone is gone starts again with a low stamp",
        LOCAL,
        "(current.stamp if current else self.state.floor) + 1",
        "current.stamp + 1 if current else 0",
        "begun anew with a mode",
    ),
    Bug(
        "GC_NO_FENCE",
        10,
        "who lacks a collected tombstone gets an ordinary pull",
        EXCHANGE,
        "return not covers_all(self.state.known, collected.items())",
        "return False",
        "a forgotten member returns",
    ),
    Bug(
        "KEEP_INCARNATION",
        11,
        "after index loss the counters start again under the old name",
        REPLICA,
        "        self.incarnation += 1\n        self.members.clear()\n        self._begin()\n        for entry",
        "        self.members.clear()\n        self._begin()\n        for entry",
        "counters begun again",
    ),
    Bug(
        "RESCAN_IS_NEW",
        11,
        "after index loss the files on disk are stamped as fresh edits",
        LOCAL,
        "return self._mint(path, content, 0, attributes=attributes)",
        "return self._mint(path, content, CLOCK_MAX, attributes=attributes)",
        "a volume without its index",
    ),
    Bug(
        "NO_REASSERT",
        12,
        "content that died with its replica stays awaited for ever",
        EXCHANGE,
        "        self._let_it_stand(entry)\n        for delete",
        "        return\n        for delete",
        "a rename whose content died",
    ),
    Bug(
        "DEAD_RENAME_DELETES",
        12,
        "a rename whose new content died with its replica still deletes the old name",
        EXCHANGE,
        "for delete in self._deletes_waiting_for(entry):",
        "for delete in ():",
        "a rename whose content died",
    ),
    Bug(
        "COPY_NAME_TAKEN",
        13,
        "whatever lives at the name of a copy is taken for the copy",
        RECONCILE,
        "if here is not None and here.is_copy and not (stood_here and is_own_delete):",
        "if here is not None and (here.is_copy or here.is_live):",
        "a file on the name of a copy",
    ),
    Bug(
        "METADATA_CARRIES_CONTENT",
        14,
        "a chmod is a new version of the content",
        LOCAL,
        "        here = self._entry(path)\n        dot = self._next_dot()\n",
        "        here = self._entry(path)\n"
        "        return self._mint(path, content_of(here), clamped(clock), here, attributes=attributes)\n",
        "concurrent edit and chmod",
    ),
    Bug(
        "PLACEHOLDER_OVERRIDES",
        15,
        "a directory that is merely implied gets default metadata with a fresh stamp",
        RECONCILE,
        "            self._mint(path, DIRECTORY, now, here)\n",
        "            from syncproto.model import Attributes\n\n"
        "            self._mint(path, DIRECTORY, now, here, attributes=Attributes(0o755))\n",
        "a private directory",
    ),
    Bug(
        "METADATA_OF_THE_DEAD_IS_SILENT",
        15,
        "a tombstone's metadata is merged under its old dot, which others have dropped",
        RECONCILE,
        "if not loser.is_live and loser.metadata.rank > winner.metadata.rank:",
        "if False:",
        "the mode of a collected tombstone",
    ),
]
