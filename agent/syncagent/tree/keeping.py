"""What the tree does with its store besides filling it: find again, read, stage from it, let go."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress

from syncagent.core.chunking import Chunker
from syncagent.disk import errors
from syncagent.disk.attributes import anchor, read_attributes
from syncagent.disk.content import feed, has_holes, read_range
from syncagent.disk.root import LOOK, READ, VolumeRoot
from syncagent.disk.stat import kind_of, stat_key
from syncagent.ports import KeptFile, Late, Observation, Recovered
from syncagent.tree.displaced import Displaced
from syncagent.tree.history import Store, StoredName
from syncproto.model import Kind


class Keeping:
    """The part of a tree that looks after its store."""

    _root: VolumeRoot
    _store: Store
    _displaced: Displaced
    _lock: threading.RLock
    _late: list[Late]

    def recover_kept(self, known: Collection[bytes]) -> Recovered:
        """Finish what an earlier process began, and compare the store with the names that are known of it."""
        self._root.require_same()
        with self._lock, self._store.place.opened_if_there() as directory:
            if directory is None:
                return Recovered(missing=frozenset(known))
            found: list[KeptFile] = []
            late: list[Late] = []
            for name, stored, st in self._store.unknown(directory, known):
                if self._store.is_late(stored, st) and stat.S_ISREG(st.st_mode):
                    late.append(self._give_back(directory, name, stored))
                else:
                    found.append(KeptFile(name, stored.path, stored.at_ns, st.st_blocks * 512))
            with os.scandir(directory) as entries:
                there = {os.fsencode(entry.name) for entry in entries}
        self._store.place.remove_if_empty()
        return Recovered(tuple(found), frozenset(known) - there, tuple(late))

    def _give_back(self, directory: int, name: bytes, stored: StoredName) -> Late:
        to = self._displaced.rescue(directory, name, stored.path)
        self._store.forget_name(directory, name)
        return Late(stored.path, to, name)

    def take_late(self) -> list[Late]:
        """What was written to after it was displaced, as far as it shows now; each is given once."""
        with self._lock:
            if self._displaced.is_waiting:
                self._root.require_same()
                self._late += self._displaced.settle()
            late, self._late = self._late, []
        return late

    def examine_kept(self, name: bytes) -> Observation | None:
        """Read and hash what is kept under a name."""
        with self._opened_kept(name, LOOK) as opened:
            if opened is None:
                return None
            directory, looked = opened
            st, stored = os.fstat(looked), self._store.read_name(directory, name)
            kind = kind_of(st.st_mode)
            if stored is None or kind not in (Kind.FILE, Kind.SYMLINK):
                return None
            if kind == Kind.SYMLINK:
                attributes, notes = read_attributes(st, None)
                target = os.readlink(b"", dir_fd=looked)
                return Observation(stored.path, kind, stat_key(st), attributes, target, notes=notes)
            attributes, notes = read_attributes(st, anchor(looked))
        with self._opened_kept(name, READ) as opened:
            if opened is None:
                return None
            chunker, is_sparse = Chunker(), has_holes(opened[1], st)
            feed(opened[1], st.st_size, chunker, sparse=is_sparse)
            digest, manifest = chunker.finish()
        return Observation(stored.path, kind, stat_key(st), attributes, digest, manifest, is_sparse, notes)

    def read_kept(self, name: bytes, offset: int, length: int) -> bytes | None:
        """Bytes of a kept file for a peer, None if it is not there, or was written to. Raises ``OSError``."""
        with self._opened_kept(name, READ) as opened:
            stored = self._store.read_name(opened[0], name) if opened else None
            if opened is None or stored is None or self._store.is_late(stored, os.fstat(opened[1])):
                return None
            return read_range(opened[1], offset, length)

    @contextmanager
    def _opened_kept(self, name: bytes, flags: int) -> Iterator[tuple[int, int] | None]:
        """The store's directory and what has this name in it; None where it is not there."""
        with self._store.place.opened_if_there() as directory:
            fd = None
            if directory is not None:
                try:
                    fd = os.open(name, flags, dir_fd=directory)
                except OSError as error:
                    if error.errno not in errors.GONE_ERRORS:
                        raise
            if directory is None or fd is None:
                yield None
                return
            try:
                yield directory, fd
            finally:
                os.close(fd)

    def drop_kept(self, names: Sequence[bytes]) -> list[Late]:
        """Keep these no longer; what somebody has written to since is put back into the volume instead."""
        late: list[Late] = []
        self._root.require_same()
        with self._lock, self._store.place.opened_if_there() as directory:
            for name in names if directory is not None else ():
                assert directory is not None
                with suppress(FileNotFoundError):
                    st, stored = os.stat(name, dir_fd=directory, follow_symlinks=False), None
                    if stat.S_ISREG(st.st_mode) and st.st_nlink == 1:
                        stored = self._store.read_name(directory, name)
                    if stored is not None and self._store.is_late(stored, st):
                        late.append(self._give_back(directory, name, stored))
                    else:
                        self._store.drop(directory, name)
        self._store.place.remove_if_empty()
        return late
