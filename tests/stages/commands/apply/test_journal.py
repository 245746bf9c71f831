"""Journals of acts are read back completely, and each entry that can't be trusted is refused in one line."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.messages.errors import ConfigError
from stages.commands.apply.journal import Journal, _is_event, read_journal
from stages.commands.plan.plan_file import checked
from tests.stages.commands.apply.acting import followed, plan_for, state, undone

HEAD = '{"fast-diff-journal": 2}\n'
OURS = "/.fast-diff-" + "0" * 32
BEGUN: dict[str, Any] = {
    "n": 1,
    "state": "begin",
    "action": "hardlink",
    "path": b"/a".hex(),
    "keeper": b"/b".hex(),
    "shown": "/a",
    "bytes": 1,
    "mtime_ns": 1,
    "digest": "",
    "mode": 0o644,
    "temporary": OURS.encode().hex(),
    "owner": [0, 0],
    "attributes": {"74": ""},
}


def journal_of(folder: Path, *events: Any) -> Path:
    path = folder / "journal"
    path.write_text(HEAD + "".join(f"{event if isinstance(event, str) else json.dumps(event)}\n" for event in events))
    return path


def test_a_journal_with_a_torn_last_line_is_continued(photos: Path, tmp_path: Path) -> None:
    before = state(photos)
    _, _, journal = followed(checked(plan_for(photos), "plan"), "move", tmp_path)
    with journal.open("a") as file:
        file.write('{"n": 9, "sta')
    assert undone(journal).ok
    assert state(photos) == before
    told = read_journal(journal)
    assert {act["state"] for act in told.acts} == {"undone"}
    assert not told.broken


@pytest.mark.parametrize("end", ["", "\0\0\0", json.dumps(BEGUN | {"n": 2}), "\0\0\n", '{"n": 2, \0\0"x"}\n', "\xff"])
def test_an_act_with_a_torn_begin_event_was_not_begun(end: str, tmp_path: Path) -> None:
    path = journal_of(tmp_path, BEGUN)
    with path.open("a", encoding="latin-1") as file:
        file.write(end)
    assert [act["n"] for act in read_journal(path).acts] == [1]
    with Journal(path) as journal:
        journal.end(1, "done")
        assert journal.begin(BEGUN | {"n": 3}) == 3 - 1
    told = read_journal(path)
    assert [act["state"] for act in told.acts] == ["done", "begin"]
    assert not told.broken


def test_an_end_event_keeps_the_data_of_the_begin_event(tmp_path: Path) -> None:
    path = journal_of(tmp_path, BEGUN, {"n": 1, "state": "done", "mode": "rw", "path": 7})
    assert read_journal(path).acts == [BEGUN | {"state": "done"}]


def test_numbers_go_on_where_a_journal_is_continued(photos: Path, tmp_path: Path) -> None:
    """Otherwise an act would replace another act in the journal, and that act's file would never be restored."""
    before = state(photos)
    plan = plan_for(photos)
    first, second = (checked(plan | {"clusters": [group]}, "plan") for group in plan["clusters"])
    followed(first, "move", tmp_path)
    _, _, journal = followed(second, "move", tmp_path)
    assert [act["n"] for act in read_journal(journal).acts] == [1, 2, 3]
    assert undone(journal).done == 3
    assert state(photos) == before


MORE = json.dumps({"fast-diff-journal": 2, "more": 1}) + "\n"


