from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from unit.cli.conftest import Run

SECRET = re.compile(r"[A-Za-z0-9_-]{64}\n")


def test_a_secret_for_its_owner_alone(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    previous = os.umask(0)
    try:
        code, _, err = run("keygen", str(file))
    finally:
        os.umask(previous)
    assert (code, err) == (0, "")
    assert SECRET.fullmatch(file.read_text())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fallback", "runtime", "secret"]


def test_nothing_is_overwritten(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("mine")
    code, out, err = run("keygen", str(file))
    assert (code, out) == (1, "")
    assert "exists and is not overwritten" in err
    assert run("keygen", "--if-missing", str(file)) == (0, "", "")
    assert file.read_text() == "mine"


def test_a_link_that_leads_nowhere_counts_as_existing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "secret").symlink_to(tmp_path / "elsewhere")
    assert run("keygen", str(tmp_path / "secret"))[0] == 1
    assert not (tmp_path / "elsewhere").exists()


def test_to_standard_output(run: Run) -> None:
    code, first, _ = run("keygen", "-")
    assert code == 0
    assert SECRET.fullmatch(first)
    assert run("keygen", "-")[1] != first


def test_where_nothing_can_be_written(run: Run, tmp_path: Path) -> None:
    code, _, err = run("keygen", str(tmp_path / "missing" / "secret"))
    assert code == 1
    assert "No such file or directory" in err
