"""Following plans, and taking back what was done: files are never lost, whatever happens in between."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from send2trash import plat_other

from pipeline.errors import ConfigError
from stages.commands import acts
from stages.commands.apply import Tally, apply, check_options, summary, take_back
from stages.commands.choices import ACTIONS, LINKS
from stages.commands.journal import Journal, alone, read_journal
from stages.commands.plan import FORMAT, VERSION, Plan, checked, read_plan

ODD = os.fsencode("b\udce9 \"'<img src=x onerror=alert(1)>\n😀--yes.jpg")


def entry(path: Path) -> dict[str, Any]:
    """What a plan says of a file."""
    data, stat, name = path.read_bytes(), path.stat(), os.fsencode(path)
    said = {"path": name.decode("utf-8", "backslashreplace"), "bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    odd = {"path_bytes": name.hex()} if b"\xe9" in name else {}
    return said | {"digest": hashlib.sha256(data).hexdigest()} | odd


def state(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Names, bytes, time stamps and kinds of all files below."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.lstat().st_mtime_ns, path.lstat().st_mode)
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two clusters: three equal files of which one has an odd name, and two that are alike."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    data_home = os.fsencode(tmp_path / "data")
    monkeypatch.setattr(plat_other, "XDG_DATA_HOME", data_home)  # it looks there once, when it is imported
    monkeypatch.setattr(plat_other, "HOMETRASH_B", data_home + b"/Trash")
    folder = tmp_path / "photos"
    for name, data in (("a/1.jpg", b"same"), ("b/1.jpg", b"same"), ("c/x.jpg", b"near"), ("c/y.jpg", b"nearly")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    Path(os.fsdecode(os.fsencode(folder / "b") + b"/" + ODD)).write_bytes(b"same")
    for number, path in enumerate(sorted(folder.rglob("*.jpg"))):
        os.utime(path, ns=(10**18 + number, 10**18 + number))
    return folder


def odd(photos: Path) -> Path:
    return Path(os.fsdecode(os.fsencode(photos / "b") + b"/" + ODD))


def plan_for(photos: Path, **more: Any) -> dict[str, Any]:
    groups = [
        {"cluster": 0, "keep": [photos / "a/1.jpg"], "remove": [photos / "b/1.jpg", odd(photos)]},
        {"cluster": 1, "keep": [photos / "c/x.jpg"], "remove": [photos / "c/y.jpg"]},
    ]
    clusters = [
        {name: [entry(path) for path in value] if isinstance(value, list) else value for name, value in group.items()}
        for group in groups
    ]
    return {FORMAT: VERSION, "run": "", "clusters": clusters, **more}


def followed(plan: Plan, action: str, folder: Path, yes: bool = True) -> tuple[list[str], Tally, Path]:
    """Follow a plan; lines, tally and journal."""
    tally, path = Tally(), folder / f"{action}.jsonl"
    to = folder / "moved" if action == "move" else None
    with Journal(path) if yes else contextlib.nullcontext() as journal:
        lines = list(apply(plan, action, to, journal, tally))
    return lines, tally, path


def undone(journal: Path) -> Tally:
    tally = Tally()
    list(take_back(journal, tally))
    return tally


WORKING = [action for action in ACTIONS if action != "reflink"]


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
    assert tally.refused[f"its folder {photos / 'b'} can't be written to"] == 2
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
            pytest.skip("/dev/shm is no other disk than the tests' folder")
        group = {"cluster": 0, "keep": [entry(keeper)], "remove": [entry(photos / "b/1.jpg")]}
        plan = checked({FORMAT: VERSION, "run": "", "clusters": [group]}, "plan")
        assert followed(plan, "hardlink", tmp_path, yes=False)[1].refused == {
            "its keeper lies on another disk, where no hard link reaches": 1
        }
        assert followed(plan, "symlink", tmp_path, yes=False)[1].ok


@pytest.mark.parametrize("action", WORKING)
def test_what_goes_goes_and_what_stays_stays_and_it_comes_back(action: str, photos: Path, tmp_path: Path) -> None:
    before = state(photos)
    _, tally, journal = followed(checked(plan_for(photos), "plan"), action, tmp_path)
    assert tally.done == (2 if action in LINKS else 3)
    if action in LINKS:
        assert tally.refused == {"it is not equal to its keeper, byte for byte, and a link would lose it": 1}
        assert (photos / "b/1.jpg").samefile(photos / "a/1.jpg")
        assert (photos / "b/1.jpg").is_symlink() == (action == "symlink")
        assert (photos / "c/y.jpg").read_bytes() == b"nearly"
    else:
        assert sorted(path.name for path in photos.rglob("*.jpg")) == ["1.jpg", "x.jpg"]
    if action == "move":
        assert (tmp_path / "moved" / odd(photos).relative_to("/")).read_bytes() == b"same"
    if action == "delete":
        assert set(undone(journal).refused) == {"it was deleted, which can't be taken back"}
        return
    assert undone(journal).ok
    assert state(photos) == before
    again = undone(journal)
    assert (again.done, again.ok) == (0, True), "once is enough"
    assert not list(photos.rglob(".fast-diff*"))


def test_a_clone_is_made_or_said_to_be_impossible(photos: Path, tmp_path: Path) -> None:
    before = state(photos)
    _, tally, journal = followed(checked(plan_for(photos), "plan"), "reflink", tmp_path)
    assert {name: value[:2] for name, value in state(photos).items()} == {n: v[:2] for n, v in before.items()}
    assert tally.done == 2 or "its file system has no reflinks" in str(tally.refused)
    assert undone(journal).ok
    assert state(photos) == before


def test_a_file_that_is_not_as_it_was_is_left_alone(photos: Path, tmp_path: Path) -> None:
    plan = checked(plan_for(photos), "plan")
    os.utime(photos / "b/1.jpg")
    (photos / "c/y.jpg").unlink()
    _, tally, _ = followed(plan, "delete", tmp_path)
    assert tally.refused == {"it was changed after the run": 1, "it is gone": 1}
    assert (photos / "b/1.jpg").exists()
    assert tally.done == 1


@pytest.mark.parametrize("how", ["gone", "other", "link"])
def test_without_its_keeper_nothing_goes(how: str, photos: Path, tmp_path: Path) -> None:
    plan = checked(plan_for(photos), "plan")
    keeper = photos / "a/1.jpg"
    keeper.unlink()
    if how == "other":
        keeper.write_bytes(b"SAME")
    if how == "link":
        keeper.symlink_to(photos / "b/1.jpg")
    before = state(photos)
    _, tally, _ = followed(plan, "delete", tmp_path)
    assert tally.done == 1, "of the other cluster"
    assert {"b/1.jpg", str(odd(photos).relative_to(photos))} <= state(photos).keys() <= before.keys()


def test_a_keeper_under_two_names_is_not_taken_for_two_files(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "way").symlink_to(photos)
    clusters = [{"cluster": 0, "keep": [entry(photos / "a/1.jpg")], "remove": [entry(tmp_path / "way/a/1.jpg")]}]
    plan = checked({FORMAT: VERSION, "clusters": clusters}, "plan")
    _, tally, _ = followed(plan, "delete", tmp_path)
    assert tally.refused == {"it is one that is to stay, by another path": 1}
    assert (photos / "a/1.jpg").exists()


@pytest.mark.parametrize("second_name", [False, True])
def test_a_file_that_stays_is_known_through_a_mount(
    second_name: bool, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mount is a link that no name tells of."""
    (tmp_path / "way").symlink_to(photos)
    if second_name:
        os.link(photos / "c/y.jpg", photos / "c/z.jpg")
    keep, remove = [entry(photos / "a/1.jpg"), entry(photos / "c/y.jpg")], [entry(tmp_path / "way/c/y.jpg")]
    plan = checked({FORMAT: VERSION, "clusters": [{"cluster": 0, "keep": keep, "remove": remove}]}, "plan")
    monkeypatch.setattr(Path, "resolve", Path.absolute)
    _, tally, _ = followed(plan, "delete", tmp_path)
    assert tally.refused == {"it is one that is to stay, by another path": 1}
    assert (photos / "c/y.jpg").exists()


