"""Contents that are wanted, and the byte ranges that are still missing of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from syncproto import limits
from syncproto.messages import Range
from syncproto.model import Chunk, Manifest, Path
from syncproto.version import Dot


@dataclass(slots=True)
class Want:
    """One content that is wanted, and how far its fetching is."""

    digest: bytes
    size: int
    sparse: bool
    path: Path
    dots: set[Dot] = field(default_factory=set)
    asked: dict[str, float] = field(default_factory=dict)
    """Peers that did not have it, and when they said so."""
    chunks: list[Chunk] = field(default_factory=list)
    manifest: Manifest | None = None
    missing: list[Range] = field(default_factory=list)
    open_requests: int = 0
    is_busy: bool = False
    """A job or a request of it is under way."""
    has_started: bool = False
    givers: set[str] = field(default_factory=set)
    """Peers that sent bytes of it."""

    def blame(self, now: float) -> None:
        """What came does not verify: who sent it is not asked again at once, and others before."""
        self.asked.update(dict.fromkeys(self.givers, now))
        self.givers.clear()

    def answered(self) -> None:
        """A request or a job of it is over; one that was begun for an earlier want of this content counts nothing."""
        self.open_requests = max(0, self.open_requests - 1)

    @property
    def is_big(self) -> bool:
        return self.size > limits.CHUNK_BYTES_MAX


def ranges_of(manifest: Manifest, numbers: Sequence[int]) -> list[Range]:
    """The byte ranges of these chunks; neighbours are asked for together."""
    wanted, result, offset = set(numbers), list[Range](), 0
    start, length = 0, 0
    for number, chunk in enumerate(manifest.chunks):
        if number in wanted and length and start + length == offset and length + chunk.length <= limits.RANGE_BYTES_MAX:
            length += chunk.length
        elif number in wanted:
            if length:
                result.append(Range(manifest.digest, start, length))
            start, length = offset, chunk.length
        offset += chunk.length
    if length:
        result.append(Range(manifest.digest, start, length))
    return result
