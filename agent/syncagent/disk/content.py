"""Reading and writing the bytes of open files: with holes, without short counts."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from typing import Protocol

from syncagent.core.chunking import Block
from syncagent.disk import syscalls

BLOCK_BYTES = 1024 * 1024
PAGE_BYTES = 4096
_PAGE = bytes(PAGE_BYTES)


class Sink(Protocol):
    """Takes a content in order; holes come as lengths."""

    def update(self, block: Block) -> None: ...

    def update_zeros(self, length: int) -> None: ...


def has_holes(fd: int, st: os.stat_result) -> bool:
    """Whether a file has holes; fewer blocks than bytes alone could be compression."""
    if st.st_blocks * 512 >= st.st_size:
        return False
    try:
        return os.lseek(fd, 0, os.SEEK_HOLE) < st.st_size
    except OSError:
        return False


def regions(fd: int, size: int) -> Iterator[tuple[int, int, bool]]:
    """(start, end, whether it holds data) of all stretches of a file; a file system without holes has one."""
    position = 0
    while position < size:
        try:
            start = min(os.lseek(fd, position, os.SEEK_DATA), size)
        except OSError as error:
            start = size if error.errno == errno.ENXIO else position
        if start > position:
            yield position, start, False
        if start == size:
            return
        try:
            end = min(os.lseek(fd, start, os.SEEK_HOLE), size)
        except OSError:
            end = size
        if end <= start:  # it shrank meanwhile
            return
        yield start, end, True
        position = end


def read_range(fd: int, offset: int, length: int) -> bytes:
    """Up to ``length`` bytes; fewer only at the end of the file."""
    data = os.pread(fd, length, offset)
    if len(data) == length or not data:
        return data
    parts = [data]
    missing = length - len(data)
    while missing and (data := os.pread(fd, missing, offset + length - missing)):
        parts.append(data)
        missing -= len(data)
    return b"".join(parts)


def blocks(fd: int, start: int, end: int) -> Iterator[memoryview]:
    """A range in blocks; each is valid until the next. Ends early where the file does."""
    buffer = memoryview(bytearray(min(BLOCK_BYTES, max(end - start, 1))))
    while start < end:
        count = os.preadv(fd, [buffer[: end - start]], start)
        if not count:
            return
        yield buffer[:count]
        start += count


def feed(fd: int, size: int, sinks: Sink, *, sparse: bool) -> int:
    """Give the whole content to a sink without reading its holes; gives the number of bytes that were read."""
    count = 0
    for start, end, is_data in regions(fd, size) if sparse else [(0, size, True)]:
        if not is_data:
            sinks.update_zeros(end - start)
            continue
        for block in blocks(fd, start, end):
            sinks.update(block)
            count += len(block)
    return count


def write_all(fd: int, data: Block, offset: int) -> None:
    """Write everything; the system may take less at a time, and says that the disk is full only the next time."""
    view = memoryview(data)
    while view:
        count = os.pwrite(fd, view, offset)
        view = view[count:]
        offset += count


def write_new(fd: int, data: Block, offset: int) -> None:
    """Write at the end of a new file; whole pages of zeros become holes."""
    for start, end, is_zero in zero_pages(data):
        if not is_zero:
            write_all(fd, memoryview(data)[start:end], offset + start)
        elif end == len(data):
            os.ftruncate(fd, offset + end)


def zero_pages(data: Block) -> Iterator[tuple[int, int, bool]]:
    """(start, end, whether it is whole pages of zeros) of the stretches of a block."""
    if len(data) < PAGE_BYTES:
        if data:
            yield 0, len(data), False
        return
    view, start, current = memoryview(data), 0, None
    for position in range(0, len(data), PAGE_BYTES):
        is_zero = view[position : position + PAGE_BYTES] == _PAGE
        if is_zero is not current and position:
            yield start, position, bool(current)
            start = position
        current = is_zero
    yield start, len(data), bool(current)


def punch_zeros(fd: int, block: Block, offset: int) -> None:
    """Turn the whole pages of zeros in a stretch that starts at a page into holes, where the file system can."""
    for start, end, is_zero in zero_pages(block):
        if is_zero:
            ignoring_unsupported(lambda start=start, end=end: syscalls.punch_hole(fd, offset + start, end - start))  # type: ignore[misc]


def fill_holes(fd: int, st: os.stat_result) -> None:
    """Give a file all its blocks, where the file system can."""
    if st.st_blocks * 512 < st.st_size:
        ignoring_unsupported(lambda: os.posix_fallocate(fd, 0, st.st_size))


def ignoring_unsupported(call: Callable[[], None]) -> bool:
    """Do what is only a saving; gives whether the file system can."""
    try:
        call()
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENOTTY, errno.EXDEV):
            raise
        return False
    return True