def test_another_name_of_the_same_data_may_go(photos: Path, tmp_path: Path) -> None:
    os.link(photos / "a/1.jpg", photos / "c/2.jpg")
    clusters = [{"cluster": 0, "keep": [entry(photos / "a/1.jpg")], "remove": [entry(photos / "c/2.jpg")]}]
    _, tally, _ = followed(checked({FORMAT: VERSION, "clusters": clusters}, "plan"), "delete", tmp_path)
    assert (tally.done, (photos / "a/1.jpg").exists(), (photos / "c/2.jpg").exists()) == (1, True, False)


@pytest.mark.parametrize("action", ["hardlink", "symlink", "move"])
def test_tags_come_back_with_their_file(action: str, photos: Path, tmp_path: Path) -> None:
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


def test_what_became_a_link_or_a_folder_is_left_alone(photos: Path, tmp_path: Path) -> None:
    plan = checked(plan_for(photos), "plan")
    (photos / "b/1.jpg").unlink()
    (photos / "b/1.jpg").symlink_to(photos / "a/1.jpg")
    (photos / "c/y.jpg").unlink()
    (photos / "c/y.jpg").mkdir()
    _, tally, _ = followed(plan, "delete", tmp_path)
    assert tally.refused == {"it is no regular file any more": 2}


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


