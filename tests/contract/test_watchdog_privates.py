"""The names that we use of watchdog though it keeps them private: fails when a new version changes one of them.

Then read the new ``observers/inotify.py`` and ``observers/inotify_c.py`` beside ``watcher/inotify.py`` before the pin
in pyproject.toml is moved: an override that is no longer called would bring the library's faults back in silence.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
from importlib.metadata import version
from pathlib import Path

import pytest
from watchdog.observers.inotify import InotifyWatchGroup
from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent, InotifyFD
from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper, PathedInotifyEvent

from syncagent.watcher.inotify import EVENTS, Reader, WatchTree
from syncagent.watcher.pairing import MoveQueue

OVERRIDDEN = {
    InotifyFD: (Reader, {"run": [], "_add_callback": ["path", "mask", "callback", "id_"]}),
    InotifyWatchGroup: (
        WatchTree,
        {
            "on_queue_overflow": [],
            "on_watch_deleted": ["wd"],
            "_add_all_callbacks": ["path"],
            "_move_watches": ["move_src_path", "move_dst_path"],
            "_recursive_simulate": ["src_path"],
            "_remove_watch_internally": ["wd"],
        },
    ),
    InotifyMoveEventGrouper: (
        MoveQueue,
        {
            "put_event": ["event"],
            "read_event": [],
            "get_queued_moved_from_event": ["cookie"],
            "discard_pending_events": [],
            "close": [],
        },
    ),
}
METHODS = [(base, ours, name, names) for base, (ours, table) in OVERRIDDEN.items() for name, names in table.items()]


def test_the_version_is_the_one_that_was_read() -> None:
    assert version("watchdog").split(".")[:2] == ["7", "1"]


@pytest.mark.parametrize(("base", "ours", "name", "names"), METHODS, ids=[method[2] for method in METHODS])
def test_each_override_meets_a_method_of_the_library(base: type, ours: type, name: str, names: list[str]) -> None:
    assert list(inspect.signature(base.__dict__[name]).parameters) == ["self", *names]
    assert list(inspect.signature(ours.__dict__[name]).parameters) == ["self", *names]


@pytest.mark.parametrize(
    ("caller", "called"),
    [
        (InotifyWatchGroup._activate, ["_add_all_callbacks"]),
        (
            InotifyWatchGroup.on_event,
            ["_move_watches", "_add_all_callbacks", "_recursive_simulate", "_move_event_grouper.put_event"],
        ),
        (InotifyWatchGroup.on_watch_deleted, ["_remove_watch_internally"]),
        (InotifyWatchGroup.deactivate, ["_remove_callbacks", "_move_event_grouper.close"]),
        (InotifyFD.add_callback, ["_add_callback"]),
        (InotifyFD.handle_event, ["on_queue_overflow", "on_event", "on_watch_deleted"]),
    ],
)
def test_the_library_still_calls_what_is_overridden(caller: object, called: list[str]) -> None:
    source = inspect.getsource(caller)  # type: ignore[arg-type]
    assert [name for name in called if f".{name}(" not in source] == []


def test_the_attributes_that_are_used_exist(tmp_path: Path) -> None:
    fields = {field.name for field in dataclasses.fields(InotifyWatchGroup)}
    assert fields == {
        "_inotify_fd",
        "path",
        "event_mask",
        "is_recursive",
        "follow_symlink",
        "_move_event_grouper",
        "_lock",
        "_id",
        "_is_active",
        "_active_callbacks_by_watch",
        "_active_callbacks_by_path",
    }
    reader = InotifyFD()
    reader.start()
    try:
        group = InotifyWatchGroup(reader, os.fsencode(tmp_path), event_mask=EVENTS, is_recursive=True)
        assert group._callback is group and group.is_active
        watch = reader._get_or_create_watch(os.fsencode(tmp_path), group.event_mask)
        assert reader._watch_for_wd[watch.wd] is watch and watch.callbacks == {group._id: group}
        assert group._active_callbacks_by_watch == {watch.wd: os.fsencode(tmp_path)}
        group.deactivate()
    finally:
        reader.stop()
        reader.join()


def test_events_have_the_parts_that_are_read() -> None:
    event = InotifyEvent(1, InotifyConstants.IN_CREATE | InotifyConstants.IN_ISDIR, 7, b"name")  # type: ignore[arg-type]
    assert (event.cookie, event.is_create, event.is_modify, event.is_move) == (7, True, False, False)
    assert (event.is_moved_from, event.is_moved_to, event.is_delete_self, event.is_move_self) == (False,) * 4
    assert PathedInotifyEvent(event, b"path").ev is event