@pytest.mark.parametrize(
    "text", ["", "{}", '{"n": 1}\n', "no json\nat all\n", "[1]\n", "\xff\n", HEAD.strip(), "[" * 100_000 + "\n", MORE]
)
def test_a_file_that_is_not_a_journal_is_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match="is not a journal of fast-diff") as told:
        read_journal(path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(("number", "which"), [(1, "an earlier"), (3, "a later")])
def test_a_journal_of_another_format_names_who_can_read_it(number: int, which: str, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    text = f"{json.dumps({'fast-diff-journal': number})}\n{json.dumps(BEGUN)}\n"
    path.write_text(text)
    said = f"{path}: written by {which} version of fast-diff: expected format 2, got {number}. "
    for read in (read_journal, Journal):
        with pytest.raises(ConfigError) as told:
            read(path)
        assert str(told.value) == f"{said}Undo it with the version that wrote it."
    assert path.read_text() == text


def test_a_journal_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        read_journal(tmp_path / "none")


LATE = (1 << 63) * 10**9
FORGED: list[Any] = [
    *("{}", "null", HEAD.strip(), "[" * 100_000, "x", "\xff", '{"n": ' + "9" * 5000 + ', "state": "done"}'),
    *({"n": 1, "state": "begin"}, {"n": "1", "state": "done"}, {"n": 1, "state": "gone"}, {"n": 7, "state": "done"}),
    *({"n": [], "state": "done"}, {"n": True, "state": "done"}),
    *(
        BEGUN | change
        for change in (
            {"mode": "rw"},
            {"mode": -1},
            {"mode": 1 << 32},
            {"mtime_ns": None},
            {"mtime_ns": LATE},
            {"mtime_ns": -LATE},
            {"mtime_ns": 1e999},
            {"made": "2"},
            {"made": 1 << 12},
            {"made": -1},
            {"n": 0},
            {"n": 1 << 63},
            {"path": "2f00"},
            {"path": "2F"},
            {"path": b"a".hex(), "temporary": OURS[1:].encode().hex()},
            {"bytes": True},
            {"bytes": -1},
            {"bytes": 1 << 63},
            {"temporary": None},
            {"temporary": b"/c".hex()},
            {"temporary": f"/x{OURS}".encode().hex()},
            {"temporary": f"{OURS}0".encode().hex()},
            {"temporary": f"{OURS[:-1]}G".encode().hex()},
            {"owner": ["root"]},
            {"owner": None},
            {"owner": [0, (1 << 32) - 1]},
            {"owner": [-1, 0]},
            {"attributes": {"74": "x"}},
            {"action": "burn"},
            {"action": "move"},
        )
    ),
]


@pytest.mark.parametrize("forged", FORGED, ids=range(len(FORGED)))
def test_an_entry_that_is_not_ours_is_refused_in_one_line_and_others_are_read(forged: Any, tmp_path: Path) -> None:
    good = BEGUN | {"n": 2}
    told = read_journal(journal_of(tmp_path, forged, good))
    assert told.acts == [good]
    assert len(told.broken) == 1
    assert told.broken[0].startswith("line 2: ")
    assert "\n" not in told.broken[0]


def test_the_largest_values_are_read(tmp_path: Path) -> None:
    big = {"mode": (1 << 32) - 1, "made": (1 << 12) - 1, "n": (1 << 63) - 1, "bytes": (1 << 63) - 1}
    big |= {"mtime_ns": LATE - 10**9, "owner": [(1 << 32) - 2, 0]}
    for change in (big, {"mtime_ns": 10**9 - LATE, "made": 0, "bytes": 0, "mode": 0}):
        told = read_journal(journal_of(tmp_path, BEGUN | change))
        assert told.acts == [BEGUN | change]


def test_an_act_that_is_begun_twice_counts_as_it_was_first(tmp_path: Path) -> None:
    told = read_journal(journal_of(tmp_path, BEGUN, BEGUN | {"path": b"/c".hex(), "shown": "/c"}))
    assert told.acts == [BEGUN]
    assert told.broken == ["line 3: act 1 begins twice; expected an unchanged journal"]


def test_numbers_of_refused_entries_are_not_used_again(tmp_path: Path) -> None:
    path = journal_of(tmp_path, BEGUN, BEGUN | {"n": 6, "mode": "rw"})
    with Journal(path) as journal:
        assert journal.begin(BEGUN) == 7


def test_a_journal_and_its_name_are_on_disk_before_the_first_act(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test records syncs and changes of files in order."""
    happened: list[str] = []
    fsync, rename = os.fsync, os.rename

    def synced(number: int) -> None:
        happened.append(f"sync {Path(f'/proc/self/fd/{number}').readlink()}")
        fsync(number)

    def renamed(name: str, new: str, **more: Any) -> None:
        happened.append(f"rename {name}")
        rename(name, new, **more)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    journal = followed(checked(plan_for(photos), "plan"), "delete", tmp_path)[2]
    first = next(number for number, what in enumerate(happened) if what.startswith("rename"))
    assert happened[:first] == [f"sync {journal}", f"sync {tmp_path}", f"sync {journal}"]
    assert happened[-1] == f"sync {journal}"
    assert f"sync {photos / 'b'}" in happened[first:-1]


def test_an_empty_file_becomes_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.touch()
    with Journal(path) as journal:
        assert journal.begin(BEGUN) == 1
    assert read_journal(path).acts == [BEGUN]


def test_synced_events_can_be_read_and_ended_journals_are_closed(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        journal.begin(BEGUN)
        journal.sync()
        assert read_journal(journal.path).acts == [BEGUN]
    assert journal._file.closed


def test_a_journal_that_cannot_be_begun_is_an_error_and_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(number: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="Input/output error") as told:  # keeps the frames and their objects alive
        Journal(tmp_path / "journal")
    opened = [place for place in Path("/proc/self/fd").iterdir() if place.is_symlink()]
    assert tmp_path / "journal" not in [place.readlink() for place in opened]
    assert told.value.errno == errno.EIO


@pytest.mark.parametrize("event", [[], {"n": "1"}, {"n": 1, "state": "gone"}, {"n": 1, "state": "begin"}])
def test_lines_that_are_not_events(event: Any) -> None:
    assert _is_event(event) is False
