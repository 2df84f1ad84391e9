"""Writes to an index until it is killed: each transaction puts a batch whose rows all bear the number of the batch.

Before a commit it prints the batch it is about to commit, after it the counter and the sequence that are committed.
"""

from __future__ import annotations

import sys

from contract.index_harness import file_at, stat_of
from syncagent.index import Index

ROWS = 40
DIRECTORY_ROWS = 10


def write_batch(index: Index, number: int) -> None:
    """Rewrite all rows and pending entries with the number of the batch as their stamp's twin, the size."""
    for row in range(ROWS):
        index.counter += 1
        path = b"%d/%d" % (row // DIRECTORY_ROWS, row)
        index.put_row(file_at(path, index.counter, index.counter, origin=index.origin, size=number), stat_of(row), None)
    index.put_pending(file_at(b"wanted", 1, 1, origin="peer", size=number))
    index.known = {index.origin: index.counter}
    index.set("batch", b"%d" % number)


def tell(*words: object) -> None:
    """Print a line in one write, so that a kill does not cut it."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def main(path: str) -> None:
    """Write and print until the end comes from outside."""
    index = Index.open(path, new_origin=lambda: "writer")
    number = int(index.get("batch") or b"0")
    tell("open", index.counter, index.sequence, index.is_new)
    while True:
        number += 1
        write_batch(index, number)
        if number % 11 == 0:
            index.counter += 4000  # reach the end of the reserved block often
        tell("commit", number)
        index.commit(durable=number % 3 == 0)
        tell("done", index.counter, index.sequence)


if __name__ == "__main__":
    main(sys.argv[1])
