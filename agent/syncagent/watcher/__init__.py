"""Notices that paths of a volume may have changed. A hint is all it gives: the scan decides what happened.

Not for the engine to import: ``DirtyPath`` and ``WatchLost`` are in ``ports``.
"""

from __future__ import annotations

from syncagent.watcher.events import Watcher
from syncagent.watcher.limits import WatchRefused
from syncagent.watcher.polling import PollingWatcher
from syncagent.watcher.probe import open_watcher, probe

__all__ = ["PollingWatcher", "WatchRefused", "Watcher", "open_watcher", "probe"]
