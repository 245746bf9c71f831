"""Follow plans and undo the acts: no file is ever lost, whatever happens in between."""

import errno
import json
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipeline.messages.errors import ConfigError
from stages.commands.apply import follow as applying
from stages.commands.apply.actions import ACTIONS, LINKS, REPORT
from stages.commands.apply.acts import moving
from stages.commands.apply.acts.folder import Folder
from stages.commands.apply.follow import apply
from stages.commands.apply.journal import Journal, read_journal
from stages.commands.apply.options import check_options, warning
from stages.commands.apply.planned import why
from stages.commands.apply.tally import Tally, summary
from stages.commands.plan.plan_file import FORMAT, VERSION, checked
from tests.stages.commands.apply.acting import (
    WORKING,
    entry,
    followed,
    odd,
    one,
    other_disk,
    plan_for,
    state,
    undone,
)


@pytest.mark.parametrize("action", ACTIONS)
def test_without_yes_nothing_is_touched(action: str, photos: Path, tmp_path: Path) -> None:
    before = state(tmp_path)
    lines, tally, _ = followed(checked(plan_for(photos), "plan"), action, tmp_path, yes=False)
    assert state(tmp_path) == before
    assert len(lines) == 3
    assert tally.done == (2 if action in LINKS else 3)
    assert all("\n" not in line for line in lines)


