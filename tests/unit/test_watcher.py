"""The parts of the watcher that need no file system: pairing of moves, meaning of events, sentences, mount table."""

from __future__ import annotations

import errno
import threading

import pytest
from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent
from watchdog.observers.inotify_move_event_grouper import PathedInotifyEvent

from syncagent.ports import DirtyPath, WatchLost
from syncagent.watcher.events import translate
from syncagent.watcher.filesystem import Mount, mount_of, mounts, parse_mountinfo, read_limit
from syncagent.watcher.limits import why_incomplete, why_root_refused
from syncagent.watcher.pairing import Lost, MoveQueue
from syncagent.watcher.probe import mode_of_type

FROM, TO = InotifyConstants.IN_MOVED_FROM, InotifyConstants.IN_MOVED_TO
CREATE, MODIFY, CLOSE = InotifyConstants.IN_CREATE, InotifyConstants.IN_MODIFY, InotifyConstants.IN_CLOSE_WRITE
ATTRIB, DELETE, DIRECTORY = InotifyConstants.IN_ATTRIB, InotifyConstants.IN_DELETE, InotifyConstants.IN_ISDIR
DELETE_SELF, MOVE_SELF = InotifyConstants.IN_DELETE_SELF, InotifyConstants.IN_MOVE_SELF

FOR_EVER = 3600.0
MOUNTINFO = b"""22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:25 / /data rw - tmpfs none rw
31 30 0:26 / /data/with\\040blank\\134 rw master:3 propagate_from:2 - nfs4 host:/export rw
32 22 0:27 / /data rw - fuse.sshfs host: rw
malformed
33 22 0:28 / /broken rw -
"""


def event(mask: int, *, cookie: int = 0, path: bytes = b"p") -> PathedInotifyEvent:
    return PathedInotifyEvent(InotifyEvent(1, mask, cookie, path), path)  # type: ignore[arg-type]


def test_two_halves_of_a_move_become_a_pair() -> None:
    queue = MoveQueue(hold_seconds=FOR_EVER)
    first, between, second = event(FROM, cookie=5), event(CLOSE), event(TO, cookie=5)
    queue.put_event(first)
    assert queue.get_queued_moved_from_event(5) == first
    assert queue.get_queued_moved_from_event(6) is None
    queue.put_event(between)
    queue.put_event(second)
    assert queue.get_queued_moved_from_event(5) is None
    assert [queue.take(), queue.take()] == [between, (first, second)]


def test_half_a_move_holds_back_nothing_else() -> None:
    queue = MoveQueue(hold_seconds=FOR_EVER)
    queue.put_event(event(FROM, cookie=5))
    queue.put_event(event(CLOSE, path=b"other"))
    assert queue.take() == event(CLOSE, path=b"other")


def test_halves_that_stay_alone_come_out_when_due_in_their_order() -> None:
    queue = MoveQueue(hold_seconds=0.001)
    halves = [event(FROM, cookie=number, path=b"%d" % number) for number in range(3)]
    for half in halves:
        queue.put_event(half)
    assert [queue.take() for _ in halves] == halves
    queue.put_event(event(TO, cookie=1))
    assert queue.take() == event(TO, cookie=1), "the other half was too late: it stands for itself"


def test_a_queue_that_is_too_long_gives_up_its_content_and_says_so() -> None:
    queue = MoveQueue(hold_seconds=FOR_EVER, events_max=10)
    for number in range(6):
        queue.put_event(event(CLOSE, path=b"%d" % number))
        queue.put_event(event(FROM, cookie=number))
    queue.put_event(event(CLOSE, path=b"after"))
    lost = queue.take()
    assert isinstance(lost, Lost) and "10 changes" in lost.reason
    assert queue.take() == event(CLOSE, path=b"after")


def test_a_loss_is_told_before_what_came_later() -> None:
    queue = MoveQueue()
    queue.put_event(event(CLOSE, path=b"before"))
    queue.put_lost("overflow")
    queue.put_lost("again")
    queue.put_event(event(CLOSE, path=b"after"))
    assert [queue.take(), queue.take()] == [Lost("again"), event(CLOSE, path=b"after")]


def test_discarding_empties_the_queue() -> None:
    queue = MoveQueue(hold_seconds=FOR_EVER)
    queue.put_event(event(CLOSE))
    queue.put_event(event(FROM, cookie=1))
    queue.discard_pending_events()
    queue.put_event(event(ATTRIB))
    assert queue.take() == event(ATTRIB)


def test_closing_ends_a_waiting_take_and_all_later_ones() -> None:
    queue = MoveQueue()
    taken: list[object] = [0]
    waiting = threading.Thread(target=lambda: taken.append(queue.take()))
    waiting.start()
    queue.close()
    waiting.join(10)
    queue.put_event(event(CLOSE))
    assert (taken, queue.take()) == ([0, None], None)


def test_the_librarys_way_to_read_is_closed() -> None:
    with pytest.raises(NotImplementedError, match="take"):
        MoveQueue().read_event()