def test_move_to_another_disk(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = Path.replace

    def across(self: Path, target: Path) -> Path:
        if str(self).startswith(str(photos)) != str(target).startswith(str(photos)):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", across)
    before = state(photos)
    _, tally, journal = followed(checked(plan_for(photos), "plan"), "move", tmp_path)
    assert tally.ok
    assert undone(journal).ok
    assert state(photos) == before


def test_a_copy_that_came_out_wrong_costs_nothing(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> Path:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.setattr(shutil, "copyfile", lambda source, target: Path(target).write_bytes(b"broken"))
    before = state(photos)
    _, tally, _ = followed(checked(plan_for(photos), "plan"), "move", tmp_path)
    assert tally.done == 0
    assert state(photos) == before
    assert not [path for path in (tmp_path / "moved").rglob("*") if path.is_file()]


def test_undo_does_not_write_over_what_has_come_since(photos: Path, tmp_path: Path) -> None:
    _, _, journal = followed(checked(plan_for(photos), "plan"), "move", tmp_path)
    (photos / "b/1.jpg").write_bytes(b"new")
    tally = undone(journal)
    assert tally.refused == {"another file has its name now": 1}
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


def killed_at(step: int, data: dict[str, Any], action: str, folder: Path) -> bool:
    """Follow a plan in a process that is killed before its so manyth step that touches a disk; whether it got there."""
    done = 0
    open_ = Path.open

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def deadly(*arguments: Any, **named: Any) -> Any:
            nonlocal done
            done += 1
            if done == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **named)

        return deadly

    def opened(self: Path, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        call = counted(open_) if "x" in mode else open_
        return call(self, mode, *arguments, **named)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking where there are threads
        child = os.fork()
    if not child:
        try:
            Path.open = opened  # type: ignore[method-assign, assignment]
            for owner, name in (
                (Path, "replace"),
                (Path, "unlink"),
                (Path, "symlink_to"),
                (os, "link"),
                (os, "rename"),
            ):
                setattr(owner, name, counted(getattr(owner, name)))
            Journal._write = counted(Journal._write)  # type: ignore[method-assign]
            followed(checked(data, "plan"), action, folder)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("action", ["move", "trash", "hardlink", "symlink"])
def test_wherever_it_is_killed_no_file_is_lost_and_all_can_be_taken_back(
    action: str, photos: Path, tmp_path: Path
) -> None:
    before, data = state(photos), plan_for(photos)
    steps = 0
    came_to_it = True
    while came_to_it:
        steps += 1
        came_to_it = killed_at(steps, data, action, tmp_path)
        everywhere = [path.read_bytes() for path in tmp_path.rglob("*.jpg") if path.is_file()]
        assert everywhere.count(b"nearly") >= 1
        assert everywhere.count(b"same") >= 3
        journal = tmp_path / f"{action}.jsonl"
        if journal.exists() and journal.read_text():
            assert undone(journal).ok
            assert state(photos) == before, f"killed at step {steps}"
            assert not list(tmp_path.rglob(".fast-diff*"))
            journal.unlink()
    assert steps > 10


def test_a_journal_whose_last_line_is_torn_goes_on(photos: Path, tmp_path: Path) -> None:
    before = state(photos)
    _, _, journal = followed(checked(plan_for(photos), "plan"), "move", tmp_path)
    with journal.open("a") as file:
        file.write('{"n": 9, "sta')
    assert undone(journal).ok
    assert state(photos) == before
    assert {act["state"] for act in read_journal(journal)} == {"undone"}


HEAD = '{"fast-diff-journal": 1}\n'
BEGUN: dict[str, Any] = {
    "n": 1,
    "state": "begin",
    "action": "hardlink",
    "path": "2f61",
    "keeper": "2f62",
    "shown": "/a",
}
BEGUN |= {"bytes": 1, "mtime_ns": 1, "digest": "", "mode": 0o644, "temporary": "2f63"}
BEGUN |= {"shown": "/a", "owner": [0, 0], "attributes": {"74": ""}}


def test_what_ended_changes_nothing_of_what_was_begun(tmp_path: Path) -> None:
    events = [BEGUN, {"n": 1, "state": "done", "mode": "rw", "path": 7}]
    (tmp_path / "journal").write_text(HEAD + "".join(f"{json.dumps(event)}\n" for event in events))
    assert read_journal(tmp_path / "journal") == [BEGUN | {"state": "done"}]


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", '{"n": 1}\n', "no json\nat all\n", "[1]\n", "\xff", HEAD + "{}\n", HEAD + "null\n", HEAD + HEAD),
        *(
            HEAD + "[" * 100_000 + "\nx\n",
            HEAD + '{"n": 1, "state": "begin"}\n',
            HEAD + '{"n": "1", "state": "done"}\n',
        ),
        *(
            HEAD + json.dumps(BEGUN | change) + "\n"
            for change in (
                {"mode": "rw"},
                {"mtime_ns": None},
                {"made": "2"},
                {"path": "2f00"},
                {"path": "2F"},
                {"bytes": True},
                {"temporary": None},
                {"owner": ["root"]},
                {"attributes": {"74": "x"}},
                {"action": "burn"},
            )
        ),
    ],
    ids=range(22),
)
def test_what_is_no_journal_is_said_in_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match="journal") as told:
        read_journal(path)
    assert "\n" not in str(told.value)