@pytest.mark.parametrize("yes", [False, True])
@pytest.mark.parametrize("action", ACTIONS)
def test_a_folder_that_cannot_be_written_to_is_foreseen(
    action: str, yes: bool, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, access = state(photos), os.access

    def closed(folder: Path, *words: Any, **more: Any) -> bool:
        return folder not in (photos / "b", photos / "c") and access(folder, *words, **more)

    monkeypatch.setattr(os, "access", closed)
    _, tally, _ = followed(checked(plan_for(photos), "plan"), action, tmp_path, yes)
    assert tally.done == 0
    assert tally.refused[f"the folder {photos / 'b'} can't be written to"] == 2
    assert state(photos) == before


def test_a_target_that_cannot_be_written_to_is_foreseen(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "moved").write_bytes(b"a file")
    lines, tally, _ = followed(checked(plan_for(photos), "plan"), "move", tmp_path, yes=False)
    assert tally.refused == {f"--to: {tmp_path / 'moved'} can't be written to": 3}
    assert all(line.startswith("left alone") for line in lines)


def test_a_hard_link_to_another_disk_is_foreseen(photos: Path, tmp_path: Path) -> None:
    if not Path("/dev/shm").is_dir():
        pytest.skip("there is no /dev/shm, a second disk")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as disk:
        keeper = Path(shutil.copy(photos / "a/1.jpg", disk))
        if keeper.stat().st_dev == photos.stat().st_dev:
            pytest.skip("/dev/shm is on the same disk as the tests' folder")
        group = {"cluster": 0, "keep": [entry(keeper)], "remove": [entry(photos / "b/1.jpg")]}
        plan = checked({FORMAT: VERSION, "run": "", "clusters": [group]}, "plan")
        assert followed(plan, "hardlink", tmp_path, yes=False)[1].refused == {
            "the keeper is on another disk, and hard links work within one disk only": 1
        }
        assert followed(plan, "symlink", tmp_path, yes=False)[1].ok


@pytest.mark.parametrize("action", WORKING)
def test_files_of_a_plan_are_removed_and_restored(action: str, photos: Path, tmp_path: Path) -> None:
    before = state(photos)
    _, tally, journal = followed(checked(plan_for(photos), "plan"), action, tmp_path)
    assert tally.done == (2 if action in LINKS else 3)
    if action in LINKS:
        assert tally.refused == {"the file differs from the keeper, and a link would lose the content of the file": 1}
        assert (photos / "b/1.jpg").samefile(photos / "a/1.jpg")
        assert (photos / "b/1.jpg").is_symlink() == (action == "symlink")
        assert (photos / "c/y.jpg").read_bytes() == b"nearly"
    else:
        assert sorted(path.name for path in photos.rglob("*.jpg")) == ["1.jpg", "x.jpg"]
    if action == "move":
        assert (tmp_path / "moved" / odd(photos).relative_to("/")).read_bytes() == b"same"
    if action == "delete":
        assert set(undone(journal).refused) == {"the file was deleted and can't be restored"}
        return
    assert undone(journal).ok
    assert state(photos) == before
    again = undone(journal)
    assert (again.done, again.ok) == (0, True), "a second undo has nothing to do"
    assert not list(photos.rglob(".fast-diff*"))


def test_a_clone_is_made_or_the_error_says_that_it_is_impossible(photos: Path, tmp_path: Path) -> None:
    before = state(photos)
    _, tally, journal = followed(checked(plan_for(photos), "plan"), "reflink", tmp_path)
    assert {name: value[:2] for name, value in state(photos).items()} == {n: v[:2] for n, v in before.items()}
    assert tally.done == 2 or "a reflink needs one file system" in str(tally.refused)
    assert undone(journal).ok
    assert state(photos) == before


def test_a_file_that_is_not_as_it_was_is_left_alone(photos: Path, tmp_path: Path) -> None:
    plan = checked(plan_for(photos), "plan")
    os.utime(photos / "b/1.jpg")
    (photos / "c/y.jpg").unlink()
    _, tally, _ = followed(plan, "delete", tmp_path)
    assert tally.refused == {"the file was changed after the run": 1, "the file is gone": 1}
    assert (photos / "b/1.jpg").exists()
    assert tally.done == 1


@pytest.mark.parametrize("how", ["gone", "other", "link"])
def test_without_its_keeper_no_file_is_removed(how: str, photos: Path, tmp_path: Path) -> None:
    plan = checked(plan_for(photos), "plan")
    keeper = photos / "a/1.jpg"
    keeper.unlink()
    if how == "other":
        keeper.write_bytes(b"SAME")
    if how == "link":
        keeper.symlink_to(photos / "b/1.jpg")
    before = state(photos)
    _, tally, _ = followed(plan, "delete", tmp_path)
    assert tally.done == 1, "only the file of the other cluster is deleted"
    assert {"b/1.jpg", str(odd(photos).relative_to(photos))} <= state(photos).keys() <= before.keys()


def test_a_keeper_under_two_names_is_not_taken_for_two_files(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "way").symlink_to(photos)
    clusters = [{"cluster": 0, "keep": [entry(photos / "a/1.jpg")], "remove": [entry(tmp_path / "way/a/1.jpg")]}]
    plan = checked({FORMAT: VERSION, "clusters": clusters}, "plan")
    _, tally, _ = followed(plan, "delete", tmp_path)
    assert tally.refused == {"the file is a kept image under another path": 1}
    assert (photos / "a/1.jpg").exists()


@pytest.mark.parametrize("second_name", [False, True])
def test_a_kept_file_is_recognised_through_a_mount(
    second_name: bool, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bind mount gives a file a second path; the test imitates a mount by a link that `resolve` does not follow."""
    (tmp_path / "way").symlink_to(photos)
    if second_name:
        os.link(photos / "c/y.jpg", photos / "c/z.jpg")
    keep, remove = [entry(photos / "a/1.jpg"), entry(photos / "c/y.jpg")], [entry(tmp_path / "way/c/y.jpg")]
    plan = checked({FORMAT: VERSION, "clusters": [{"cluster": 0, "keep": keep, "remove": remove}]}, "plan")
    monkeypatch.setattr(Path, "resolve", Path.absolute)
    _, tally, _ = followed(plan, "delete", tmp_path)
    assert tally.refused == {"the file is a kept image under another path": 1}
    assert (photos / "c/y.jpg").exists()


def test_another_name_of_the_same_data_may_go(photos: Path, tmp_path: Path) -> None:
    os.link(photos / "a/1.jpg", photos / "c/2.jpg")
    clusters = [{"cluster": 0, "keep": [entry(photos / "a/1.jpg")], "remove": [entry(photos / "c/2.jpg")]}]
    _, tally, _ = followed(checked({FORMAT: VERSION, "clusters": clusters}, "plan"), "delete", tmp_path)
    assert (tally.done, (photos / "a/1.jpg").exists(), (photos / "c/2.jpg").exists()) == (1, True, False)


@pytest.mark.parametrize("action", ["hardlink", "symlink", "move"])
def test_tags_are_restored_with_their_file(action: str, photos: Path, tmp_path: Path) -> None:
    try:
        os.setxattr(photos / "b/1.jpg", "user.xdg.tags", b"beach")
    except OSError as error:
        pytest.skip(f"the tests' folder has no extended attributes ({error.strerror})")
    owner = (1000, 1001) if os.geteuid() == 0 else (os.getuid(), os.getgid())
    os.chown(photos / "b/1.jpg", *owner)
    _, _, journal = followed(checked(plan_for(photos), "plan"), action, tmp_path)
    assert undone(journal).ok
    assert os.getxattr(photos / "b/1.jpg", "user.xdg.tags") == b"beach"
    stat = (photos / "b/1.jpg").stat()
    assert (stat.st_uid, stat.st_gid) == owner


def test_a_file_that_became_a_link_or_a_folder_is_left_alone(photos: Path, tmp_path: Path) -> None:
    plan = checked(plan_for(photos), "plan")
    (photos / "b/1.jpg").unlink()
    (photos / "b/1.jpg").symlink_to(photos / "a/1.jpg")
    (photos / "c/y.jpg").unlink()
    (photos / "c/y.jpg").mkdir()
    _, tally, _ = followed(plan, "delete", tmp_path)
    assert tally.refused == {"the path no longer leads to a regular file": 2}


def test_move_never_overwrites(photos: Path, tmp_path: Path) -> None:
    there = tmp_path / "moved" / (photos / "b/1.jpg").relative_to("/")
    there.parent.mkdir(parents=True)
    there.write_bytes(b"precious")
    before = state(photos)
    _, tally, journal = followed(checked(plan_for(photos), "plan"), "move", tmp_path)
    assert tally.done == 3
    assert there.read_bytes() == b"precious"
    assert there.with_name("1 (2).jpg").read_bytes() == b"same"
    assert undone(journal).ok
    assert state(photos) == before
    assert there.read_bytes() == b"precious"


def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make hard links fail, as on the file systems of memory cards."""

    def refuse(*names: Any, **more: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.parametrize("disk", [other_disk, no_links])
@pytest.mark.parametrize("action", ["move", "trash", "symlink"])
def test_where_no_link_is_made_files_are_copied_or_renamed(
    disk: Any, action: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk(monkeypatch)
    before = state(photos)
    _, tally, journal = followed(checked(plan_for(photos), "plan"), action, tmp_path)
    assert tally.done == (2 if action == "symlink" else 3)
    assert not list(tmp_path.rglob(".fast-diff*"))
    assert undone(journal).ok
    assert state(photos) == before
    assert not list(tmp_path.rglob(".fast-diff*"))


def test_a_copy_that_came_out_wrong_costs_nothing(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_disk(monkeypatch)
    monkeypatch.setattr(shutil, "copyfileobj", lambda source, target, size: target.write(b"broken"))
    before = state(photos)
    _, tally, _ = followed(checked(plan_for(photos), "plan"), "move", tmp_path)
    assert tally.done == 0
    assert "differs from the file" in str(tally.refused)
    assert state(photos) == before
    assert not (tmp_path / "moved").exists()


def test_undo_does_not_overwrite_newer_files(photos: Path, tmp_path: Path) -> None:
    _, _, journal = followed(checked(plan_for(photos), "plan"), "move", tmp_path)
    (photos / "b/1.jpg").write_bytes(b"new")
    tally = undone(journal)
    assert tally.refused == {"another file has the name now": 1}
    assert (photos / "b/1.jpg").read_bytes() == b"new"
    (photos / "b/1.jpg").unlink()
    assert undone(journal).ok, "what was refused can be tried again"


def test_undo_leaves_a_moved_file_that_was_changed(photos: Path, tmp_path: Path) -> None:
    _, _, journal = followed(checked(plan_for(photos), "plan"), "move", tmp_path)
    moved = tmp_path / "moved" / (photos / "c/y.jpg").relative_to("/")
    moved.write_bytes(b"worked on")
    tally = undone(journal)
    assert tally.done == 2
    assert moved.read_bytes() == b"worked on"


def test_a_reference_is_known_by_where_its_name_leads(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(photos / "c")
    plan = plan_for(photos, references=[str(photos / "c")])
    plan["clusters"] = [
        {"cluster": 1, "keep": [entry(photos / "a/1.jpg")], "remove": [entry(tmp_path / "alias/y.jpg")]}
    ]
    with pytest.raises(ConfigError, match="lies in the reference"):
        checked(plan, "plan.json")
    plan["clusters"] = []
    with pytest.raises(ConfigError, match="lies in the reference"):
        check_options(checked(plan, "plan.json"), "move", tmp_path / "alias" / "new")


def test_an_error_names_its_file(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "moved").write_bytes(b"a file in the way")
    plan = checked(plan_for(photos), "plan")
    with pytest.raises(ConfigError, match="is not a folder"):
        check_options(plan, "move", tmp_path / "moved")
    _, tally, journal = followed(plan, "move", tmp_path)
    assert all(str(tmp_path / "moved") in why for why in tally.refused)
    back = undone(journal)
    assert (back.ok, back.done) == (True, 0), "nothing had been done"


def test_deleted_files_are_not_reported_as_restored(tmp_path: Path) -> None:
    assert "can't be restored" in list(summary(Tally(1), "delete", tmp_path / "j"))[1]
    assert "fast-diff undo" in list(summary(Tally(1), "move", tmp_path / "j"))[1]


@pytest.mark.parametrize("what", ["gone", "written to"])
def test_a_keeper_is_checked_before_each_act(
    photos: Path, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "GROUP", 1)
    plan, tally = checked(plan_for(photos), "plan"), Tally()
    with Journal(tmp_path / "delete.jsonl") as journal:
        lines = apply(plan, "delete", None, journal, tally)
        assert next(lines).startswith("deleted")
        keeper = photos / "a/1.jpg"
        keeper.unlink() if what == "gone" else keeper.write_bytes(b"else")
        assert "no kept image is present" in next(lines)
        assert next(lines).startswith("deleted"), "another cluster has a keeper of its own"
    assert odd(photos).exists()
    assert (tally.done, tally.refused.total()) == (2, 1)


def test_another_keeper_suffices_if_the_first_is_missing(photos: Path, tmp_path: Path) -> None:
    data = plan_for(photos)
    group = data["clusters"][0]
    group["keep"].append(group["remove"].pop(0))
    (photos / "a/1.jpg").unlink()
    lines, _, _ = followed(checked(data, "plan"), "delete", tmp_path)
    assert lines[0].endswith(f"(kept: {photos / 'b/1.jpg'})")


def test_a_keeper_that_was_only_touched_is_the_keeper_still(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "GROUP", 1)
    plan, tally = checked(plan_for(photos), "plan"), Tally()
    with Journal(tmp_path / "delete.jsonl") as journal:
        lines = apply(plan, "delete", None, journal, tally)
        next(lines)
        os.utime(photos / "a/1.jpg")
        assert next(lines).endswith(f"(kept: {photos / 'a/1.jpg'})")


def test_undo_removes_the_folders_that_a_move_made(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "moved" / "of mine").mkdir(parents=True)
    _, tally, journal = followed(checked(plan_for(photos), "plan"), "move", tmp_path)
    assert tally.done == 3
    assert undone(journal).done == 3
    assert list((tmp_path / "moved").rglob("*")) == [tmp_path / "moved" / "of mine"]


def test_a_move_that_fails_leaves_no_folders(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Folder, target: Folder, name: str, entry: Any) -> None:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(moving, "carry", full)
    before = state(photos)
    _, tally, _ = followed(checked(plan_for(photos), "plan"), "move", tmp_path)
    assert tally.refused == {"no room": 3}
    assert state(photos) == before
    assert not (tmp_path / "moved").exists()


def test_an_act_that_was_never_done_is_not_undone(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "moved").write_bytes(b"a file in the way")
    _, tally, journal = followed(checked(plan_for(photos), "plan"), "move", tmp_path)
    assert (tally.done, tally.refused.total()) == (0, 3)
    assert list(summary(tally, "move", journal))[1] == f"journal     {journal}"
    shutil.rmtree(photos)
    assert undone(journal) == Tally()


def test_nothing_is_moved_into_the_runs_own_folder(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "run" / "report").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "run")
    plan = checked(plan_for(photos, run=str(tmp_path / "run")), "plan")
    for to in (tmp_path / "run", tmp_path / "run" / "report", tmp_path / "link" / "x"):
        with pytest.raises(ConfigError, match="in the run's own folder"):
            check_options(plan, "move", to)
    (tmp_path / "photos too").symlink_to(photos)
    with pytest.raises(ConfigError, match="which the plan removes"):
        check_options(plan, "move", tmp_path / "photos too")


def test_options_that_do_not_go_together(photos: Path, tmp_path: Path) -> None:
    plan = checked(plan_for(photos), "plan")
    for action, to in (("move", None), ("delete", tmp_path), ("move", photos), ("move", photos / "b")):
        with pytest.raises(ConfigError, match="--to"):
            check_options(plan, action, to)
    with pytest.raises(ConfigError, match="which the plan keeps"):
        check_options(plan, "move", photos / "a")


def test_files_go_to_any_other_folder(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other folder is a valid target: new or existing, also one below the current folder that has kept images."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    kept = {"cluster": 2, "keep": [entry(Path(shutil.copy(photos / "a/1.jpg", tmp_path / "there")))]}
    for run in ("", str(tmp_path / "run")):
        data = plan_for(photos, run=run)
        data["clusters"].append(kept)
        for to in (tmp_path / "there", tmp_path / "elsewhere"):
            check_options(checked(data, "plan"), "move", to)


def test_a_target_in_an_input_is_warned_of(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    inputs = {"a": [str(tmp_path / "none")], "b": [str(photos)]}
    (tmp_path / "run/run.json").write_text(json.dumps({"config": {"inputs": inputs}}))
    plan = checked(plan_for(photos, run=str(tmp_path / "run")), "plan")
    assert warning(plan, photos / "moved") == (
        f"--to: {photos / 'moved'} lies in the input {photos}: the next run will find the moved files there"
    )
    assert warning(plan, tmp_path / "moved") == ""


def test_bytes_are_those_of_the_files_that_went(photos: Path, tmp_path: Path) -> None:
    _, tally, journal = followed(checked(plan_for(photos), "plan"), "move", tmp_path)
    assert (tally.done, tally.bytes) == (3, 4 + 4 + 6)
    back = undone(journal)
    assert (back.done, back.bytes) == (3, 14)


def test_a_reference_that_a_link_leads_to_since_the_plan_was_read_is_never_touched(
    photos: Path, tmp_path: Path
) -> None:
    plan = checked(plan_for(photos, references=[str(tmp_path / "master")]), "plan")
    (photos / "c").rename(tmp_path / "master")
    (photos / "c").symlink_to(tmp_path / "master")
    _, tally, _ = followed(plan, "delete", tmp_path)
    assert tally.refused == {f"the file lies in the reference {tmp_path / 'master'}, which is never touched": 1}
    assert (tmp_path / "master/y.jpg").exists()


@pytest.mark.parametrize("action", LINKS)
def test_a_file_that_is_a_link_already_is_left_alone(action: str, photos: Path, tmp_path: Path) -> None:
    (photos / "b/1.jpg").unlink()
    os.link(photos / "a/1.jpg", photos / "b/1.jpg")
    group = {"cluster": 0, "keep": [entry(photos / "a/1.jpg")], "remove": [entry(photos / "b/1.jpg")]}
    _, tally, _ = followed(checked({FORMAT: VERSION, "clusters": [group]}, "plan"), action, tmp_path)
    assert tally.refused == {"the file is linked to the keeper already": 1}


@pytest.mark.parametrize("together", [1, 2, 3])
def test_all_files_are_handled_in_groups_of_any_size(
    together: int, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    do = applying.do

    def counted(acts: Any, folders: Any) -> Any:
        sizes.append(len(acts))
        return do(acts, folders)

    monkeypatch.setattr(applying, "do", counted)
    monkeypatch.setattr(applying, "GROUP", together)
    before = state(photos)
    _, tally, journal = followed(checked(plan_for(photos), "plan"), "move", tmp_path)
    assert [size for size in sizes if size] == {1: [1, 1, 1], 2: [2, 1], 3: [3]}[together]
    assert tally.done == 3
    assert undone(journal).done == 3
    assert state(photos) == before
    sizes.clear()
    monkeypatch.setattr(applying, "GROUP", 100)
    monkeypatch.setattr(applying, "GROUP_BYTES", 8)
    followed(checked(plan_for(photos), "plan"), "move", tmp_path)
    assert [size for size in sizes if size] == [2, 1]


def test_a_report_touches_no_file_and_lists_the_files_to_remove(photos: Path, tmp_path: Path) -> None:
    before = state(photos)
    lines, tally, journal = followed(checked(plan_for(photos), "plan"), REPORT, tmp_path)
    assert state(photos) == before
    assert read_journal(journal).acts == []
    assert (tally.done, tally.ok) == (3, True)
    assert lines[0] == f"to remove  {photos / 'b/1.jpg'}  (kept: {photos / 'a/1.jpg'})"
    assert followed(checked(plan_for(photos), "plan"), REPORT, tmp_path, yes=False)[0] == lines


@pytest.mark.parametrize(("yes", "said"), [(True, "deleted"), (False, "would be deleted")])
def test_files_go_folder_by_folder_in_a_line_each(yes: bool, said: str, photos: Path, tmp_path: Path) -> None:
    data = plan_for(photos)
    data["clusters"].reverse()
    data["clusters"][1]["remove"].pop()
    lines, _, _ = followed(checked(data, "plan"), "delete", tmp_path, yes)
    assert lines == [
        f"{said}  {photos / 'b/1.jpg'}  (kept: {photos / 'a/1.jpg'})",
        f"{said}  {photos / 'c/y.jpg'}  (kept: {photos / 'c/x.jpg'})",
    ]


def test_a_file_without_its_folder_is_missing(photos: Path, tmp_path: Path) -> None:
    plan = checked(plan_for(photos), "plan")
    shutil.rmtree(photos / "b")
    _, tally, _ = followed(plan, "delete", tmp_path)
    assert (tally.done, tally.refused) == (1, {"the file is gone": 2})


def test_a_group_is_recorded_and_closed_before_its_lines_are_printed(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "GROUP", 1)
    path = tmp_path / "delete.jsonl"
    with Journal(path) as journal:
        lines = apply(checked(plan_for(photos), "plan"), "delete", None, journal, Tally())
        next(lines)
        assert [act["state"] for act in read_journal(path).acts] == ["done"]
        opened = [place for place in Path("/proc/self/fd").iterdir() if place.is_symlink()]
        assert not [place for place in opened if photos in place.readlink().parents]


def test_the_journal_says_why_an_act_failed(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(moving, "carry", full)
    _, _, journal = followed(checked(plan_for(photos), "plan"), "move", tmp_path)
    assert json.loads(journal.read_text().splitlines()[-1]) == {"n": 3, "state": "failed", "why": "no room"}


def test_an_error_names_the_second_of_its_files_if_it_has_two() -> None:
    assert why(OSError(errno.EEXIST, "File exists", "/a", None, "/b")) == "File exists (/b)"
    assert why(OSError(errno.EEXIST, "File exists", "/a")) == "File exists (/a)"
    assert why(OSError(errno.EEXIST, "File exists", 7)) == "File exists"


@pytest.mark.parametrize(
    ("action", "journal", "done", "said", "more"),
    [
        ("move", None, 2, "would be moved", "dry run: no file was changed; add --yes to change files"),
        ("delete", None, 0, "would be deleted", "dry run: nothing to change"),
        (REPORT, None, 2, "to remove", None),
        ("move", Path("j"), 2, "moved", "journal     j  (undo: fast-diff undo j)"),
        ("move", Path("j"), 0, "moved", "journal     j"),
        ("delete", Path("j"), 2, "deleted", "journal     j  (deleted files can't be restored)"),
    ],
)
def test_the_last_lines(action: str, journal: Path | None, done: int, said: str, more: str | None) -> None:
    lines = list(summary(Tally(done, 3, Counter(why=1)), action, journal))
    assert lines == [f"{done} file{'' if done == 1 else 's'}, 3 bytes {said}; 1 left alone", *([more] if more else [])]


def test_files_on_an_object_store_are_left_alone(photos: Path, tmp_path: Path) -> None:
    group = {"cluster": 0, "keep": [entry(photos / "a/1.jpg") | {"path": "s3://b/x.jpg"}]}
    group["remove"] = [entry(photos / "b/1.jpg") | {"path": "s3://b/y.jpg"}]
    _, tally, _ = followed(checked({FORMAT: VERSION, "clusters": [group]}, "plan"), "delete", tmp_path)
    assert list(tally.refused) == ["the file is on an object store; apply works on this machine's disks only"]


def test_urls_among_references_inputs_and_runs_are_no_folders_here(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "memory:/bucket"
    place.mkdir(parents=True)
    keep, remove = photos / "a/1.jpg", Path(shutil.copy2(photos / "b/1.jpg", place / "1.jpg"))
    plan = one(keep, remove, references=["memory://bucket"], run="memory://bucket")
    check_options(plan, "move", place / "moved")
    assert followed(plan, "delete", tmp_path)[1].done == 1
