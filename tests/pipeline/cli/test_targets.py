"""Which run a command line means."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.targets import last_run, names_a_run, read_record, runs_here, target_config
from pipeline.config.settings import from_mapping
from pipeline.messages.errors import ConfigError
from pipeline.plan.discovery import discover


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def made(name: str, age: int = 0, **more: Any) -> Path:
    """Make the folder of a run that is `age` seconds old."""
    config = from_mapping({"run": "x", "inputs": {"a": ["/photos"]}, **more}, discover())
    folder = Path("outputs") / name
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"run": name, "config": config.as_dict()}))
    os.utime(folder / "run.json", (2_000_000_000 - age, 2_000_000_000 - age))
    return folder


def test_the_last_run_is_the_newest(capsys: pytest.CaptureFixture[str]) -> None:
    made("old", 20)
    made("new", 10)
    made(".hidden")
    made("new.check")
    made("lonely.check", 15)
    Path("outputs/stray").mkdir()
    assert [run.name for run in runs_here()] == ["new", "lonely.check", "old"]
    assert last_run() == "outputs/new"
    assert capsys.readouterr() == ("", "fast-diff: no RUN given: taking the last run here, outputs/new\n")


def test_without_a_run_it_says_how_to_start_one() -> None:
    with pytest.raises(
        ConfigError, match=r"^no run in \./outputs: expected RUN, .* start one with fast-diff run FOLDER$"
    ):
        last_run()


def test_the_config_of_a_folder_is_the_one_that_it_was_run_with() -> None:
    folder = made("mine", pairs={"threshold": 77.0}, output="/elsewhere")
    config, stages = target_config(str(folder))
    assert config.settings("pairs.threshold") == 77
    assert config.settings("inputs.a") == ("/photos",)
    assert config.folder == folder.absolute(), "where the run lies now, not where it was made"
    assert [stage.name for stage in stages] == [stage.name for stage in discover()]
    assert target_config(None)[0] == config
    assert target_config(str(folder), ["pairs.threshold=5"])[0].settings("pairs.threshold") == 5


def test_secrets_that_were_masked_are_left_out() -> None:
    secret = {"kind": "slurm", "scale": 2, "cluster": {"job_extra_directives": ["--key=1"], "queue": "long"}}
    folder = made("mine", scheduler=secret, storage={"s3": {"secret": "hush"}})
    assert "***" in (folder / "run.json").read_text()
    config, _ = target_config(str(folder))
    assert config.storage == {}
    assert config.scheduler.cluster == {"job_extra_directives": [], "queue": "long"}


def test_a_config_is_read_as_such(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("inputs: {a: [/photos]}\npairs: {threshold: 9}\n")
    assert target_config("x.yaml")[0].settings("pairs.threshold") == 9


def test_a_folder_that_is_no_run_is_refused() -> None:
    Path("outputs/nothing").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"outputs/nothing is not a run folder: it has no run\.json"):
        target_config("outputs/nothing")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"config": 1}', "{" * 100_000])
def test_a_damaged_record_is_reported(text: str) -> None:
    folder = made("mine")
    (folder / "run.json").write_text(text)
    with pytest.raises(ConfigError, match=r"run\.json is damaged; run `fast-diff run` again"):
        read_record(folder)


def test_names_of_runs(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "cat.jpg").touch()
    assert names_a_run("folder")
    assert names_a_run("gone.yaml")
    assert names_a_run("s3://bucket/run")
    assert not names_a_run("cat.jpg")
    assert not names_a_run("gone.jpg")
