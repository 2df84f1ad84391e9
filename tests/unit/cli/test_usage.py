from __future__ import annotations

import pytest

from syncagent.cli.main import PLACES
from syncagent.http import HttpServer
from unit.cli.conftest import Run


@pytest.mark.parametrize("name", PLACES)
def test_every_command_s_help_ends_with_an_example_and_its_exit_codes(run: Run, name: str) -> None:
    code, out, err = run(name, "--help")
    assert (code, err) == (0, "")
    before, heading, example = out.partition("\nExample:\n  syncctl ")
    assert heading
    assert before.startswith(f"Usage: syncctl {name} [OPTIONS]")
    codes = example.partition("\nExit codes:\n")[2].splitlines()
    assert codes[0].split()[0] == "0"
    assert codes[-1].split() == ["130", "interrupted"]


def test_the_overview_names_every_command(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert all(f"  {name} " in out for name in PLACES)
    assert run() == (0, out, "")
    assert run("--version")[1].startswith("syncctl ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["stauts"], "there is no command 'stauts'; did you mean 'status'? (see `syncctl --help`)"),
        (["xyzzy"], "there is no command 'xyzzy'; there are status, wait, "),
        (["status", "--jsn"], "there is no option '--jsn'; did you mean '--json'? (see `syncctl status --help`)"),
        (["--agnet", "x"], "there is no option '--agnet'; did you mean '--agent'? (see `syncctl --help`)"),
        (["status", "--agent", "x"], "--agent comes before the command: syncctl --agent ... status"),
        (["wait", "--timeout", "soon"], "invalid value for '--timeout': 'soon' is no number of seconds"),
        (["wait", "--timeout", "nan"], "invalid value for '--timeout': 'nan' is no number of seconds"),
        (["wait", "--members", "0"], "invalid value for '--members': 0 is not in the range"),
        (["wait", "a", "b"], "got unexpected extra argument (b) (see `syncctl wait --help`)"),
        (["forget"], "missing argument 'NAME' (see `syncctl forget --help`)"),
        (["status", "--watch", "--check"], "--check looks once: leave out --watch"),
        (["--agent"], "option '--agent' requires an argument"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(run: Run, api: HttpServer, arguments: list[str], sentence: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"syncctl: {sentence}")
    assert err.count("\n") == 1
