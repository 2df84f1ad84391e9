"""Kills the real agent at its N-th system call of each kind, for N = 1, 2, 3 … until a run ends without a kill.

``python -m crash.run [--every K] [--offset O] [--kinds a,b] [--double] [--lose-index] [--blind] [--only WHO:KIND:N]``,
in the directory ``tests``. Prints, for each kind and thread, how many points there are, how many were tried, and how
many went wrong; 1 if any did. A point that went wrong is tried again by ``--only``; what it left is kept.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from itertools import count
from multiprocessing import Pool
from pathlib import Path

from crash.round import Outcome, Point, Round, Variant, play

KINDS = (
    "write,pwrite64,fsync,fdatasync,syncfs,rename,renameat,renameat2,link,linkat,unlink,unlinkat,rmdir,mkdir,mkdirat,"
    "symlink,symlinkat,ftruncate,sendto,sendmsg,copy_file_range,setxattr,fsetxattr,lsetxattr,fchmod,fchown,fchownat,"
    "utimensat"
).split(",")
THREADS = "main", "engine", "work", "net"

Work = tuple[str, Point, Variant]


def census(kinds: list[str], variant: Variant) -> Counter[tuple[str, str]]:
    """How many calls each kind of thread makes of each kind, in a run without a kill."""
    most: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "round"
        outcome = Round(root, Point("all", ",".join(kinds), 0), variant).play()
        assert not outcome.wrong, outcome.wrong
        for trace in root.glob("trace0.*"):
            who = trace.name.split(".")[1]
            calls = Counter(line.partition("(")[0] for line in trace.read_text().splitlines())
            for kind in set(calls) & set(kinds) if who in THREADS else ():
                most[who, kind] = max(most[who, kind], calls[kind])
    return most


def points(calls: Counter[tuple[str, str]], every: int, offset: int) -> list[Point]:
    """Of each kind every so-manieth, and at least one."""
    return [
        Point(who, kind, number)
        for (who, kind), last in sorted(calls.items())
        for number in range(1 + offset % min(every, last), last + 1, every)
    ]


def try_point(work: Work) -> Outcome:
    """One round in a place of its own."""
    place, point, variant = work
    return play(Path(place) / str(point).replace(":", "-"), point, variant)


def beyond(place: str, calls: Counter[tuple[str, str]], variant: Variant) -> list[Outcome]:
    """Behind the last that was counted, until a run ends without a kill: not every run makes as many calls."""
    outcomes = []
    for (who, kind), last in sorted(calls.items()):
        for number in count(last + 1):
            outcomes.append(shown(try_point((place, Point(who, kind, number), variant)), place))
            if outcomes[-1].kills == 0:
                break
            calls[who, kind] = number
    return outcomes


def main(arguments: argparse.Namespace) -> int:
    """Count, kill, print."""
    variant = Variant(arguments.double, arguments.lose_index, arguments.blind)
    kinds, begun = arguments.kinds.split(","), time.monotonic()
    if arguments.only:
        who, kind, number = arguments.only.split(":")
        chosen, calls = [Point(who, kind, int(number))], Counter({(who, kind): int(number)})
    else:
        calls = census(kinds, variant)
        chosen = points(calls, arguments.every, arguments.offset)
    place = tempfile.mkdtemp(prefix="crash-")
    with Pool(arguments.parallel) as pool:
        work = [(place, point, variant) for point in chosen]
        outcomes = [shown(outcome, place) for outcome in pool.imap_unordered(try_point, work, chunksize=1)]
    if arguments.every == 1 and not arguments.only:
        outcomes += beyond(place, calls, variant)
    report(calls, outcomes, time.monotonic() - begun)
    return 1 if any(outcome.wrong for outcome in outcomes) else 0


def shown(outcome: Outcome, place: str) -> Outcome:
    """Says at once what went wrong."""
    if outcome.wrong:
        print(f"{outcome.point}, in {place}:", *outcome.wrong, sep="\n  ", flush=True)
    return outcome


def report(calls: Counter[tuple[str, str]], outcomes: list[Outcome], seconds: float) -> None:
    """A line a kind, and the sum."""
    print(f"{'thread':10} {'call':16} {'points':>6} {'tried':>6} {'kills':>6} {'wrong':>6}")
    for (who, kind), number in sorted(calls.items()):
        mine = [outcome for outcome in outcomes if (outcome.point.who, outcome.point.kind) == (who, kind)]
        kills, wrong = sum(outcome.kills for outcome in mine), sum(bool(outcome.wrong) for outcome in mine)
        print(f"{who:10} {kind:16} {number:6} {len(mine):6} {kills:6} {wrong:6}")
    killed, wrong = sum(outcome.kills > 0 for outcome in outcomes), sum(bool(o.wrong) for o in outcomes)
    print(f"{len(outcomes)} of {calls.total()} crash points: {killed} killed, {wrong} wrong ({seconds:.0f} s)")


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--offset", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--double", action="store_true")
    parser.add_argument("--lose-index", action="store_true")
    parser.add_argument("--blind", action="store_true")
    parser.add_argument("--only", metavar="WHO:KIND:N")
    parser.add_argument("--parallel", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main(parsed()))
