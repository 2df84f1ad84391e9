"""Which paths the rules leave out."""

from __future__ import annotations

import pytest

from syncagent.core.ignore import IgnoreRules, why_beyond, why_left_out

RULES = IgnoreRules(b"# comment\n*.log\nbuild/\n/top\n!keep.log\ndoc/**/draft\n\xff*\n")


@pytest.mark.parametrize(
    ("path", "is_directory", "ignored"),
    [
        (b"a.log", False, True),
        (b"d/e/a.log", False, True),
        (b"keep.log", False, False),
        (b"build", True, True),
        (b"build", False, False),  # a file of that name is no directory
        (b"build/x/y", False, True),
        (b"build/keep.log", False, True),  # nothing comes back from below an ignored directory
        (b"top", False, True),
        (b"d/top", False, False),
        (b"doc/a/b/draft", False, True),
        (b"\xffname", False, True),
        (b"plain", False, False),
        (b".syncignore", False, False),
    ],
)
def test_rules_follow_gitignore(path: bytes, is_directory: bool, ignored: bool) -> None:
    assert RULES.ignores(path, is_directory=is_directory) is ignored


def test_no_rules_ignore_nothing() -> None:
    assert not IgnoreRules(b"\n# nothing\n").ignores(b"a.log")
    assert not IgnoreRules().ignores(b"build/x")


def test_the_rules_cannot_ignore_themselves() -> None:
    assert not IgnoreRules(b"*\n").ignores(b".syncignore")


def test_a_line_that_is_no_pattern_is_named_and_the_rest_holds() -> None:
    rules = IgnoreRules(b"*.log\n!\nbuild/\n")
    assert rules.ignores(b"a.log") and rules.ignores(b"build", is_directory=True)
    assert len(rules.faults) == 1 and "line 2" in rules.faults[0]


@pytest.mark.parametrize(
    ("path", "own", "beyond"),
    [
        (b"lost+found", True, True),
        (b"lost+found/x", False, True),
        (b"d/lost+found", False, False),  # only a file system's root has one
        (b".snapshot", True, True),
        (b"d/.snapshot/hourly/f", False, True),
        (b"d/.nfs0001", True, True),
        (b".syncagent", True, True),
        (b".syncagent/staging/f", False, True),
        (b"d/.syncagent", False, False),
        (b"plain", False, False),
    ],
)
def test_some_names_are_never_replicated(path: bytes, own: bool, beyond: bool) -> None:
    assert (why_left_out(path) is not None) is own
    assert (why_beyond(path) is not None) is beyond


def test_a_line_that_is_no_pattern_of_any_kind_is_a_fault_and_the_rest_counts() -> None:
    rules = IgnoreRules(b"[z-a]\n*.log\n")
    assert len(rules.faults) == 1 and "line 1" in rules.faults[0]
    assert rules.ignores(b"x.log") and not rules.ignores(b"b")


def test_a_conflict_copy_is_ignored_if_its_original_is() -> None:
    rules = IgnoreRules(b"d/*\n!d/x\n*~*\nkept.txt\n")
    assert rules.ignores(b"d/y~c.ba4c6fab-1") and rules.ignores(b"kept~a.ba4c6fab-3~2.txt")
    assert not rules.ignores(b"d/x~c.ba4c6fab-1") and not rules.ignores(b"d/x~c.ba4c6fab-1~d.12345678-9")
    assert not rules.ignores(b".syncignore~c.ba4c6fab-1")
    assert rules.ignores(b"z~") and rules.ignores(b"d/~c.ba4c6fab-1")
