"""The real watcher when the system does not play along: overflow, limits, no permission, dead threads, no events."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from watchdog.observers.inotify_c import InotifyFD

from contract.watcher_harness import MEMORY, OUTSIDE, Hints, RealWatched
from syncagent.ports import DirtyPath, WatchLost
from syncagent.watcher import PollingWatcher, Watcher, WatchRefused, open_watcher, probe
from syncagent.watcher.probe import try_canary

SECONDS_MAX = 30.0

PRELUDE = """
import os, sys
from syncagent.watcher import Watcher, WatchRefused, open_watcher
root = os.fsencode(sys.argv[1])
def emit(hint):
    print(hint, flush=True)
watcher = Watcher(root, emit, ignore=lambda path: False)
"""

UNTIL_END_OF_INPUT = "watcher.start(); print('ready', flush=True); sys.stdin.read(); watcher.stop()"

LIMITED = """
def limit(name, value):
    with open('/proc/sys/user/max_inotify_' + name, 'w') as file:
        file.write(str(value))
limit('watches', 10)
watcher.start()
print(watcher.watched_directories, watcher.check(31))
print('fewer expected:', watcher.check(5))
limit('watches', 1000)
print('raised:', watcher.check(31), watcher.watched_directories)
watcher.stop()
limit('watches', 0)
try:
    watcher.start()
except WatchRefused as refusal:
    print('refused:', refusal)
limit('watches', 1000)
limit('instances', 0)
fallback = open_watcher(root, emit, ignore=lambda path: False, poll_seconds=60)
print('fallback:', fallback.mode, fallback.check(31))
fallback.stop()
"""

UNREADABLE = """
os.setuid(65534)
watcher.start()
print(watcher.watched_directories, watcher.check(3))
watcher.stop()
"""

NESTED_MOUNT = """
watcher.start()
print(watcher.watched_directories, watcher.check(2))
watcher.stop()
"""

UNMOUNT = """
import subprocess, time
seen = []
watcher = Watcher(root, seen.append, ignore=lambda path: False)
watcher.start()
subprocess.run(['umount', root], check=True)
deadline = time.monotonic() + 10
while (watcher.is_alive or 'WatchLost' not in str(seen)) and time.monotonic() < deadline:
    time.sleep(0.01)
