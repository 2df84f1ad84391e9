"""What is found after a doubt, and stood there before, is a fact of old; nothing that is in doubt is told as one."""

from __future__ import annotations

from msgspec import structs

from syncagent.core.lineage import Lineage, sound_vector
from syncagent.core.reconcile import Reconciler
from syncproto.model import Entry, Kind, Metadata
from syncproto.version import Vector, merge
from unit.core.replicas import DELETED, DIRECTORY, MODE, PRIVATE, entry, file, pull, replica, tree


def again(old: Reconciler, sound: Vector | None = None) -> tuple[Reconciler, Vector]:
    """A new incarnation of a replica, and what is sound of the old one: all, unless it is said."""
    name = old.state.origin.split(".")[0]
    new = replica(name)
    new.state.origin = f"{name}.2"
    return new, old.state.known if sound is None else sound


def both() -> tuple[Reconciler, Reconciler, Entry]:
    """Replicas that have a file in common, and its entry."""
    a, b = replica("a"), replica("b")
    a.change(b"x", file(b"one"), 10, attributes=MODE)
    pull(b, a)
    return a, b, entry(a, b"x")


def test_what_stood_there_is_recorded_as_it_was() -> None:
    a, b, once = both()
    new, sound = again(a)
    found = new.adopt(b"x", file(b"one"), MODE, Lineage(sound, once))
    assert found == once and new.state.counter == 0
    pull(new, b)
    assert tree(new) == {b"x": b"one"} and not list(new.state.pending())
    assert new.state.known == b.state.known


def test_what_became_of_it_since_replaces_it_silently() -> None:
    a, b, once = both()
    b.change(b"x", file(b"two"), 20)
    new, sound = again(a)
    new.adopt(b"x", file(b"one"), MODE, Lineage(sound, once))
    pull(new, b)
    pull(b, new)
    assert tree(new) == tree(b) == {b"x": b"two"}


def test_a_delete_since_holds() -> None:
    a, b, once = both()
    b.change(b"x", DELETED, 20)
    new, sound = again(a)
    new.adopt(b"x", file(b"one"), MODE, Lineage(sound, once))
    pull(new, b)
    pull(b, new)
    assert tree(new) == tree(b) == {}


def test_a_delete_holds_that_came_before_the_disk_was_looked_at() -> None:
    a, b, once = both()
    b.change(b"x", DELETED, 20)
    new, sound = again(a)
    pull(new, b)
    new.adopt(b"x", file(b"one"), MODE, Lineage(sound, once))
    assert tree(new) == {b"x": b"one"}, "the disk still has it"
    new.work(30, lambda digest: True)
    assert tree(new) == {}
    pull(b, new)
    assert tree(b) == {}


def test_a_delete_that_was_dropped_holds_too() -> None:
    a, b, once = both()
    b.change(b"x", DELETED, 20)
    b.collect([b.state.applied])
    assert b.state.entry(b"x") is None
    new, sound = again(a)
    new.adopt(b"x", file(b"one"), MODE, Lineage(sound, once))
    assert new.needs_full(b.state.collected)
    for old in new.missing_from(b.unknown_to({}), b.state.known):
        new.drop_collected(old, b.state.known)
    assert tree(new) == {}


def test_an_earlier_content_is_known_from_the_history() -> None:
    a, b, first = both()
    b.change(b"x", file(b"two"), 20)
    pull(a, b)
    new, sound = again(a)
    found = new.adopt(b"x", file(b"one"), MODE, Lineage(sound, entry(a, b"x"), [first]))
    assert found == first
    pull(new, b)
    assert tree(new) == {b"x": b"two"}


def test_the_newest_of_equal_contents_counts() -> None:
    a, _, first = both()
    a.change(b"x", file(b"two"), 20)
    second = entry(a, b"x")
    a.change(b"x", file(b"one"), 30)
    third = entry(a, b"x")
    a.change(b"x", file(b"four"), 40)
    lineage = Lineage(a.state.known, entry(a, b"x"), [third, second, first])
    assert lineage.entry_of(Kind.FILE, b"one") == third
    assert lineage.entry_of(Kind.SYMLINK, b"one") is None


