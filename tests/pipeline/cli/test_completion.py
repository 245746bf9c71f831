"""Shells ask this program for completions by click's protocol."""

import io
import os
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from pipeline.cli.main import main

SHELLS = ("bash", "zsh", "fish")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs, a folder that is none, a config, and a name with a space."""
    for name in ("Pictures", "My Phone", "Pictures.check"):
        (tmp_path / "outputs" / name).mkdir(parents=True)
        (tmp_path / "outputs" / name / "run.json").touch()
    (tmp_path / "outputs" / "stray").mkdir()
    (tmp_path / "more" / "inner").mkdir(parents=True)
    (tmp_path / "holiday.yaml").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".hidden").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def offered(words: str, shell: str = "bash") -> list[str]:
    """Return the completions of the last word of a command line, in this process, by a shell's variables."""
    typed = words.split(" ")
    last = len(typed) - 1
    asked = {"_FAST_DIFF_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": str(last)}
    if shell == "fish":
        asked |= {"COMP_CWORD": typed[-1]}
    written, errors = io.BytesIO(), io.StringIO()
    out = io.TextIOWrapper(written, "utf-8", write_through=True)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(errors):
        for name, value in asked.items():
            patch.setenv(name, value)
        assert main([]) == 0
    assert errors.getvalue() == ""
    return written.getvalue().decode().splitlines()


def test_commands_and_options(here: Path) -> None:
    assert offered("fast-diff e") == ["plain,estimate", "plain,explain", "plain,export"]
    assert offered("fast-diff run --q") == ["plain,--quiet"]
    assert offered("fast-diff run --fail-on ") == ["plain,match", "plain,identical"]
    assert offered("fast-diff completion z") == ["plain,zsh"]


def test_runs_configs_and_folders(here: Path) -> None:
    names = ["outputs/Pictures", "outputs/Pictures.check/", "outputs/Pictures/"]
    assert offered("fast-diff status outputs/P") == [f"plain,{name}" for name in names]
    assert offered("fast-diff run ") == ["plain,holiday.yaml", "plain,more/", "plain,outputs/"]
    assert offered("fast-diff run more/") == ["plain,more/inner/"]
    assert offered("fast-diff check x --against outputs/M")[0] == "plain,'outputs/My Phone'"
    assert offered("fast-diff run no/such/") == [""]


def test_keys_of_the_config(here: Path) -> None:
    assert offered("fast-diff run x.yaml --set pairs.thr") == ["plain,pairs.threshold="]
    assert offered("fast-diff status --set outp") == ["plain,output="]
    everything = offered("fast-diff run x.yaml --set ")
    assert {"plain,inputs.a=", "plain,thumbnail.size=", "plain,scheduler.kind="} <= set(everything)


def test_valid_words_of_a_key(here: Path) -> None:
    assert offered("fast-diff run x.yaml --set pairs.same=", "zsh")[1::3] == ["pairs.same=any"] + [
        f"pairs.same={word}" for word in ("dimensions", "aspect")
    ]
    assert offered("fast-diff run --set pairs.rotations=f", "zsh")[1::3] == ["pairs.rotations=false"]
    assert "scheduler.kind=slurm" in offered("fast-diff run --set scheduler.kind=", "zsh")
    assert offered("fast-diff run --set pairs.threshold=", "zsh") == [""]
    assert offered("fast-diff run --set no.such.key=", "zsh") == [""]


@pytest.mark.parametrize("typed", ["pairs.normalize =", "pairs.normalize = v"])
def test_bash_splits_words_at_the_sign_of_equality(typed: str, here: Path) -> None:
    assert "plain,value" in offered(f"fast-diff run --set {typed}")
    assert offered("fast-diff run --fail-on = m") == ["plain,match"]


def test_rules_of_the_keeper(here: Path) -> None:
    assert offered("fast-diff run x --keep ol") == ["plain,oldest"]
    assert "plain,folder" not in offered("fast-diff run x --keep ")


def test_names_of_files_and_folders_are_the_shells_own(here: Path) -> None:
    assert offered("fast-diff run x --output mo") == ["dir,mo"]
    assert offered("fast-diff apply pl") == ["file,pl"]


def test_examples(here: Path) -> None:
    assert "plain,slurm" in offered("fast-diff config --example sl")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_hear_the_same(here: Path, shell: str) -> None:
    text = "\n".join(offered("fast-diff run --set pairs.thr", shell))
    assert "pairs.threshold=" in text


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_has_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert f"_FAST_DIFF_COMPLETE={shell}_complete" in script
    assert "fast-diff" in script


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "tcsh"]) == 2
    assert "expected bash, zsh or fish, got 'tcsh'" in capsys.readouterr().err


def test_bash_completes_a_name_with_a_space(here: Path, tmp_path: Path) -> None:
    """The script in a real Bash, with this program under its name."""
    bash = shutil.which("bash")
    assert bash
    program = tmp_path / "bin" / "fast-diff"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m pipeline.cli.main "$@"\n')
    program.chmod(0o755)
    asking = """
eval "$(fast-diff completion bash)"
COMP_WORDS=(fast-diff show outputs/My) COMP_CWORD=2
_fast_diff_completion fast-diff
printf '%s\\n' "${COMPREPLY[@]}"
"""
    done = subprocess.run(
        [bash, "-c", asking],
        env={**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[0] == "'outputs/My Phone'", done.stderr