print(seen[-1].reason, watcher.is_alive)
watcher.stop()
"""


def write(path: Path) -> None:
    path.write_bytes(b"content")


def run_script(body: str, root: Path, *before: str) -> str:
    command = [*before, sys.executable, "-c", PRELUDE + body, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@contextmanager
def watching_process(root: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PRELUDE + UNTIL_END_OF_INPUT, str(root)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout and process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def queue_limit() -> int:
    return int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


def test_an_overflow_of_the_kernels_queue_is_told_once_and_repaired(tmp_path: Path) -> None:
    left, right = tmp_path / "left", tmp_path / "right"
    write(left)
    write(right)
    with watching_process(tmp_path) as process:
        assert process.stdout
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        for _ in range(queue_limit() // 2 + 100):  # two names in turn, so that the kernel does not join the events
            left.chmod(0o600)
            right.chmod(0o600)
        (tmp_path / "unseen" / "below").mkdir(parents=True)
        process.send_signal(signal.SIGCONT)
        lines = [process.stdout.readline()]
        while "WatchLost" not in lines[-1]:
            lines.append(process.stdout.readline())
        write(tmp_path / "unseen" / "below" / "after")
        closed = f"{DirtyPath(b'unseen/below/after', is_closed=True, is_written=True)}\n"
        while lines[-1] != closed:
            lines.append(process.stdout.readline())
    lost = [line for line in lines if "WatchLost" in line]
    assert len(lost) == 1 and "fs.inotify.max_queued_events" in lost[0]


@pytest.mark.root
def test_a_used_up_watch_limit_is_told_with_its_remedy_and_heals(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"d{number}" / "x" / "y").mkdir(parents=True)
    lines = run_script(LIMITED, tmp_path, "unshare", "--user", "--map-root-user").splitlines()
    assert lines[0].startswith(f"10 only 10 of 31 directories of {tmp_path} are watched")
    assert "fs.inotify.max_user_watches is " in lines[0]
    assert "limit user.max_inotify_watches, now 10 " in lines[0]
    assert "sysctl -w user.max_inotify_watches=524288" in lines[0]
    assert lines[1].startswith("fewer expected: only 10 of "), "watches may stand on directories that do not matter"
    assert lines[2].startswith("WatchLost")
    assert lines[3] == "raised: None 31"
    assert lines[4].startswith(f"refused: {tmp_path} cannot be watched")
    assert "sysctl -w user.max_inotify_watches=" in lines[4]
    assert lines[5].startswith(f"fallback: poll {tmp_path} cannot be watched")
    assert "sysctl -w user.max_inotify_instances=" in lines[5]


@pytest.mark.root
def test_a_directory_that_may_not_be_read_is_told() -> None:
    root = Path(tempfile.mkdtemp(dir=MEMORY if os.path.isdir(MEMORY) else None))
    try:
        root.chmod(0o755)
        (root / "open").mkdir()
        (root / "locked").mkdir(mode=0o700)
        line = run_script(UNREADABLE, root)
        assert line.startswith(f"2 only 2 of 3 directories of {root} are watched")
        assert f"{root}/locked: Permission denied; give the agent's user the right to read it" in line
    finally:
        shutil.rmtree(root)


@pytest.mark.root
def test_a_nested_mount_is_not_watched(tmp_path: Path) -> None:
    (tmp_path / "d" / "mounted").mkdir(parents=True)
    script = f'mount -t tmpfs none {tmp_path}/d/mounted && mkdir {tmp_path}/d/mounted/below && exec "$@"'
    assert run_script(NESTED_MOUNT, tmp_path, "unshare", "--mount", "sh", "-c", script, "sh") == "2 None\n"


@pytest.mark.root
def test_an_unmount_of_the_root_is_told_at_once(tmp_path: Path) -> None:
    script = f'mount -t tmpfs none {tmp_path} && exec "$@"'
    output = run_script(UNMOUNT, tmp_path, "unshare", "--mount", "sh", "-c", script, "sh")
    assert output == "the root directory is gone False\n"


def test_half_a_move_does_not_hold_back_what_follows(tmp_path: Path) -> None:
    volume = RealWatched(os.fsencode(tmp_path))
    volume.watch()
    waited = []
    for number in range(5):
        volume.write(b"leaves", b"content")
        volume.happened()
        volume.rename(b"leaves", OUTSIDE + b"/left-%d" % number)
        volume.write(b"other", b"content")
        start = time.monotonic()
        volume.wait_for(lambda hints: DirtyPath(b"other", True) in hints)
        waited.append(time.monotonic() - start)
    volume.close()
    assert min(waited) < 0.2, "the stock observer holds everything back for 0.5 s each time"


def test_a_root_that_is_missing_is_refused_in_a_sentence(tmp_path: Path) -> None:
    watcher = Watcher(os.fsencode(tmp_path / "none"), Hints(), ignore=lambda path: False)
    with pytest.raises(WatchRefused, match="none cannot be watched: No such file or directory; check that"):
        watcher.start()
    assert not watcher.is_alive


def test_start_and_stop_leave_no_thread_and_no_descriptor(tmp_path: Path) -> None:
    def resources() -> tuple[set[threading.Thread], int]:
        return set(threading.enumerate()), len(os.listdir("/proc/self/fd"))

    before = resources()
    hints = Hints()
    watcher = Watcher(os.fsencode(tmp_path), hints, ignore=lambda path: False)
    for number in range(2):
        watcher.start()
        assert watcher.is_alive and watcher.mode == "events"
        write(tmp_path / f"f{number}")
        hints.wait_for(lambda seen, name=b"f%d" % number: DirtyPath(name, True) in seen)  # type: ignore[misc]
        watcher.stop()
        watcher.stop()
        assert not watcher.is_alive and watcher.watched_directories == 0
    assert resources() == before
    assert not any(isinstance(hint, WatchLost) for hint in hints.take())


@pytest.mark.parametrize("victim", ["reader", "giver"])
def test_a_thread_that_dies_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, victim: str) -> None:
    def fail(*args: object) -> bool:
        raise RuntimeError("planted")

    died: list[object] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    if victim == "reader":
        monkeypatch.setattr(InotifyFD, "handle_event", fail)
    hints = Hints()
    watcher = Watcher(os.fsencode(tmp_path), hints, ignore=fail)
    watcher.start()
    write(tmp_path / "f")
    hints.wait_for(lambda seen: any(isinstance(hint, WatchLost) for hint in seen))
    hints.wait_for(lambda seen: len(died) == 1 or hints.seen() == seen)
    watcher.stop()
    assert [type(hint) for hint in hints.take()] == [WatchLost] and len(died) == 1


def test_polling_asks_for_scans_until_it_is_stopped() -> None:
    before = set(threading.enumerate())
    hints = Hints()
    watcher = PollingWatcher(hints, interval_seconds=0.01, problem="a reason")
    watcher.start()
    assert (watcher.mode, watcher.watched_directories, watcher.is_alive) == ("poll", 0, True)
    hints.wait_for(lambda seen: len(seen) >= 3 and set(seen) == {WatchLost("poll")})
    assert watcher.check(5) == "a reason"
    watcher.stop()
    watcher.stop()
    assert not watcher.is_alive and set(threading.enumerate()) == before


def test_open_watcher_uses_events_on_a_local_file_system(tmp_path: Path) -> None:
    hints = Hints()
    watcher = open_watcher(os.fsencode(tmp_path), hints, ignore=lambda path: False)
    try:
        assert watcher.mode == "events" and watcher.is_alive
        write(tmp_path / "f")
        hints.wait_for(lambda seen: DirtyPath(b"f", True) in seen)
    finally:
        watcher.stop()
    assert os.listdir(tmp_path) == ["f"]


def test_the_probe_leaves_a_volume_of_a_known_type_untouched(tmp_path: Path) -> None:
    os.utime(tmp_path, ns=(1, 1))
    assert probe(os.fsencode(tmp_path)) == "events"
    assert (os.listdir(tmp_path), os.stat(tmp_path).st_mtime_ns) == ([], 1)


def test_the_canary_sees_events_and_cleans_up(tmp_path: Path) -> None:
    root = os.fsencode(tmp_path)
    assert try_canary(root) == "events"
    assert os.listdir(root) == []
    (tmp_path / ".syncagent" / "staging").mkdir(parents=True)
    assert try_canary(root) == "events"
    assert os.listdir(tmp_path / ".syncagent") == ["staging"]


def test_where_no_canary_can_be_written_the_answer_is_polling() -> None:
    assert try_canary(b"/proc/self") == "poll"
