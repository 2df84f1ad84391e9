"""The command line: exit codes, one sentence a mistake, help that ends with an example, and what is not imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from syncagent import config
from syncagent.__main__ import COMMANDS, main

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in [variable for variable in os.environ if variable.startswith("SYNCAGENT_")]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)


def config_command(tmp_path: Path, *more: str) -> list[str]:
    (tmp_path / "data").mkdir(exist_ok=True)
    return ["config", "--volume", "data=data", "--state-dir", str(tmp_path / "state"), *more]


def test_config_prints_each_value_with_its_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "agent.toml").write_text('cluster = "c"\nname = "file"\n[volumes.other]\npath = "nowhere"\n')
    monkeypatch.setenv("SYNCAGENT_NAME", "env")
    monkeypatch.setenv("SYNCAGENT_PEERS", "tcp://127.0.0.1:1 tcp://[::1]:2")
    assert main(config_command(tmp_path, "--config", "agent.toml", "--drain", "90")) == 0
    out, err = capsys.readouterr()
    rows = [tuple(line.split(maxsplit=1)) for line in out.splitlines()]
    shown = {key: " ".join(rest.split()) for key, rest in rows}
    assert err == ""
    assert shown["name"] == "env environment"
    assert shown["cluster"] == "c config file"
    assert shown["drain"] == "90s flag"
    assert shown["forget_after"] == "30d default"
    assert shown["peers"] == "tcp://127.0.0.1:1 tcp://[::1]:2 environment"
    assert shown["volumes.data.path"] == f"{tmp_path}/data flag"
    assert shown["volumes.data.brake"] == "100,25% default"
    assert "volumes.other.path" not in shown


def test_config_lists_every_fault_of_all_sources_and_exits_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "agent.toml").write_text('drane = "5s"\nhttp = "nowhere"\n')
    monkeypatch.setenv("SYNCAGENT_FORGET_AFTER", "5x")
    assert main(config_command(tmp_path, "--config", "agent.toml", "--listen", "127.0.0.1:1")) == 2
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        "syncagent: 'drane' in agent.toml is no key of the config file; did you mean drain?",
        "syncagent: --listen '127.0.0.1:1' is not an address of the form tcp://ADDRESS:PORT; write tcp://127.0.0.1:1",
        "syncagent: http in agent.toml 'nowhere' is not an address of the form ADDRESS:PORT, "
        "as 127.0.0.1:7401 or [::1]:7401",
        "syncagent: SYNCAGENT_FORGET_AFTER '5x' is not a duration; write 500ms, 5s, 10m, 2h, 30d or plain seconds",
    ]
    assert "5x (refused)" in out


def test_config_never_shows_what_is_in_a_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = "s3cret-" * 8
    for name, mode in (("good", 0o600), ("open", 0o644), ("short", 0o600)):
        (tmp_path / name).write_text(secret if name != "short" else "s3cret-")
        (tmp_path / name).chmod(mode)
    for name, code in (("good", 0), ("open", 2), ("short", 2)):
        command = config_command(tmp_path, "--secret-file", name, "--http-token-file", name)
        assert main(command) == code
        assert "s3cret" not in "".join(capsys.readouterr())


def test_run_refuses_a_bad_configuration_in_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--state-dir", str(tmp_path / "state")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "syncagent: no volume is given; add --volume NAME=DIR (or SYNCAGENT_VOLUMES, or [volumes.NAME])\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "--peeer", "tcp://x:1"], "unknown flag '--peeer'; did you mean --peer? (see `syncagent run --help`)"),
        (["config", "--nme=x"], "unknown flag '--nme'; did you mean --name? (see `syncagent config --help`)"),
        (["run", "--zzzz"], "unknown flag '--zzzz' (see `syncagent run --help`)"),
        (["run", "--vol", "a=b"], "unknown flag '--vol'; did you mean --volume? (see `syncagent run --help`)"),
        (["run", "data=/x"], "unexpected argument 'data=/x'; every setting is a flag (see `syncagent run --help`)"),
        (["run", "--peer"], "--peer needs a value (see `syncagent run --help`)"),
        (["rum"], "'rum' is no command; did you mean run? (see `syncagent --help`)"),
        (["zzzz"], "'zzzz' is no command; known are run, config (see `syncagent --help`)"),
        (["--volume", "a=b"], "'--volume' comes before the command; write `syncagent run --volume ...`"),
    ],
)
def test_a_mistyped_command_line_is_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr() == ("", f"syncagent: {sentence}\n")


@pytest.mark.parametrize("arguments", [["--help"], *([command, "--help"] for command in COMMANDS)])
def test_help_ends_with_an_example_and_the_exit_codes(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(arguments)
    except SystemExit as end:
        code = int(end.code or 0)
    text = capsys.readouterr().out
    example, codes = text.index("example:\n"), text.index("exit codes:\n")
    assert code == 0 and example < codes
    assert [line.split()[0] for line in text[codes:].splitlines()[1:]] == ["0", "1", "2", "3", "4", "5", "130"]


def test_help_names_every_flag_and_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for option in config.OPTIONS:
        assert f"{option.flag} {option.metavar}" in text and option.variable in text


def test_without_a_command_the_overview_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("usage: syncagent COMMAND")


def test_the_readme_has_the_generated_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--markdown"]) == 0
    readme = (ROOT / "README.md").read_text()
    start, end = "<!-- options -->\n", "<!-- /options -->"
    assert readme.count(start) == 1 and readme.count(end) == 1
    assert readme.partition(start)[2].partition(end)[0] == capsys.readouterr().out


def test_starting_up_imports_nothing_heavy() -> None:
    code = "import sys, syncagent.__main__; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "syncagent.config" in loaded
    assert not loaded & {"zmq", "sqlite3", "_sqlite3", "click", "rich", "docker", "asyncio", "watchdog", "blake3"}


def test_a_closed_pipe_is_no_traceback(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "syncagent", *config_command(tmp_path)]
    with os.fdopen(writer, "wb") as pipe:
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["run", "--help"], ["config", "--markdown"], ["config"]])
def test_a_full_disk_is_told(tmp_path: Path, words: list[str]) -> None:
    arguments = config_command(tmp_path) if words == ["config"] else words
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "syncagent", *arguments]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, cwd=tmp_path, text=True)
    sentence = "standard output cannot be written: No space left on device; make room, or send it elsewhere"
    assert (done.returncode, done.stderr) == (1, f"syncagent: {sentence}\n")
