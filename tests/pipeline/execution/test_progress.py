import io
import json
from pathlib import Path

import pytest

from pipeline.execution import pace, progress
from pipeline.execution.bars import Bars
from pipeline.execution.progress import Json, Plain, make_reporter
from pipeline.execution.reporter import Reporter, Reporters
from pipeline.execution.task import Outcome
from pipeline.plan.tasks import Workload
from pipeline.store.events import EventLog


def play(reporter: progress.Reporter) -> None:
    """Report a run of three tasks, one of which fails."""
    reporter.begin({"one": Workload(2, 2), "two": Workload(1, 1)})
    reporter.task(("one", "a"), "skipped", "", None)
    reporter.task(("one", "b"), "run", "missing", Outcome(("one", "b"), seconds=0.5, stats={"decoded": 3}))
    reporter.task(("two", "c"), "failed", "disk full", Outcome(("two", "c"), detail="trace"))
    reporter.end()


def test_plain_lines_report_the_outcome_of_each_stage() -> None:
    stream = io.StringIO()
    play(Plain(stream))
    assert stream.getvalue().splitlines() == [
        "one        2 of 2 tasks  (1 run, 1 current)",
        "two/c failed: disk full",
        "two        1 of 1 tasks  (1 failed)",
    ]


def test_tasks_that_fail_alike_are_named_a_few_times_only() -> None:
    stream = io.StringIO()
    plain = Plain(stream)
    plain.begin({"one": Workload(30, 30)})
    for number in range(30):
        plain.task(("one", str(number)), "failed", "disk full" if number % 2 else "other", None)
    said = stream.getvalue().splitlines()
    assert len([line for line in said if "disk full" in line]) == 3
    assert len([line for line in said if "further tasks that fail in the same way are only counted" in line]) == 2
    assert said[-1] == "one        30 of 30 tasks  (30 failed)"


def test_a_stage_that_takes_long_is_heard_of_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(progress, "LINE_INTERVAL", -1.0)
    play(Plain(stream))
    assert stream.getvalue().startswith("one        1 of 2 tasks  (1 current; 33% of the run done)\n")


def test_an_artifact_that_is_made_again_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each artifact of a stage was current; then three of them turned out damaged."""
    monkeypatch.setattr(pace, "STEADY", -1.0)
    stream = io.StringIO()
    plain = Plain(stream)
    plain.begin({"one": Workload(3, 3), "steps": Workload(2, 2)})
    outcome = Outcome(("one", "a"), seconds=1000.0)
    plain.task(("one", "a"), "run", "missing", outcome)
    assert plain.describe("one").endswith("left")
    plain.task(("one", "a"), "run", "unreadable", outcome)
    plain.task(("one", "b"), "skipped", "", None)
    assert plain.paces["one"].done == 2
    assert plain.describe("one").endswith("left")
    plain.task(("one", "c"), "skipped", "", None)
    for key in "bc":
        plain.task(("one", key), "run", "unreadable", outcome)
    assert plain.paces["one"].done == 3
    assert plain.describe("one") == "4 run, 2 current"
    assert "-" not in stream.getvalue()
    for done in (1, 2):  # steps without names of their own, as in `verify`
        plain.task(("steps", ""), "run", "", None)
        assert plain.paces["steps"].done == done


def test_json_is_one_object_a_line() -> None:
    stream = io.StringIO()
    play(Json(stream))
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["event"] for event in events] == ["plan", "task", "task", "task", "end"]
    expected = {"event": "task", "stage": "one", "key": "b", "how": "run", "reason": "missing", "decoded": 3}
    assert {key: value for key, value in events[2].items() if key not in ("time", "seconds")} == expected


def test_the_event_log_gives_up_where_it_cannot_write(tmp_path: Path) -> None:
    play(EventLog(tmp_path / "no such folder" / "log"))
    play(EventLog(tmp_path / "log"))
    assert len((tmp_path / "log").read_text().splitlines()) == 4  # artifacts that were current are not logged


def test_bars_and_several_reporters_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    with Reporters(Bars(), Plain(stream), Reporter()) as reporters:
        play(reporters)
    assert "two/c failed: disk full" in capsys.readouterr().err
    assert len(stream.getvalue().splitlines()) == 3


def test_which_reporter_a_command_gets() -> None:
    kinds = [type(make_reporter(quiet, form)) for quiet, form in ((True, "text"), (True, "json"), (False, "text"))]
    assert kinds == [Reporter, Json, Plain]  # no terminal


def test_counts_move_while_a_task_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_INTERVAL", -1.0)
    stream = io.StringIO()
    plain = Plain(stream)
    plain.found("files", 20)
    plain.begin({"words": Workload(2, 60, "words", 1.0), "page": Workload(1, 1)}, lambda address: 30)
    plain.advance(("words", "a"), 15)
    plain.task(("words", "a"), "run", "missing", Outcome(("words", "a"), seconds=0.5))
    plain.advance(("words", "a"), 29)  # a late count
    assert stream.getvalue().splitlines() == [
        "files      20 found so far",
        "words      15 of 60 words  (running; 25% of the run done)",
        "words      30 of 60 words  (1 task run; 50% of the run done)",
        "words      30 of 60 words  (1 task run; 50% of the run done)",
    ]


def test_bars_show_the_whole_run(capsys: pytest.CaptureFixture[str]) -> None:
    bars = Bars()
    bars.found("files", 20)
    bars.begin({"files": Workload(1, 1), "words": Workload(2, 60, "words", 1.0)}, lambda address: 30)
    bars.advance(("words", "a"), 15)
    bars.end()
    shown = capsys.readouterr().err
    assert "15/60 words" in shown
    assert "in all" in shown
    assert "25%" in shown