def test_what_nobody_knows_ranks_lowest() -> None:
    a, b, once = both()
    new, sound = again(a)
    found = new.adopt(b"x", file(b"other"), MODE, Lineage(sound, once))
    assert found.dot == ("a.2", 1) and found.version == (("a.2", 1),)
    pull(new, b)
    assert tree(new) == {b"x": b"one", b"x~a.2-1": b"other"}


def test_a_disk_that_moved_on_from_the_index_has_seen_what_was_there() -> None:
    a, b, once = both()
    new, sound = again(a)
    new.adopt(b"x", file(b"edited"), MODE, Lineage(sound, once, is_older=True))
    pull(new, b)
    pull(b, new)
    assert tree(new) == tree(b) == {b"x": b"edited"}


def test_a_disk_that_moved_on_ranks_below_what_others_made_of_it_meanwhile() -> None:
    a, b, once = both()
    b.change(b"x", file(b"two"), 20)
    new, sound = again(a)
    new.adopt(b"x", file(b"edited"), MODE, Lineage(sound, once, is_older=True))
    pull(new, b)
    assert tree(new) == {b"x": b"two", b"x~a.2-1": b"edited"}


def test_a_dot_in_doubt_is_not_told_again_but_what_its_writer_had_seen_is() -> None:
    a, b, once = both()
    a.change(b"x", file(b"late"), 20)  # the dot of this was used by a history that is lost
    late = entry(a, b"x")
    new, _ = again(a)
    found = new.adopt(b"x", file(b"late"), MODE, Lineage({"a.1": once.counter}, late))
    assert found.dot == ("a.2", 1) and found.version == (("a.1", 1), ("a.2", 1))
    assert found.metadata == late.metadata, "that is beyond doubt"
    pull(b, new)
    pull(new, b)
    assert tree(new) == tree(b) == {b"x": b"late"}


def test_a_register_in_doubt_gets_a_new_dot() -> None:
    a, _, once = both()
    a.change_metadata(b"x", PRIVATE, 20)
    late = entry(a, b"x")
    new, _ = again(a)
    found = new.adopt(b"x", file(b"one"), PRIVATE, Lineage({"a.1": once.counter}, late))
    assert (found.dot, found.metadata.dot, found.metadata.value) == (once.dot, ("a.2", 1), PRIVATE)
    assert found.metadata.stamp == late.metadata.stamp


def test_both_in_doubt_get_new_dots() -> None:
    a = replica("a")
    a.change(b"x", file(b"one"), 10, attributes=MODE)
    new, _ = again(a)
    found = new.adopt(b"x", file(b"one"), PRIVATE, Lineage({}, entry(a, b"x")))
    assert found.version == (("a.2", 1),) and found.metadata.dot == ("a.2", 1)
    assert (found.metadata.value, found.stamp) == (PRIVATE, entry(a, b"x").stamp)


def test_directories_are_facts_too() -> None:
    a, b = replica("a"), replica("b")
    a.change(b"d", DIRECTORY, 10)
    pull(b, a)
    once = entry(a, b"d")
    b.change(b"d", DELETED, 20)
    new, sound = again(a)
    new.adopt(b"d", DIRECTORY, None, Lineage(sound, once))
    pull(new, b)
    assert tree(new) == {}


def test_what_is_carried_is_trimmed_as_well() -> None:
    a, _, once = both()
    moved = structs.replace(once, carried=(("a.1", 9), ("c.1", 4)), metadata=Metadata())
    trimmed = Lineage({"a.1": 5}, moved).trimmed(moved)
    assert trimmed.carried == (("a.1", 5),) and trimmed.version == once.version


def test_sound_is_what_others_have_of_histories_beyond_doubt() -> None:
    heard = [{"a.1": 9, "b.1": 3}, {"a.1": 7, "b.1": 5, "c.1": 2}]
    assert sound_vector(heard, {}) == merge(*heard)
    assert sound_vector(heard, {"a.1": 4, "z.1": 1}) == {"a.1": 4, "b.1": 5, "c.1": 2}
    assert sound_vector([], {"a.1": 4}) == {} and sound_vector([{"a.1": 9}], {"a.1": 0}) == {}
