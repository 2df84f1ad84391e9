"""From a decision to steps on the disk.

A decision changes entries; the steps say what the disk must do so that it holds what the entries say. Every step names
what it expects to find: if the disk has moved on, nothing is forced and the path is dirty again.
"""

from __future__ import annotations

from dataclasses import dataclass

from syncproto.model import Attributes, Kind, Path

CLOCK_GRANULARITY_NS = 20_000_000
"""File systems stamp times by the kernel's tick: up to 10 ms, doubled to be on the safe side."""
COARSE_GRANULARITY_NS = 2_000_000_000 + CLOCK_GRANULARITY_NS
"""Some stamp whole seconds only, or every other second."""
SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class StatKey:
    """What tells a path's state on this disk from any other: local, never on the wire.

    ``mode`` is the whole ``st_mode``, with the type.
    """

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    mode: int
    uid: int
    gid: int

    @property
    def is_directory(self) -> bool:
        return self.mode & 0o170000 == 0o040000

    @property
    def is_coarse(self) -> bool:
        """Whether the file system seems to stamp whole seconds. Nobody can set this time, so it hardly is by chance."""
        return self.ctime_ns % SECOND_NS == 0

    @property
    def granularity_ns(self) -> int:
        """Two changes that are less than this apart may leave the same times."""
        return COARSE_GRANULARITY_NS if self.is_coarse else CLOCK_GRANULARITY_NS

    def is_racy(self, now_ns: int) -> bool:
        """Whether a write right after the look could have left the same times: it must be looked at once more."""
        return self.racy_ns(now_ns) > 0

    def racy_ns(self, now_ns: int) -> int:
        """How long a write may still leave the same times, 0 for no longer."""
        coarse = self.granularity_ns
        left = [time_ns + coarse - now_ns for time_ns in (self.mtime_ns, self.ctime_ns)]
        return max((ns for ns in left if 0 < ns < 2 * coarse), default=0)


@dataclass(frozen=True, slots=True)
class Place:
    """Put the staged content with this digest at ``path``; the displaced file must be the expected one."""

    path: Path
    expect: StatKey | None
    digest: bytes
    size: int
    attributes: Attributes | None
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class MakeDirectory:
    """Make a directory; ``mtime_ns`` is set once the batch is done, and not tracked after."""

    path: Path
    expect: StatKey | None
    attributes: Attributes | None
    mtime_ns: int | None


@dataclass(frozen=True, slots=True)
class MakeSymlink:
    """Make a symlink to these opaque bytes."""

    path: Path
    expect: StatKey | None
    target: bytes
    attributes: Attributes | None
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class SetAttributes:
    """Give what stands at ``path`` these attributes; ``mtime_ns`` None leaves the time alone."""

    path: Path
    expect: StatKey | None
    kind: Kind
    attributes: Attributes | None
    mtime_ns: int | None


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove a file, a symlink, or an empty directory."""

    path: Path
    expect: StatKey | None
    kind: Kind


@dataclass(frozen=True, slots=True)
class Keep:
    """Give the leaf at ``path`` a second name ``to``, which must be free: the first is replaced right after."""

    path: Path
    expect: StatKey | None
    to: Path


@dataclass(frozen=True, slots=True)
class Move:
    """Rename the leaf at ``path`` to ``to``, which must be free."""

    path: Path
    expect: StatKey | None
    to: Path


Step = Place | MakeDirectory | MakeSymlink | SetAttributes | Remove | Keep | Move
