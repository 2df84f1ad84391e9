"""A process that writes to an index is killed at any moment: what it committed is whole, and no dot comes twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path as FilePath

from contract.index_writer import ROWS
from syncagent.index import Index

KILLS = 15
TESTS = FilePath(__file__).parent.parent


def run_and_kill(path: FilePath, dice: random.Random) -> list[list[str]]:
    """Start a writer, kill it while it commits or writes, and give back the lines that it printed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    command = [sys.executable, "-m", "contract.index_writer", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline().split() for _ in range(dice.randrange(3, 60))]
        time.sleep(dice.random() * 0.002)
        writer.send_signal(signal.SIGKILL)
        lines += [line.split() for line in writer.stdout]
    assert writer.returncode == -signal.SIGKILL
    return lines


def test_a_killed_writer_leaves_whole_batches_and_unused_dots(tmp_path: FilePath) -> None:
    path, dice = tmp_path / "index.db", random.Random(7)
    counter = sequence = batch = 0
    for kill in range(KILLS):
        lines = run_and_kill(path, dice)
        word, opened_counter, opened_sequence, is_new = lines[0]
        assert (word, is_new) == ("open", str(kill == 0))
        assert int(opened_counter) >= counter
        assert int(opened_sequence) >= sequence
        done = [line for line in lines if line[0] == "done"]
        begun = [line for line in lines if line[0] == "commit"]
        counter, sequence = (int(number) for number in done[-1][1:])

        index = Index.open(path, new_origin=lambda: "never")
        assert (index.origin, index.was_clean, index.replaced) == ("writer", False, "")
        assert index.counter >= counter
        assert index.sequence >= sequence
        last = int(index.get("batch") or b"0")
        assert last in (batch + len(done), batch + len(begun))
        entries = list(index.entries())
        assert {entry.size for entry in [*entries, *index.pending()]} == {last}
        assert (len(entries), index.live_count, index.live_bytes) == (ROWS, ROWS, ROWS * last)
        assert (index.pending_count, index.pending_bytes) == (1, last)
        assert max(entry.counter for entry in entries) == index.known["writer"] <= index.counter
        digest = index.digest
        index.recount()
        assert index.digest == digest
        counter, sequence, batch = index.counter, index.sequence, last
        if kill % 4 == 3:
            index.close()  # else the next writer finds what a kill left
        else:
            abandon(index)


def abandon(index: Index) -> None:
    """Let go of the files without the note that the end was clean."""
    index._database.close()
    index._lock.release()
