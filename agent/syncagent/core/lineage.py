"""What a replica remembers of its former incarnation: facts of the past that still hold.

After any doubt a replica begins anew. What it then finds on its disk ranks lowest, for nobody knows how old it is. But
where the old index says that this very content once stood at the path, it is no news: it is recorded as what it was,
with its old dot and version. What became of it since replaces it silently, and deletes of it hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec import structs

from syncproto.model import PLACEHOLDER, Entry
from syncproto.version import Vector, Version, covers, covers_all


@dataclass(frozen=True, slots=True)
class Lineage:
    """``latest`` is what the old index had at the path, ``once`` what stood there before, the newest first.

    ``sound``: only dots at or below it count. Of those above it, some were used twice, by a history that is lost and
    again after it, and some may be known to nobody else. ``is_older``: the index is older than what is on the disk.
    """

    sound: Vector = field(default_factory=dict)
    latest: Entry | None = None
    once: Sequence[Entry] = ()
    is_older: bool = False

    def entry_of(self, kind: int, content: bytes | None) -> Entry | None:
        """The newest entry that had this content."""
        every = [self.latest, *self.once] if self.latest is not None else self.once
        return next((entry for entry in every if entry.kind == kind and entry.content == content), None)

    def is_sound(self, entry: Entry) -> bool:
        """Whether the dots of its content may be used again as they are."""
        return covers_all(self.sound, entry.version)

    def trimmed(self, entry: Entry) -> Entry:
        """The entry with only those dots that are sound: what its writer had surely seen.

        A version names the last dot of each origin, and so claims those before it too: they are what remains.
        """
        return structs.replace(
            entry,
            version=self._capped(entry.version),
            carried=self._capped(entry.carried),
            metadata=entry.metadata if covers(self.sound, entry.metadata.dot) else PLACEHOLDER,
        )

    def _capped(self, version: Version) -> Version:
        capped = [(origin, min(counter, self.sound.get(origin, 0))) for origin, counter in version]
        return tuple(dot for dot in capped if dot[1] > 0)


UNKNOWN = Lineage()


def sound_vector(heard: Sequence[Vector], ceilings: Vector) -> Vector:
    """What others are known to have applied, as far as the history of each origin is beyond doubt."""
    sound: Vector = {}
    for vector in heard:
        for origin, counter in vector.items():
            counter = min(counter, ceilings.get(origin, counter))
            if counter > sound.get(origin, 0):
                sound[origin] = counter
    return sound
