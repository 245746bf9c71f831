"""The event log: events of earlier runs, and damaged logs."""

import errno
import io
import json
import os
import tempfile
import uuid
from pathlib import Path
from typing import Any

import pytest

from pipeline.plan.tasks import Workload
from pipeline.store import events
from pipeline.store.backends.locations import place
from pipeline.store.backends.storage import read_bytes
from pipeline.store.events import LOG, EventLog, computed, seconds
from pipeline.store.store import RETIRED
from stages.commands.results.levels import recorded


def line(artifact: str, how: str = "run", stage: str = "pairs", **more: Any) -> str:
    return json.dumps({"event": "task", "stage": stage, "how": how, "artifact": artifact, **more})


def log(folder: Path, *lines: str) -> Path:
    path = folder / LOG
    path.write_text("\n".join(lines) + "\n")
    return path


def said(path: Path) -> None:
    """Write the log of a run with an event."""
    new = EventLog(path)
    new.begin({"pairs": Workload(1, 1)})
    new.message("something")
    new.end()


def shortened(path: Path) -> list[dict[str, Any]]:
    """Return the task events that the next run with events keeps."""
    said(path)
    return [json.loads(text) for text in path.read_text().splitlines() if json.loads(text)["event"] == "task"]


def test_a_new_run_keeps_the_last_event_of_each_artifact_that_is_there(tmp_path: Path) -> None:
    for file in ("pairs/kept", "pairs/twice", f"pairs/{RETIRED}/retired", "hash/other"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    path = log(
        tmp_path,
        json.dumps({"event": "plan"}),
        line("kept", n=1),
        line("twice", n=2),
        line("pruned", n=3),
        line("kept", "skipped", n=4),
        line("retired", n=5),
        line("other", stage="hash", n=6),
        line("twice", n=7),
        json.dumps({"event": "end"}),
    )
    assert [event["n"] for event in shortened(path)] == [1, 5, 6, 7]
    assert [event["n"] for event in shortened(path)] == [1, 5, 6, 7]
    assert {name: event["n"] for name, event in computed(tmp_path, "pairs").items()} == {
        "kept": 1,
        "retired": 5,
        "twice": 7,
    }


def test_torn_and_strange_lines_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs/kept").touch()
    path = log(
        tmp_path, '{"event": "task", "st', "[1]", "null", '"text"', "", line("kept", n=1), line("kept", "failed")
    )
    with path.open("ab") as file:
        file.write(b'\xff\xfe{"event')
    assert computed(tmp_path, "pairs")["kept"]["n"] == 1
    assert [event["n"] for event in shortened(path)] == [1]


DEEP = "[" * 100_000


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    said = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return said


def test_a_spoilt_log_is_one_warning_and_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs/kept").touch()
    path = log(tmp_path, DEEP, '{"event": ' + DEEP, "no JSON", line("kept", n=1))
    assert computed(tmp_path, "pairs")["kept"]["n"] == 1
    assert warned(caplog) == [f"{path} is damaged: 3 of its lines can't be read and are skipped"]
    assert [event["n"] for event in shortened(path)] == [1]
    assert len(warned(caplog)) == 1
    assert [event["n"] for event in shortened(path)] == [1]
    assert warned(caplog) == []


def test_a_line_that_is_being_written_is_no_damage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log(tmp_path, line("kept", n=1), '{"event": "ta')
    assert computed(tmp_path, "pairs")["kept"]["n"] == 1
    assert warned(caplog) == []
    log(tmp_path, '{"event": "ta', line("kept", n=1))
    assert computed(tmp_path, "pairs")["kept"]["n"] == 1
    assert len(warned(caplog)) == 1


@pytest.mark.parametrize("spent", [[], {}, "long", None, float("nan"), float("inf")])
def test_times_of_wrong_types_count_as_none(tmp_path: Path, spent: object) -> None:
    log(tmp_path, line("a", seconds=spent), line("b", seconds=2))
    assert seconds(tmp_path, {"pairs": ["a", "b"]}) == {"pairs": 2}
    assert recorded(tmp_path) == {}


def test_an_entry_that_is_not_a_file_does_not_block(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.mkfifo(tmp_path / LOG)
    assert computed(tmp_path, "pairs") == {}
    assert "is no regular file" in warned(caplog)[0]
    said(tmp_path / LOG)
    events = [json.loads(text)["event"] for text in (tmp_path / LOG).read_text().splitlines()]
    assert events == ["plan", "message", "end"]
    (tmp_path / LOG).unlink()
    (tmp_path / LOG).mkdir()
    warned(caplog)
    said(tmp_path / LOG)
    assert [text.split("(")[0] for text in warned(caplog)] == [
        f"{tmp_path / LOG} can't be read ",
        f"{tmp_path / LOG} can't be written ",
    ]


def test_no_log_knows_nothing(tmp_path: Path) -> None:
    assert computed(tmp_path, "pairs") == {}


def test_a_log_that_ends_without_a_line_feed_is_not_run_together_with_the_next(tmp_path: Path) -> None:
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs/kept").touch()
    (tmp_path / LOG).write_text(line("kept", n=1))
    said(tmp_path / LOG)
    assert computed(tmp_path, "pairs")["kept"]["n"] == 1
    assert len((tmp_path / LOG).read_text().splitlines()) == 4


def test_a_run_that_finds_all_done_leaves_the_log_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = log(tmp_path, line("pruned", n=1))
    before = path.read_bytes()
    monkeypatch.setattr(events, "_kept", fails)
    new = EventLog(path)
    new.begin({"pairs": Workload(1, 1)})
    new.task(("pairs", "key"), "skipped", "", None)
    new.end()
    assert path.read_bytes() == before


def fails(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "no space left")


class Full(io.StringIO):
    """A file on a full disk: every write raises OSError."""

    write = fails  # type: ignore[assignment]


def test_a_put_that_fails_is_left_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = place(f"memory://{uuid.uuid4().hex}")
    new = EventLog(folder / LOG)
    new.begin({"pairs": Workload(1, 1)})
    with monkeypatch.context() as patch:
        patch.setattr(events, "write_bytes", fails)
        new.message("now")
        new.put()
    new.message("later")
    new.end()
    written = [json.loads(text)["event"] for text in read_bytes(folder / LOG).decode().splitlines()]
    assert written == ["plan", "message", "message", "end"]


@pytest.mark.parametrize("where", ["opened", "written", "put"])
def test_an_unwritable_log_leaves_no_file_open(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = place(f"memory://{uuid.uuid4().hex}")
    opened = Full() if where == "written" else io.StringIO()
    monkeypatch.setattr(tempfile, "TemporaryFile", fails if where == "opened" else lambda *_, **__: opened)
    monkeypatch.setattr(events, "write_bytes", fails)
    new = EventLog(folder / LOG)
    new.begin({"pairs": Workload(1, 1)})
    new.message("something")
    new.put()
    new.end()
    assert opened.closed or where == "opened"
    assert computed(folder, "pairs") == {}