def changes() -> Iterator[tuple[Callable[[dict[str, Any]], Any], str]]:
    yield lambda plan: plan.pop(FORMAT), "is no plan: expected"
    yield lambda plan: plan.update({FORMAT: 2}), "is no plan: expected"
    yield lambda plan: plan["clusters"][0].update(keep=[]), "cluster 0: every image of it would go"
    yield lambda plan: plan["clusters"][0].update(remove="x"), r"clusters\.0\.remove"
    yield lambda plan: plan["clusters"][0]["keep"][0].pop("digest"), r"clusters\.0\.keep\.0\.digest"
    yield lambda plan: plan["clusters"][1]["keep"].append(plan["clusters"][1]["remove"][0]), "comes twice"
    yield lambda plan: plan["clusters"][1].update(keep=plan["clusters"][0]["keep"]), "comes twice"
    yield lambda plan: plan["clusters"][0]["keep"][0].update(path="x.jpg"), "expected an absolute path"
    yield lambda plan: plan.update(references=[plan["clusters"][1]["remove"][0]["path"]]), "which is never touched"
    yield lambda plan: plan.update(colour="red"), "colour"
    yield lambda plan: plan["clusters"][0]["keep"][0].update(path="/tmp/a\0b"), "expected an absolute path"
    for odd in ("/tmp/./b.jpg", "/tmp/../b.jpg", "/tmp//b.jpg", "//tmp/b.jpg", "/tmp/b/"):
        yield lambda plan, odd=odd: plan["clusters"][0]["keep"][0].update(path=odd), r"expected a path without \., \.\."
    for odd in ("", "photos", "../photos"):
        yield lambda plan, odd=odd: plan.update(references=[odd, "/"]), "references: expected absolute paths"
    yield lambda plan: plan.update(references=["/"]), "lies in the reference /, which is never touched"


@pytest.mark.parametrize(("change", "said"), list(changes()))
def test_a_plan_that_asks_for_the_wrong_is_refused(
    change: Callable[[dict[str, Any]], Any], said: str, photos: Path
) -> None:
    plan = plan_for(photos)
    change(plan)
    with pytest.raises(ConfigError, match=said) as told:
        checked(plan, "plan.json")
    assert "\n" not in str(told.value)


def test_references_of_the_run_count_even_if_the_plan_lost_them(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"config": {"inputs": {"reference": [str(photos / "c")]}}}))
    with pytest.raises(ConfigError, match="lies in the reference"):
        checked(plan_for(photos, run=str(run)), "plan.json")


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


def test_one_command_acts_at_a_time() -> None:
    with alone(), pytest.raises(ConfigError, match="another `apply` or `undo` of yours is at work"), alone():
        pytest.fail("two at a time")
    with alone():
        pass


def test_what_goes_wrong_is_told_of_the_file_that_it_is_about(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "moved").write_bytes(b"a file in the way")
    plan = checked(plan_for(photos), "plan")
    with pytest.raises(ConfigError, match="is no folder"):
        check_options(plan, "move", tmp_path / "moved")
    _, tally, journal = followed(plan, "move", tmp_path)
    assert all(str(tmp_path / "moved") in why for why in tally.refused)
    back = undone(journal)
    assert (back.ok, back.done) == (True, 0), "nothing had been done"