@pytest.mark.parametrize(
    ("mask", "path", "hint"),
    [
        (CREATE, b"p", DirtyPath(b"p", is_closed=False)),
        (CREATE | DIRECTORY, b"p", DirtyPath(b"p", is_closed=False, is_tree=True)),
        (MODIFY, b"p", DirtyPath(b"p", is_closed=False)),
        (MODIFY | ATTRIB, b"p", DirtyPath(b"p", is_closed=False)),
        (CLOSE, b"p", DirtyPath(b"p", is_closed=True)),
        (ATTRIB, b"p", DirtyPath(b"p", is_closed=True)),
        (ATTRIB | DIRECTORY, b"", DirtyPath(b"", is_closed=True)),
        (DELETE, b"p", DirtyPath(b"p", is_closed=True)),
        (DELETE | DIRECTORY, b"p", DirtyPath(b"p", is_closed=True)),
        (FROM, b"p", DirtyPath(b"p", is_closed=True)),
        (FROM | DIRECTORY, b"p", DirtyPath(b"p", is_closed=True, is_tree=True)),
        (TO | DIRECTORY, b"p", DirtyPath(b"p", is_closed=True, is_tree=True)),
        (DELETE_SELF, b"p", None),
        (MOVE_SELF, b"p", None),
        (DELETE_SELF, b"", WatchLost("the root directory was moved or deleted")),
        (MOVE_SELF, b"", WatchLost("the root directory was moved or deleted")),
    ],
)
def test_what_an_event_means(mask: int, path: bytes, hint: DirtyPath | WatchLost | None) -> None:
    assert translate(path, event(mask).ev) == hint


@pytest.mark.parametrize(("mask", "is_written"), [(CLOSE, True), (ATTRIB, False), (TO, False), (MODIFY, False)])
def test_only_a_close_after_writing_says_so(mask: int, is_written: bool) -> None:
    hint = translate(b"p", event(mask).ev)
    assert isinstance(hint, DirtyPath) and hint.is_written is is_written


def test_the_mount_table_is_read_with_its_escapes_and_without_malformed_lines() -> None:
    assert parse_mountinfo(MOUNTINFO) == [
        Mount(b"/", b"ext4"),
        Mount(b"/data", b"tmpfs"),
        Mount(b"/data/with blank\\", b"nfs4"),
        Mount(b"/data", b"fuse.sshfs"),
    ]


@pytest.mark.parametrize(
    ("path", "type_name"),
    [
        (b"/", b"ext4"),
        (b"/database", b"ext4"),
        (b"/data", b"fuse.sshfs"),
        (b"/data/x", b"fuse.sshfs"),
        (b"/data/with blank\\/x", b"nfs4"),
    ],
)
def test_the_mount_of_a_path_is_the_deepest_and_latest(path: bytes, type_name: bytes) -> None:
    mount = mount_of(path, parse_mountinfo(MOUNTINFO))
    assert mount is not None and mount.type == type_name


def test_without_a_mount_table_nothing_is_known() -> None:
    assert mount_of(b"/data", []) is None


def test_this_machine_has_a_root_mount() -> None:
    assert mount_of(b"/", mounts()) is not None


@pytest.mark.parametrize(
    ("type_name", "mode"),
    [(b"ext4", "events"), (b"overlay", "events"), (b"nfs4", "poll"), (b"fuse", "poll"), (b"fuse.grpcfuse", "poll")]
    + [(b"virtiofs", "poll"), (b"9p", "poll"), (b"fuseblk", None), (b"unheard-of", None)],
)
def test_what_is_known_of_types_of_file_systems(type_name: bytes, mode: str | None) -> None:
    assert mode_of_type(type_name) == mode


def test_a_limit_that_cannot_be_read_is_unknown() -> None:
    assert read_limit("fs.inotify.no_such_limit") is None
    assert (read_limit("fs.inotify.max_user_watches") or 0) > 0


def test_the_sentence_on_the_watch_limit_names_limit_value_and_remedy() -> None:
    present = read_limit("fs.inotify.max_user_watches")
    sentence = why_incomplete(b"/data", 5, 3, OSError(errno.ENOSPC, "x"))
    assert sentence.startswith("only 5 of 8 directories of /data are watched")
    assert f"max_user_watches, now {present} " in sentence or "user.max_inotify_watches, now " in sentence
    assert "sysctl -w " in sentence


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.EACCES, "Permission denied", b"/data/x"), "/data/x: Permission denied; give the agent's user"),
        (OSError(errno.EIO, "Input/output error", b"/data/x"), "/data/x: Input/output error; see to this cause"),
    ],
)
def test_the_sentence_on_other_causes(error: OSError, sentence: str) -> None:
    assert sentence in why_incomplete(b"/data", 5, 1, error)


@pytest.mark.parametrize(
    ("number", "part"),
    [
        (errno.ENOSPC, "inotify_watches"),
        (errno.EMFILE, "raise ulimit -n"),
        (errno.EACCES, "right to read it"),
        (errno.ENOENT, "check that the volume's path is right"),
    ],
)
def test_a_refused_root_gives_a_remedy(number: int, part: str) -> None:
    sentence = why_root_refused(b"/data", OSError(number, "cause"))
    assert sentence.startswith("/data cannot be watched: ")
    assert part in sentence or (number == errno.ENOSPC and "max_user_watches" in sentence)
