"""The command line that declared commands make: their help, and one line for each mistake."""

import os
import re
import subprocess
import sys

import pytest

from pipeline.cli import discovery
from pipeline.cli.command import GROUPS, Command
from pipeline.cli.main import main

COMMANDS = [found for module in discovery.modules().values() if (found := discovery.command(module))]
NAMES = [each.name for each in COMMANDS]


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_the_list_has_every_command_in_its_group(capsys: pytest.CaptureFixture[str]) -> None:
    text = asked(capsys, "--help")
    headings = [*GROUPS.values(), "Options"]
    for command in COMMANDS:
        heading = GROUPS[command.group]
        after = text.partition(f"\n{heading}:\n")[2].partition(f"\n{headings[headings.index(heading) + 1]}:\n")[0]
        assert re.search(rf"^  {command.name} +{re.escape(command.does[:20])}", after, re.MULTILINE), command.name
    assert text == asked(capsys, "-h")


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_every_command_has_a_summary(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    text = asked(capsys, command.name, "--help")
    flat = " ".join(text.split())
    assert command.help in flat
    assert len(command.help) > 80
    assert len(command.examples) >= 2
    for line, does in command.examples.items():
        assert line in text
        assert does in text
        assert f"fast-diff {command.name}" in line
    for code, meaning in command.exits.items():
        assert re.search(rf"^  {code} +{re.escape(meaning)}", text, re.MULTILINE)
    assert {0, 2} <= command.exits.keys()
    assert not re.search(r"\n *--color", text)


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_a_command_is_named_after_its_module(command: Command) -> None:
    assert discovery.command(discovery.modules()[command.name]) == command


def test_the_version_is_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", asked(capsys, "--version"))


MISTAKES = {
    (): "missing command; see fast-diff --help",
    ("stats",): "stats: unknown command; did you mean status? See fast-diff --help",
    ("--colour", "never", "status"): "--colour: unknown option; did you mean --color? See fast-diff --help",
    ("--color", "on", "status"): "--color: expected auto, always or never, got 'on'; see fast-diff --help",
    ("run",): "run: expected [CONFIG] [FOLDER]...; see fast-diff run --help",
    ("run", "x.yaml", "--quite"): "run: --quite: unknown option; did you mean --quiet? See fast-diff run --help",
    ("run", "x.yaml", "--set"): "run: --set: expected a value; see fast-diff run --help",
    ("run", "x.yaml", "--fail-on", "mach"): (
        "run: --fail-on: expected match or identical, got 'mach'; did you mean match? See fast-diff run --help"
    ),
    ("run", "x.yaml", "--quiet=1"): "run: option '--quiet' does not take a value; see fast-diff run --help",
    ("status", "a", "b"): "status: got unexpected extra argument (b); see fast-diff status --help",
    ("undo", ""): "undo: JOURNAL: expected a name, got an empty text; see fast-diff undo --help",
    ("run", "x", "--output", ""): (
        "run: --output: expected a folder or a URL, got an empty text; see fast-diff run --help"
    ),
    ("verify", "x", "--seed", "-1"): (
        "verify: --seed: expected a whole number from 0, got '-1'; see fast-diff verify --help"
    ),
    ("check", "x"): "check: expected --against; see fast-diff check --help",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_line(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(list(words)) == 2
    assert capsys.readouterr() == ("", f"fast-diff: {MISTAKES[words]}\n")


def test_a_command_that_is_like_none_gets_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["qqq"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert all(name in said for name in NAMES)


@pytest.mark.parametrize("words", [["--color", "always", "--help"], ["run", "--color", "always", "--help"]])
def test_colour_is_chosen_before_or_after_the_command(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.setenv(name, "1")
    assert "\x1b[1mExamples\x1b[0m" in asked(capsys, *words)
    assert "\x1b" not in asked(capsys, *[word.replace("always", "never") for word in words])


def test_no_color_is_kept_to(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b" in asked(capsys, "--help")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in asked(capsys, "--help")


@pytest.mark.quick(1)
@pytest.mark.parametrize("command", ["--help", "show --help", "config --schema"])
def test_a_closed_pipe_is_no_error(command: str) -> None:
    """Output is buffered, as it is for users, or written at once."""
    line = f"{sys.executable} -m pipeline.cli.main {command} | true; exit ${{PIPESTATUS[0]}}"
    for buffered in ("", "1"):
        around = os.environ | {"PYTHONUNBUFFERED": buffered}
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=around)
        assert (done.returncode, done.stderr) == (0, "")
        line_on_full = f"{sys.executable} -m pipeline.cli.main {command} > /dev/full"
        full = subprocess.run(["bash", "-c", line_on_full], capture_output=True, text=True, env=around)
        assert (full.returncode, full.stderr.count("\n")) == (1, 1)
        assert "No space left on device" in full.stderr
