"""A file's name is only ever text: in all output of commands, no name breaks a line or controls a terminal."""

import ast
import errno
import io
import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipeline import load_run
from pipeline.cli.main import main
from pipeline.execution.notices import Warnings
from pipeline.execution.reporter import Reporter
from pipeline.messages.errors import ConfigError, FastDiffError
from stages.commands.demo import images as demo
from tests.end_to_end.driver import Project, make_image

ROOT = Path(__file__).parents[2]
EVIL = "\x1b[31m red \u202egnp\nfast-diff: all is well\x07 [bold] \U0001f9ca \u2028"
HEARD = {
    "pipeline/messages/say.py",
    "pipeline/execution/bars.py",
    "pipeline/execution/progress.py",
    "stages/commands/apply/output.py",
    "stages/commands/demo/images.py",
}
"""Modules that print names of files and must call `one_line`; only `output.py` receives escaped names."""
DATA = {"dumps", "to_json", "describe", "text_of", "schema_text", "script", "dot"}
"""Functions that make text for machines, in which each name is escaped."""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Make copies, near copies and a broken file in folders whose names are attacks, and a run of such a name."""
    project = Project(tmp_path / EVIL, {"inputs": {"a": [str(tmp_path / EVIL / f"images {EVIL}")]}})
    folder = Path(project.config["inputs"]["a"][0])
    for number, name in enumerate((f"a{EVIL}.png", f"b{EVIL}.png", f"sub{EVIL}/c.png", f"shut{EVIL}/d.png")):
        make_image(folder / name, number % 2)
    (folder / f"broken{EVIL}.png").write_bytes(b"no image")
    return project


def test_no_command_prints_a_name_raw(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scandir, said = os.scandir, []

    def guarded(path: Any) -> Any:
        if b"shut" in os.fsencode(path):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    folder, run = Path(project.config["inputs"]["a"][0]), str(project.run_folder)
    first, second, plan = str(folder / f"a{EVIL}.png"), str(folder / f"sub{EVIL}" / "c.png"), project.folder / "p.json"

    def command(*words: str) -> int:
        try:
            code = main(list(words))
        except SystemExit as ended:
            code = int(ended.code or 0)
        captured = capsys.readouterr()
        said.extend([captured.out, captured.err])
        return code

    config = str(project.yaml)
    assert command("run", config) == 0
    assert "can't be listed" in said[-1]
    assert json.loads((project.run_folder / "run.json").read_text())["warnings"][0].isprintable()
    for words in (["status", config], ["explain", config], ["estimate", config], ["failures", run], ["show", run]):
        assert command(*words) == 0
    assert command("explain", config, "--set", "pairs.threshold=9") == 0
    assert command("show", run, first) == 0
    assert command("duplicates", run, "--by", "hash") == 0
    assert command("verify", run) == 0
    assert command("run", config, "--fail-on", "match") == 3
    assert command("dismiss", run, first, second, "--file", str(project.folder / f"d{EVIL}.csv")) == 0
    shutil.copy(first, project.folder / f"new{EVIL}.png")
    assert command("check", str(project.folder / f"new{EVIL}.png"), "--against", run) == 3
    assert command("plan", run, str(plan)) == 0
    assert command("apply", str(plan), "--action", "report") == 0
    assert command("apply", str(plan), "--action", "move", "--to", str(project.folder / f"to{EVIL}")) == 0
    assert command("prune", config) == 0
    told = io.StringIO()
    demo.show(load_run(run), Console(file=told, width=10_000))
    said.append(told.getvalue())
    for wrong in (
        ["run", str(project.folder / f"no{EVIL}.yaml")],
        ["run", config, "--set", f"inputs.a={json.dumps([f'/no{EVIL}', f'/nor{EVIL}'])}"],
        ["run", config, "--set", f"inputs.b={json.dumps([first])}"],
        ["run", config, "--set", f"inputs.reference={json.dumps([f'/no{EVIL}'])}"],
        ["run", config, "--set", f"plot.labels={json.dumps(f'/no{EVIL}')}"],
        ["run", config, EVIL],
        ["show", run, f"/no{EVIL}"],
        ["show", f"/no{EVIL}"],
        ["apply", f"/no{EVIL}", "--action", "report"],
        ["undo", f"/no{EVIL}"],
        ["check", f"/no{EVIL}", "--against", run],
        ["plan", run, str(plan)],
        [EVIL],
    ):
        assert command(*wrong) in (1, 2), wrong
    raw = {
        line: [letter for letter in line if not letter.isprintable()]
        for text in said
        for line in text.split("\n")
        if not line.isprintable()
    }
    assert raw == {}
    lines = [line for text in said for line in text.split("\n")]
    assert [line for line in lines if line.startswith("fast-diff: all is well")] == []


def test_logged_text_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with Warnings(Reporter()) as warnings:
        logging.getLogger("fast_diff").warning("%s can't be listed", EVIL)
    (line,) = warnings.lines
    assert line.isprintable()


def test_an_error_has_the_lines_that_it_was_given_and_no_more() -> None:
    error = ConfigError(f"inputs.a: {EVIL}", "pairs: wrong")
    assert len(str(error).splitlines()) == 2
    assert all(line.isprintable() for line in error.lines)


def calls(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]


def called(call: ast.expr) -> str:
    if not isinstance(call, ast.Call):
        return ""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def test_all_printed_names_pass_through_one_line() -> None:
    modules = [path for package in ("pipeline", "stages") for path in (ROOT / package).rglob("*.py")]
    raw = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in modules
        if str(path.relative_to(ROOT)) not in HEARD
        for call in calls(path)
        if called(call) == "print" and not (call.args and called(call.args[0]) in DATA)
    ]
    assert raw == [], "print such lines by `say` or `say_on_stderr` of pipeline/messages/say.py"


def test_lines_of_an_error_are_given_apart() -> None:
    """If error lines were joined by line breaks, a line break in a name would look like the start of an error."""
    errors = {kind.__name__ for kind in FastDiffError.__subclasses__()}
    joined = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for package in ("pipeline", "stages")
        for path in (ROOT / package).rglob("*.py")
        for call in calls(path)
        if called(call) in errors
        for part in ast.walk(call)
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and "\n" in part.value
    ]
    assert joined == []
