"""Which paths the rules leave out."""

from __future__ import annotations

import pytest

from syncagent.core.ignore import IgnoreRules

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