def test_deletion_is_not_said_to_come_back(tmp_path: Path) -> None:
    assert "can't be taken back" in list(summary(Tally(1), "delete", tmp_path / "j"))[1]
    assert "fast-diff undo" in list(summary(Tally(1), "move", tmp_path / "j"))[1]


def test_a_plan_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        read_plan(tmp_path / "none.json")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(ConfigError, match="it is no JSON"):
        read_plan(tmp_path / "deep.json")
    (tmp_path / "text.json").write_text("text")
    with pytest.raises(ConfigError, match="it is no JSON"):
        read_plan(tmp_path / "text.json")


@pytest.mark.parametrize("what", ["gone", "written to"])
def test_a_keeper_is_looked_at_before_each_act(photos: Path, tmp_path: Path, what: str) -> None:
    plan, tally = checked(plan_for(photos), "plan"), Tally()
    with Journal(tmp_path / "delete.jsonl") as journal:
        lines = apply(plan, "delete", None, journal, tally)
        assert next(lines).startswith("deleted")
        keeper = photos / "a/1.jpg"
        keeper.unlink() if what == "gone" else keeper.write_bytes(b"else")
        assert "no image that is to stay is there" in next(lines)
        assert next(lines).startswith("deleted"), "another cluster has a keeper of its own"
    assert odd(photos).exists()
    assert (tally.done, tally.refused.total()) == (2, 1)


def test_another_keeper_does_where_the_first_is_gone(photos: Path, tmp_path: Path) -> None:
    data = plan_for(photos)
    group = data["clusters"][0]
    group["keep"].append(group["remove"].pop(0))
    (photos / "a/1.jpg").unlink()
    lines, _, _ = followed(checked(data, "plan"), "delete", tmp_path)
    assert lines[0].endswith(f"(stays: {photos / 'b/1.jpg'})")


def test_a_keeper_that_was_only_touched_is_the_keeper_still(photos: Path, tmp_path: Path) -> None:
    plan, tally = checked(plan_for(photos), "plan"), Tally()
    with Journal(tmp_path / "delete.jsonl") as journal:
        lines = apply(plan, "delete", None, journal, tally)
        next(lines)
        os.utime(photos / "a/1.jpg")
        assert next(lines).endswith(f"(stays: {photos / 'a/1.jpg'})")


def test_a_plan_of_no_run_asks_none_that_happens_to_be_here(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"config": {"inputs": {"reference": [str(photos)]}}}))
    monkeypatch.chdir(tmp_path)
    assert checked(plan_for(photos), "plan").references == ()


def test_folders_that_a_move_made_go_with_it(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "moved" / "of mine").mkdir(parents=True)
    _, tally, journal = followed(checked(plan_for(photos), "plan"), "move", tmp_path)
    assert tally.done == 3
    assert undone(journal).done == 3
    assert list((tmp_path / "moved").rglob("*")) == [tmp_path / "moved" / "of mine"]


def test_a_move_that_fails_leaves_no_folders(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, to: Path) -> None:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(acts, "_onto", full)
    _, tally, _ = followed(checked(plan_for(photos), "plan"), "move", tmp_path)
    assert tally.refused.total() == 3
    assert not (tmp_path / "moved").exists()


def test_what_was_never_done_is_not_taken_back(photos: Path, tmp_path: Path) -> None:
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
    with pytest.raises(ConfigError, match="is to go"):
        check_options(plan, "move", tmp_path / "photos too")


def test_options_that_do_not_go_together(photos: Path, tmp_path: Path) -> None:
    plan = checked(plan_for(photos), "plan")
    for action, to in (("move", None), ("delete", tmp_path), ("move", photos), ("move", photos / "b")):
        with pytest.raises(ConfigError, match="--to"):
            check_options(plan, action, to)
    check_options(plan, "move", tmp_path / "elsewhere")


def test_no_other_file_is_taken_for_an_interrupted_copy(photos: Path, tmp_path: Path) -> None:
    """Between the journal's line and the move someone else may have made a file of that name."""
    act = {**entry(photos / "c/y.jpg"), "shown": "y", "action": "move", "keeper": "", "mode": 0o644}
    to = tmp_path / "taken.jpg"
    act |= {"path": os.fsencode(photos / "c/y.jpg").hex(), "to": os.fsencode(to).hex()}
    to.write_bytes(b"not ours")
    acts.undo(act)
    assert to.read_bytes() == b"not ours"
    to.write_bytes(b"nea")
    acts.undo(act)
    assert not to.exists()
    assert (photos / "c/y.jpg").read_bytes() == b"nearly"
