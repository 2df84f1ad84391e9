"""The same random work on the SQLite index and on its twin: every answer is the same."""

from __future__ import annotations

import random
from pathlib import Path as FilePath

import pytest
from msgspec import structs

from contract.index_harness import (
    ATTRIBUTES,
    Home,
    MemoryHome,
    SqliteHome,
    digest_of,
    directory_at,
    file_at,
    stat_of,
    tombstone_at,
)
from syncagent.ports import Index
from syncproto.model import Entry, Path

PATHS = [
    b"/".join(parts) for parts in ([b"a"], [b"a", b"b"], [b"a", b"b", b"c"], [b"a", b"b0"], [b"b"], [b"b", b"\xff"])
]
STEPS = 400


def some_entry(dice: random.Random, counter: int) -> Entry:
    path, content = dice.choice(PATHS), dice.randrange(5)
    kind = dice.randrange(4)
    if kind == 0:
        return tombstone_at(path, counter, content)
    if kind == 1:
        return directory_at(path, counter)
    carried = (("c", dice.randrange(1, 9)),) if dice.random() < 0.3 else ()
    entry = file_at(path, counter, content, size=dice.randrange(100), carried=carried)
    return structs.replace(entry, is_copy=dice.random() < 0.3)


def step(dice: random.Random, counter: int, index: Index) -> None:
    entry, path = some_entry(dice, counter), dice.choice(PATHS)
    stat = stat_of(dice.randrange(3)) if dice.random() < 0.7 else None
    match dice.randrange(9):
        case 0 | 1:
            index.put(entry)
        case 2:
            index.put_row(entry, stat, ATTRIBUTES)
        case 3 | 4:
            index.put_pending(entry)
        case 5:
            index.drop(path)
        case 6:
            for pending in index.pending_at(path)[:2]:
                index.drop_pending(pending.dot)
        case 7:
            if index.entry(path):
                index.set_stat(path, stat, None)
        case 8:
            index.counter = counter
            (index.rollback if dice.random() < 0.3 else index.commit)()


def answers(index: Index, path: Path, number: int) -> list[object]:
    contents, dot = (digest_of(number % 5), digest_of(number % 3)), ("c", number % 9 + 1)
    return [
        *(list(rows) for rows in (index.entries(), index.tombstones(), index.pending(), index.changed_since(number))),
        *(index.live_below(path), index.has_live_below(path), index.children(path), list(index.rows_below(path))),
        *(index.row(path), index.pending_at(path), index.by_inode(number % 3), index.by_content(contents[0])),
        *(index.has_content(contents[0]), index.has_pending_wanting(contents, dot), list(index.pending_contents())),
        *(list(index.copies()), index.pending_with_content(contents[1])),
        *(index.digest, index.live_count, index.live_bytes, index.pending_count, index.pending_bytes),
        *(index.counter, index.sequence),
    ]


@pytest.mark.parametrize("seed", range(6))
def test_the_index_and_its_twin_give_the_same_answers(seed: int, tmp_path: FilePath) -> None:
    homes: list[Home] = [SqliteHome(tmp_path), MemoryHome()]
    left, right = (home.open() for home in homes)
    dice = random.Random(seed)
    for number in range(1, STEPS):
        for index in (left, right):
            step(random.Random(seed * STEPS + number), number, index)
        path = dice.choice([b"", *PATHS])
        assert answers(left, path, number) == answers(right, path, number), f"seed {seed}, step {number}"
    digest = left.digest
    left.recount()
    assert left.digest == digest
    left.close()
    right.close()
