"""The pipeline runs a DAG that has nothing to do with images: run, status, explain, resume and its tables."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.cli.main import main
from pipeline.config.describe import describe
from pipeline.config.settings import Config, from_mapping
from pipeline.execution import count
from pipeline.execution.forecast import explain
from pipeline.execution.record import RunRecord
from pipeline.execution.reporter import Reporter
from pipeline.execution.task import Outcome
from pipeline.messages.errors import ConfigError
from pipeline.plan import discovery
from pipeline.run import prune, run
from pipeline.stage import Address
from tests.end_to_end.test_schedulers import scheduler_section
from tests.pipeline.word_counts import STAGES

TEXTS = {"one": "a b a", "two": "b c", "three": "c c A"}
SLOW = pytest.mark.slow
KINDS = ["synchronous", "auto", "threads", pytest.param("local", marks=SLOW), pytest.param("address", marks=SLOW)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "texts").mkdir()
    for name, text in TEXTS.items():
        (tmp_path / "texts" / f"{name}.txt").write_text(text)
    return tmp_path


def config(folder: Path, **sections: Any) -> Config:
    data = {"run": "words", "output": str(folder / "out"), "texts": {"folders": [str(folder / "texts")]}}
    return from_mapping({**data, "scheduler": {"kind": "synchronous"}, **sections}, STAGES)


def ran(config: Config) -> tuple[RunRecord, dict[str, int]]:
    """Return the record of a run, and the number of tasks that ran in each stage."""
    record = run(config, STAGES, Reporter())
    assert record.exit_code == 0, record.record["failures"]
    return record, {name: counts["tasks_run"] for name, counts in record.record["stages"].items()}


def table(config: Config, stage: str) -> dict[str, int]:
    rows = pd.read_parquet(Path(str(config.folder)) / stage)
    return dict(rows.groupby("word")["count"].sum())


@pytest.mark.parametrize("kind", KINDS)
def test_it_runs_and_resumes_under_every_scheduler(folder: Path, kind: str) -> None:
    with scheduler_section(kind, folder) as section:
        first = config(folder, scheduler=section)
        record, tasks = ran(first)
        assert tasks == {"files": 3, "counts": 3, "total": 1}
        assert record.record["words"] == 8
        assert table(first, "total") == table(first, "counts") == {"A": 1, "a": 2, "b": 2, "c": 3}
        assert (folder / "out/words/page/total.txt").read_text() == "A 1\na 2\nb 2\nc 3"
        assert ran(first)[1] == {"files": 0, "counts": 0, "total": 0}
        changed = folder / "texts" / "two.txt"
        changed.write_text("b b b")
        os.utime(changed, ns=(1, 1))
        assert ran(first)[1] == {"files": 1, "counts": 1, "total": 1}
        assert table(first, "total") == {"A": 1, "a": 2, "b": 4, "c": 2}


@pytest.mark.parametrize("kind", ["synchronous", "auto", "threads"])
def test_a_task_tells_how_far_it_is(folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under `threads`, counts pass through Dask's scheduler, as from any worker."""
    monkeypatch.setattr(count, "REPORT_INTERVAL", -1.0)
    told: dict[Address, int] = {}

    class Listening(Reporter):
        def advance(self, address: Address, done: int) -> None:
            told[address] = done

        def task(self, address: Address, how: str, reason: str, outcome: Outcome | None) -> None:
            end = time.monotonic() + 10
            while address[0] == "counts" and address not in told and time.monotonic() < end:
                time.sleep(0.01)  # a count may arrive a moment after the task's end

    with scheduler_section(kind, folder) as section:
        assert run(config(folder, scheduler=section), STAGES, Listening()).exit_code == 0
    assert told == {("counts", name): len(text) for name, text in TEXTS.items()}


def test_status_and_explain_list_stale_tasks_with_reasons(folder: Path) -> None:
    found = explain(config(folder), STAGES)
    assert found.plan.stages() == {"files": 3, "counts": 3, "total": 1}
    assert not found.current
    assert found.reasons["counts", "one"].startswith("missing")
    ran(config(folder))
    found = explain(config(folder), STAGES)
    assert len(found.current) == 7
    assert not found.reasons
    found = explain(config(folder, total={"least": 2}), STAGES)
    assert found.reasons == {("total", "total"): "params changed: least 1 → 2"}
    (folder / "texts" / "two.txt").write_text("something else")
    reasons = explain(config(folder), STAGES).reasons
    assert reasons["files", "two"] == "input changed: found"
    assert reasons["counts", "two"] == "input changed: files"
    assert reasons["total", "total"].startswith("unknown until its inputs are computed")
    assert set(reasons) == {("files", "two"), ("counts", "two"), ("total", "total")}


def test_the_commands_inspect_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(discovery, "discover", lambda: STAGES)
    ran(config(folder))
    run_folder = str(folder / "out" / "words")

    def said(*words: str) -> str:
        assert main([*words, run_folder]) == 0
        return capsys.readouterr().out

    assert json.loads(said("status", "--json"))["counts"] == {"tasks": 3, "current": 3, "to_run": 0}
    assert said("explain") == "nothing would run: every artifact is up to date\n"
    (folder / "texts" / "two.txt").write_text("something else")
    assert "counts     2 of 3 up to date, 1 to run" in said("status")
    assert json.loads(said("explain", "--json"))["files/two"] == "input changed: found"
    assert '"counts/two" -> "total/total"' in said("graph")
    ran(config(folder, counts={"lower": True}))
    assert "deleted 5 retired files" in said("prune")


def test_another_parameter_retires_artifacts_that_are_restored_later(folder: Path) -> None:
    ran(config(folder))
    assert ran(config(folder, counts={"lower": True}))[1] == {"files": 0, "counts": 3, "total": 1}
    assert ran(config(folder))[1] == {"files": 0, "counts": 0, "total": 1}
    files, size = prune(config(folder))
    assert files > 0
    assert size > 0


def test_sections_of_the_source_are_described_checked_and_in_the_record(folder: Path) -> None:
    record, _ = ran(config(folder))
    shown = record.record["config"]
    assert json.loads((folder / "out/words/run.json").read_text())["config"]["texts"] == shown["texts"]
    assert list(shown) == ["run", "output", "storage", "texts", "files", "counts", "total", "scheduler"]
    assert "texts:" in describe(config(folder), STAGES)
    with pytest.raises(ConfigError, match=r"texts\.folders: .*nowhere does not exist"):
        ran(config(folder, texts={"folders": [str(folder / "nowhere")]}))
    with pytest.raises(ConfigError, match=r"texts\.folder: unknown key; did you mean texts\.folders\?"):
        config(folder, texts={"folder": []})
    with pytest.raises(ConfigError, match=r"output: .* overlaps texts\.folders"):
        config(folder, output=str(folder / "texts"))
