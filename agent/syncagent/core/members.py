"""The member list of a volume: replicated state that merges by the largest rank per incarnation."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import structs

from syncproto.model import Member


def merge_members(mine: Iterable[Member], theirs: Iterable[Member]) -> list[Member]:
    """The members of ``theirs`` that are news: unknown here, or of a larger rank."""
    known = {member.incarnation: member for member in mine}
    return [m for m in theirs if m.incarnation not in known or m.rank > known[m.incarnation].rank]


def gone(member: Member, stamp: int) -> Member:
    """The member as one that has left."""
    return structs.replace(member, is_gone=True, stamp=max(stamp, member.stamp + 1))


def present(members: Iterable[Member]) -> list[Member]:
    """Those who count, by name."""
    return sorted((m for m in members if not m.is_gone), key=lambda m: (m.name, m.incarnation))


def display_names(members: Iterable[Member]) -> dict[str, str]:
    """A name for each present incarnation; where two share a name, a suffix of the incarnation tells them apart."""
    listed = present(members)
    names = [member.name for member in listed]
    return {
        m.incarnation: m.name if names.count(m.name) == 1 else f"{m.name}~{m.incarnation.rpartition('.')[2][:4]}"
        for m in listed
    }
