"""The member list merges to the same list in any order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from syncagent.core.members import display_names, gone, merge_members, present
from syncproto.model import Member

MEMBERS = st.lists(
    st.builds(
        Member,
        incarnation=st.sampled_from(["a.1", "a.2", "b.1"]),
        name=st.sampled_from(["a", "b"]),
        stamp=st.integers(0, 3),
        is_gone=st.booleans(),
    ),
    max_size=6,
)


def merged(*lists: list[Member]) -> dict[str, tuple[int, bool]]:
    known: dict[str, Member] = {}
    for members in lists:
        for member in merge_members(known.values(), members):
            if member.incarnation not in known or member.rank > known[member.incarnation].rank:
                known[member.incarnation] = member
    return {name: member.rank for name, member in known.items()}


@given(MEMBERS, MEMBERS)
def test_merging_is_commutative_and_idempotent(left: list[Member], right: list[Member]) -> None:
    assert merged(left, right) == merged(right, left) == merged(left, right, left)


def test_a_member_that_left_is_not_present_until_it_enlists_again() -> None:
    member = Member("a.1", "a", stamp=5)
    left = gone(member, 3)
    assert left.rank > member.rank
    assert present([left]) == []
    assert merge_members([left], [member]) == []
    back = Member("a.1", "a", stamp=left.stamp + 1)
    assert merge_members([left], [back]) == [back]


def test_namesakes_are_told_apart() -> None:
    names = display_names([Member("a.1234", "a"), Member("a.5678", "a"), Member("b.1", "b")])
    assert names == {"a.1234": "a~1234", "a.5678": "a~5678", "b.1": "b"}
