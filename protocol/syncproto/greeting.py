"""What agents say to each other first, and whether they fit."""

from __future__ import annotations

from dataclasses import dataclass

from syncproto import limits
from syncproto.messages import Hello, VolumeHello

REFUSALS = {
    "version": "no protocol version in common",
    "cluster": "the agents belong to different clusters",
    "self": "the agent has dialled itself",
    "chunker": "the agents cut files into chunks differently",
    "malformed": "a message broke the rules of this document",
    "closed": "the sender ends the session in good order",
}
"""The codes of ``Refuse``."""


@dataclass(frozen=True, slots=True)
class Introduction:
    """What an agent says of itself in its Hello. ``instance`` is drawn at each start of the process."""

    cluster: str
    agent: str
    instance: bytes
    volumes: tuple[VolumeHello, ...] = ()
    chunker: str = limits.CHUNKER_ID
    credit: int = limits.CREDIT_BYTES
    version_min: int = limits.PROTOCOL_VERSION_MIN
    version_max: int = limits.PROTOCOL_VERSION_MAX


def hello(ours: Introduction, is_reply: bool) -> Hello:
    """The message that says so."""
    return Hello(
        version_min=ours.version_min,
        version_max=ours.version_max,
        cluster=ours.cluster,
        agent=ours.agent,
        instance=ours.instance,
        chunker=ours.chunker,
        credit=ours.credit,
        volumes=ours.volumes,
        is_reply=is_reply,
    )


def why_unfit(ours: Introduction, theirs: Hello) -> tuple[str, str] | None:
    """The code and the sentence with which a Hello is refused, None if it fits; both sides show the sentence."""
    if min(ours.version_max, theirs.version_max) < max(ours.version_min, theirs.version_min):
        return "version", (
            f"agent {ours.agent} speaks protocol versions {ours.version_min} to {ours.version_max}, agent "
            f"{theirs.agent} {theirs.version_min} to {theirs.version_max}: update the older one"
        )
    if ours.cluster != theirs.cluster:
        return "cluster", (
            f"agent {ours.agent} belongs to cluster {ours.cluster!r}, agent {theirs.agent} to cluster "
            f"{theirs.cluster!r}: give both the same --cluster, or do not name one as a --peer of the other"
        )
    if ours.instance == theirs.instance:
        return "self", f"the address leads back to agent {ours.agent} itself"
    if ours.chunker != theirs.chunker:
        return "chunker", (
            f"agent {ours.agent} cuts files by {ours.chunker}, agent {theirs.agent} by {theirs.chunker}: "
            "install the same version of syncagent, with all it needs, on both"
        )
    return None
