"""Messages to bytes and back: msgpack headers, typed validation, every limit enforced on receipt.

What a peer sent wrong is a ``DecodeError`` with a reason; what we were about to send wrong is a ``LocalProtocolError``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from syncproto import limits
from syncproto.checks import check_frames, check_message
from syncproto.errors import DecodeError, LocalProtocolError
from syncproto.messages import AnyMessage, Delta
from syncproto.model import Entry

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[AnyMessage] = msgspec.msgpack.Decoder(AnyMessage)


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message ready to be sent: its encoded header and its frames.

    ``size``: what it takes of the receiver's credit, 0 if it is not bulk. ``is_answer``: a part of a unit that was
    asked for, which is never dropped alone.
    """

    header: bytes
    frames: tuple[bytes, ...] = ()
    size: int = 0
    is_answer: bool = False


def encode(message: AnyMessage) -> bytes:
    """The header of a message. Raises ``LocalProtocolError`` for what msgpack or the limits cannot carry."""
    try:
        header = _ENCODER.encode(message)
    except (UnicodeEncodeError, OverflowError, TypeError, ValueError) as error:
        raise LocalProtocolError(f"{type(message).__name__} cannot be encoded: {error}") from error
    if len(header) > limits.HEADER_BYTES_MAX:
        raise LocalProtocolError(
            f"{type(message).__name__} takes {len(header)} bytes, more than {limits.HEADER_BYTES_MAX}: send it in parts"
        )
    return header


def decode(header: bytes, frames: Sequence[bytes] = ()) -> AnyMessage:
    """The message of a header and the frames that came with it. Raises ``DecodeError``, and nothing else."""
    check_frames(len(header), frames)
    try:
        message = _DECODER.decode(header)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"the header is no message: {error}") from error
    check_message(message, frames)
    return message


def pack(message: AnyMessage, frames: Sequence[bytes] = ()) -> Parcel:
    """Make a message ready to be sent. Raises ``LocalProtocolError`` where the receiver would refuse its size."""
    header = encode(message)
    try:
        check_frames(len(header), frames)
    except DecodeError as error:
        raise LocalProtocolError(f"{type(message).__name__} cannot be sent: {error}") from error
    is_answer = isinstance(message, Delta) and message.request > 0
    return Parcel(header, tuple(frames), size_of(message, header, frames), is_answer)


def size_of(message: AnyMessage, header: bytes, frames: Sequence[bytes]) -> int:
    """What a message takes of the receiver's credit: all its bytes if it is bulk, else nothing."""
    return len(header) + sum(map(len, frames)) if message.is_bulk else 0


def batches(entries: Iterable[Entry]) -> Iterator[tuple[Entry, ...]]:
    """Cut entries, in their order, into what fits one ``Delta`` each; none at all for no entries."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        added = len(_ENCODER.encode(entry))
        if batch and (len(batch) == limits.DELTA_ENTRIES_MAX or size + added > limits.DELTA_ENTRY_BYTES_MAX):
            yield tuple(batch)
            batch, size = [], 0
        batch.append(entry)
        size += added
    if batch:
        yield tuple(batch)
