"""Attacks on `apply` and `undo`: each file is checked once it is held, and no other file is touched."""

import contextlib
import errno
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.errors import ConfigError
from stages.commands import apply as applying
from stages.commands.acts import KINDS, forecast, linking, names
from stages.commands.acts.act import Act
from stages.commands.acts.folders import Folder
from stages.commands.apply import Tally, check_options, warning
from stages.commands.choices import ACTIONS
from stages.commands.journal import read_journal
from stages.commands.plan import FORMAT, VERSION, checked
from stages.commands.undo import undo
from tests.stages.acting import entry, followed, other_disk, plan_for, state, undone


@pytest.fixture(autouse=True)
def reflinks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has them."""
    monkeypatch.setattr(linking, "clone", lambda source, target: os.write(target, os.pread(source, 1 << 20, 0)))


def one(keep: Path, remove: Path, **more: Any) -> Any:
    """A plan for two files."""
    group = {"cluster": 0, "keep": [entry(keep)], "remove": [entry(remove)]}
    return checked({FORMAT: VERSION, "clusters": [group], **more}, "plan")


def leftovers(folder: Path) -> list[Path]:
    return list(folder.rglob(".fast-diff*"))


# one file, seen through two file systems


def folder_of(number: int | None) -> Path:
    """Where an open file or folder lies."""
    return Path() if number is None else Path(f"/proc/self/fd/{number}").readlink()


def seen_twice(
    monkeypatch: pytest.MonkeyPatch, below: Path, changed_ns: Callable[[int], int] = lambda time: time
) -> None:
    """Let files below a folder look as through another file system: other numbers, and times of change as given."""
    device = os.stat_result
    real = {"stat": os.stat, "lstat": os.lstat, "fstat": os.fstat}

    def other(found: os.stat_result) -> os.stat_result:
        values = list(found)
        values[1:3] = [found.st_ino + 1, found.st_dev + 1]
        times = {name: getattr(found, name) for name in dir(found) if name.startswith("st_")}
        times["st_ctime_ns"] = changed_ns(found.st_ctime_ns)
        return device(values, times)

    def is_below(path: Any, dir_fd: int | None = None) -> bool:
        place = folder_of(path) if isinstance(path, int) else folder_of(dir_fd) / os.fsdecode(path)
        return below in place.parents

    def made(name: str) -> Any:
        def looked(path: Any, **more: Any) -> os.stat_result:
            found = real[name](path, **more)
            return other(found) if stat.S_ISREG(found.st_mode) and is_below(path, more.get("dir_fd")) else found

        return looked

    for name in real:
        monkeypatch.setattr(os, name, made(name))


@pytest.fixture
def twice(tmp_path: Path) -> tuple[Path, Path]:
    """One file under two paths that no link joins, as one folder is seen through two mounts: here by a second name."""
    (tmp_path / "one").mkdir()
    (tmp_path / "one/1.jpg").write_bytes(b"the only copy")
    (tmp_path / "two").mkdir()
    return tmp_path / "one/1.jpg", tmp_path / "two/1.jpg"


@pytest.mark.parametrize("action", ACTIONS)
def test_a_file_with_all_times_of_one_that_stays_is_left_alone(
    action: str, twice: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, remove = twice
    os.link(keep, remove)
    plan = one(keep, remove)
    seen_twice(monkeypatch, tmp_path / "two")
    _, tally, _ = followed(plan, action, tmp_path)
    assert list(tally.refused) == [f"it has the size and all times of {keep}, which is to stay: both may be one file"]
    assert keep.read_bytes() == remove.read_bytes() == b"the only copy"
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("action", [action for action in ACTIONS if action != "hardlink"])
def test_a_file_that_takes_one_that_stays_along_is_put_back(
    action: str, twice: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The times of change differ, as through SFTP: that both are one file shows when it is set aside."""
    keep, remove = twice
    os.link(keep, remove)
    plan = one(keep, remove)
    seen_twice(monkeypatch, tmp_path / "two", lambda time: time // 10**9 * 10**9)
    rename, link = os.rename, os.link

    def both(name: str, new: str, **more: Any) -> None:
        rename(name, new, **more)
        if name == "1.jpg" and keep.exists():
            keep.unlink()

    def back(name: str, new: str, **more: Any) -> None:
        link(name, new, **more)
        if new == "1.jpg" and not keep.exists():
            link(remove, keep)

    monkeypatch.setattr(os, "rename", both)
    monkeypatch.setattr(os, "link", back)
    _, tally, _ = followed(plan, action, tmp_path)
    assert list(tally.refused) == [f"{keep}, which is to stay, changed as this one moved"]
    assert keep.read_bytes() == remove.read_bytes() == b"the only copy"
    assert not leftovers(tmp_path)


def test_what_the_system_remembers_of_a_name_is_no_proof(
    twice: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the name of what stays is remembered though its file is gone, its time of change tells."""
    keep, remove = twice
    os.link(keep, remove)
    plan = one(keep, remove)
    seen_twice(monkeypatch, tmp_path / "two", lambda time: time + 1)
    _, tally, _ = followed(plan, "delete", tmp_path)
    assert list(tally.refused) == [f"{keep}, which is to stay, changed as this one moved"]
    assert remove.exists()


def test_another_that_stays_on_another_disk_is_looked_at_as_well(
    twice: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, remove = twice
    os.link(keep, remove)
    first = Path(shutil.copy2(keep, tmp_path / "first.jpg"))
    group = {"cluster": 0, "keep": [entry(first), entry(keep)], "remove": [entry(remove)]}
    plan = checked({FORMAT: VERSION, "clusters": [group]}, "plan")
    seen_twice(monkeypatch, tmp_path / "two", lambda time: time + 1)
    _, tally, _ = followed(plan, "delete", tmp_path)
    assert list(tally.refused) == [f"{keep}, which is to stay, changed as this one moved"]
    assert remove.exists()


OVERLAY = """
import os, sys
from pathlib import Path
from stages.commands.plan import FORMAT, VERSION, checked
from tests.stages.acting import entry, followed
folder = Path(sys.argv[1])
upper, merged = folder / "upper/1.jpg", folder / "merged/1.jpg"
for keep, remove, references in ((upper, merged, []), (merged, upper, []), (upper, merged, [str(upper.parent)])):
    group = {"cluster": 0, "keep": [entry(keep)], "remove": [entry(remove)]}
    plan = checked({FORMAT: VERSION, "clusters": [group], "references": references}, "plan")
    for action in ("delete", "move", "trash", "symlink"):
        lines, tally, journal = followed(plan, action, folder)
        print(lines)
        assert tally.done == 0, (keep, action)
        assert upper.read_bytes() == merged.read_bytes() == b"the only copy", (keep, action)
print("all left alone")
"""


def test_an_overlay_and_its_upper_folder(tmp_path: Path) -> None:
    """The real thing, where this user may mount."""
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    (tmp_path / "upper/1.jpg").write_bytes(b"the only copy")
    layers = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    mount = f'mount -t overlay overlay -o "{layers}" "{tmp_path}/merged" || exit 77; exec "$@"'
    words = ["unshare", "-m", "sh", "-c", mount, "sh", sys.executable, "-c", OVERLAY, str(tmp_path)]
    try:
        top = Path(__file__).parents[2]
        done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(top)})
    except FileNotFoundError:
        pytest.skip("there is no `unshare` here")
    if done.returncode == 77 or "unshare:" in done.stderr:
        pytest.skip(f"no overlay can be mounted here ({done.stderr.strip()})")
    assert "all left alone" in done.stdout, done.stdout + done.stderr


# something else comes between the look and the act


def between(monkeypatch: pytest.MonkeyPatch, what: Callable[[], Any]) -> None:
    """Let something happen once all files of a group were looked at, and before the first is touched."""
    do = applying.do

    def late(acts: Any, held: Any) -> Any:
        what()
        return do(acts, held)

    monkeypatch.setattr(applying, "do", late)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("how", ["in place", "by a rename", "by a link", "by a folder"])
def test_a_version_saved_in_between_is_neither_removed_nor_written_over(
    action: str, how: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, remove = photos / "a/1.jpg", photos / "b/1.jpg"

    def save() -> None:
        match how:
            case "in place":
                remove.write_bytes(b"worked on")
            case "by a rename":
                (photos / "b/new").write_bytes(b"worked on")
                (photos / "b/new").replace(remove)
            case "by a link":
                remove.unlink()
                remove.symlink_to(photos / "c/x.jpg")
            case "by a folder":
                remove.unlink()
                remove.mkdir()
                (remove / "mine").write_bytes(b"worked on")

    plan = one(keep, remove)
    between(monkeypatch, save)
    _, tally, journal = followed(plan, action, tmp_path)
    assert set(tally.refused) <= {"it was changed meanwhile", "it is no regular file any more"}
    assert tally.refused.total() == 1
    after = state(photos)
    assert (remove / "mine" if how == "by a folder" else remove).read_bytes() == (
        b"near" if how == "by a link" else b"worked on"
    )
    assert remove.is_symlink() == (how == "by a link")
    assert not leftovers(tmp_path)
    assert not (tmp_path / "moved").exists()
    assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert [act["state"] for act in read_journal(journal).acts] == ["failed"]
    undone(journal)
    assert state(photos) == after


@pytest.mark.parametrize("action", ACTIONS)
def test_a_version_saved_while_it_is_set_aside_is_kept_with_it(
    action: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the old one has another name, which is said, until somebody decides."""
    keep, remove = photos / "a/1.jpg", photos / "b/1.jpg"
    plan = one(keep, remove)
    rename = os.rename

    def renamed(name: str, new: str, **more: Any) -> None:
        rename(name, new, **more)
        if name == "1.jpg":
            keep.write_bytes(b"else")  # so that it is to be put back
            remove.write_bytes(b"worked on")

    monkeypatch.setattr(os, "rename", renamed)
    _, tally, journal = followed(plan, action, tmp_path)
    (aside,) = leftovers(tmp_path)
    assert aside.read_bytes() == b"same"
    assert remove.read_bytes() == b"worked on"
    assert tally.refused.total() == 1
    assert "; fast-diff undo puts it back" in str(tally.refused)
    monkeypatch.undo()
    monkeypatch.setattr(linking, "clone", lambda *files: None)
    back = undone(journal)
    assert list(back.refused) == [f"another file has its name now; its own bytes are in {aside}"]
    assert remove.read_bytes() == b"worked on"
    remove.unlink()
    assert undone(journal).ok
    assert remove.read_bytes() == b"same"
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_folder_swapped_for_a_link_leads_nowhere(
    action: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies where the link leads has the same name, bytes and times, and is nobody's to remove."""
    keep, remove = photos / "a/1.jpg", photos / "b/1.jpg"
    shutil.copytree(photos / "b", tmp_path / "precious")
    before = state(tmp_path / "precious")

    def swap() -> None:
        (photos / "b").rename(tmp_path / "was b")
        (photos / "b").symlink_to(tmp_path / "precious")

    plan = one(keep, remove)
    between(monkeypatch, swap)
    _, tally, _ = followed(plan, action, tmp_path)
    assert list(tally.refused) == ["its folder is another one now"]
    assert state(tmp_path / "precious") == before
    assert (tmp_path / "was b/1.jpg").read_bytes() == b"same"
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("action", ["move", "trash", "hardlink", "symlink"])
def test_undo_works_in_the_folders_that_it_looked_into(
    action: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, remove = photos / "a/1.jpg", photos / "b/1.jpg"
    _, _, journal = followed(one(keep, remove), action, tmp_path)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/1.jpg").write_bytes(b"mine")
    fetch = Act.fetch if action in ("move", "trash") else linking.Link.fetch

    def swap(act: Any) -> None:
        fetch(act)
        (photos / "b").rename(tmp_path / "was b")
        (photos / "b").symlink_to(tmp_path / "precious")

    monkeypatch.setattr(Act if action in ("move", "trash") else linking.Link, "fetch", swap)
    undone(journal)
    assert (tmp_path / "precious/1.jpg").read_bytes() == b"mine"
    assert (tmp_path / "was b/1.jpg").read_bytes() == b"same"
    assert not (tmp_path / "was b/1.jpg").is_symlink()


@pytest.mark.parametrize("action", ["move", "trash", "hardlink", "symlink"])
def test_undo_writes_over_nothing_that_comes_in_between(
    action: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, remove = photos / "a/1.jpg", photos / "b/1.jpg"
    _, _, journal = followed(one(keep, remove), action, tmp_path)
    claim = Folder.claim

    def save(folder: Folder, name: str, new: str, *more: Any) -> None:
        remove.write_bytes(b"new")
        claim(folder, name, new, *more)

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "claim", save)
        back = undone(journal)
    assert "another file has its name now; its own bytes are in " in str(back.refused)
    assert remove.read_bytes() == b"new"
    assert keep.read_bytes() == b"same"
    remove.unlink()
    assert undone(journal).ok, "once that is out of the way"
    assert remove.read_bytes() == b"same"
    assert not leftovers(tmp_path)


# journals that somebody wrote on


def tampered(journal: Path, **change: Any) -> None:
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    lines[1] |= {name: os.fsencode(value).hex() if isinstance(value, Path) else value for name, value in change.items()}
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize("action", ["move", "trash", "hardlink", "symlink", "delete"])
@pytest.mark.parametrize("content", [b"", b"sa", b"same", b"same and more", b"other"])
def test_undo_removes_no_file_that_a_journal_names(action: str, content: bytes, photos: Path, tmp_path: Path) -> None:
    """Not even one whose bytes the file holds, which might be its backup."""
    keep, remove = photos / "a/1.jpg", photos / "b/1.jpg"
    _, _, journal = followed(one(keep, remove), action, tmp_path)
    backup = tmp_path / "backup/1.jpg"
    backup.parent.mkdir()
    backup.write_bytes(content)
    beside = photos / "b/2.jpg"
    beside.write_bytes(content)
    with contextlib.suppress(FileNotFoundError):
        remove.unlink()
    remove.write_bytes(b"same")
    tampered(journal, to=backup)
    undone(journal)
    tampered(journal, temporary=beside)
    undone(journal)
    tampered(journal, temporary=backup)
    undone(journal)
    assert backup.read_bytes() == beside.read_bytes() == content
    assert remove.read_bytes() == b"same"


def test_undo_removes_no_spare_of_another_act(photos: Path, tmp_path: Path) -> None:
    """It may hold the only copy of a file."""
    keep, remove = photos / "a/1.jpg", photos / "b/1.jpg"
    _, _, journal = followed(one(keep, remove), "move", tmp_path)
    spare = names.temporary(remove)
    spare.write_bytes(b"the only copy")
    tampered(journal, temporary=spare)
    assert list(undone(journal).refused) == [f"File exists ({spare})"]
    assert spare.read_bytes() == b"the only copy"


@pytest.mark.parametrize("action", ["hardlink", "symlink"])
def test_undo_gives_no_file_the_rights_of_its_owner(action: str, photos: Path, tmp_path: Path) -> None:
    keep, remove = photos / "a/1.jpg", photos / "b/1.jpg"
    _, _, journal = followed(one(keep, remove), action, tmp_path)
    tampered(journal, mode=0o106755)
    assert undone(journal).ok
    assert stat.S_IMODE(remove.stat().st_mode) == 0o755


def test_extreme_numbers_of_a_journal_are_one_line_each(photos: Path, tmp_path: Path) -> None:
    keep, remove = photos / "a/1.jpg", photos / "b/1.jpg"
    _, _, journal = followed(one(keep, remove), "symlink", tmp_path)
    text = journal.read_text()
    for change in ({"mtime_ns": ((1 << 63) - 1) * 10**9}, {"mtime_ns": -((1 << 63) - 1) * 10**9}, {"n": 10**30}):
        journal.write_text(text)
        tampered(journal, **change)
        undone(journal)
        assert keep.read_bytes() == b"same"
        if remove.is_symlink():
            journal.write_text(text)
            assert undone(journal).ok
        remove.unlink()
        remove.symlink_to(keep)


def test_one_entry_that_is_spoilt_costs_no_other(photos: Path, tmp_path: Path) -> None:
    _, _, journal = followed(checked(plan_for(photos), "plan"), "move", tmp_path)
    lines = journal.read_text().splitlines()
    lines[2] = lines[2].replace("path", "pith")
    journal.write_text("\n".join(lines) + "\n")
    tally = Tally()
    said = list(undo(journal, tally))
    assert tally.done == 2
    assert [line.startswith("not taken back") for line in said] == [True, True, False, False]
    assert "line 3: not of a journal" in said[0]
    assert "act 2 ended and was never begun" in said[1]


# room and names


def fake_disk(monkeypatch: pytest.MonkeyPatch, to: Path, free: int, block: int = 1) -> None:
    """Let a folder lie on another disk, with so many free blocks of so many bytes."""
    real = os.stat

    def looked(path: Any, **more: Any) -> os.stat_result:
        found = real(path, **more)
        if path != to:
            return found
        times = {name: getattr(found, name) for name in dir(found) if name.startswith("st_")}
        return os.stat_result([*found[:2], found.st_dev + 1, *found[3:]], times)

    monkeypatch.setattr(os, "stat", looked)
    disk = os.statvfs(to)
    values = [block, block, *disk[2:4], free, *disk[5:]]
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result(values))


@pytest.mark.parametrize(("free", "fits"), [(14, 3), (13, 2), (4, 1), (3, 0)])
@pytest.mark.parametrize("yes", [False, True])
def test_no_room_on_the_disk_that_takes_files_is_foreseen(
    yes: bool, free: int, fits: int, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = checked(plan_for(photos), "plan")
    (tmp_path / "moved").mkdir()
    fake_disk(monkeypatch, tmp_path / "moved", free)
    _, tally, _ = followed(plan, "move", tmp_path, yes)
    assert tally.done == fits
    assert sum(count for why, count in tally.refused.items() if "has no room for it" in why) == 3 - fits


def test_a_small_file_takes_a_whole_block(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "moved").mkdir()
    fake_disk(monkeypatch, tmp_path / "moved", free=2, block=4096)
    assert followed(checked(plan_for(photos), "plan"), "move", tmp_path)[1].done == 2


def test_room_on_the_same_disk_is_not_asked_for(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: pytest.fail("a rename takes no room"))
    assert followed(checked(plan_for(photos), "plan"), "move", tmp_path)[1].done == 3


@pytest.mark.parametrize("name", ["x" * 251 + ".jpg", "ä" * 125 + "x.jpg", "日" * 83 + ".jpeg", "x." + "y" * 253])
@pytest.mark.parametrize("action", ["trash", "move"])
def test_names_of_the_greatest_length_go_and_come_back(action: str, name: str, photos: Path, tmp_path: Path) -> None:
    """To the trash, and to a folder that has one of that name already."""
    keep, remove = photos / "a/1.jpg", photos / "b" / name
    shutil.copy(keep, remove)
    there = tmp_path / "moved" / remove.relative_to("/")
    there.parent.mkdir(parents=True)
    there.write_bytes(b"mine")
    before = state(photos)
    for _ in range(2):
        _, tally, journal = followed(one(keep, remove), action, tmp_path)
        assert tally.ok, tally.refused
        assert not remove.exists()
        for path in (tmp_path / "data", tmp_path / "moved"):
            for found in path.rglob("*"):
                found.name.encode().decode()
        assert undone(journal).ok
        assert state(photos) == before
        journal.unlink()
    assert there.read_bytes() == b"mine"


def test_numbered_names_keep_their_ending_and_are_cut_between_letters() -> None:
    assert names.numbered("a.jpg", 1) == "a.jpg"
    assert names.numbered("a.jpg", 2) == "a (2).jpg"
    assert names.numbered("abcdefgh.jpg", 2, 12) == "abcd (2).jpg"
    assert names.numbered("äbcd.jpg", 1, 5) == ".jpg"
    assert names.numbered("aäbc.jpg", 1, 6) == "a.jpg"
    assert names.numbered("aäbc.jpg", 1, 7) == "aä.jpg"
    assert names.numbered("x." + "y" * 20, 2, 30) == "x. (2)".replace(". (2)", "") + ("." + "y" * 20)[:24] + " (2)"
    assert names.numbered("x." + "y" * 19, 2, 40) == "x (2)." + "y" * 19


def test_two_files_of_one_name_go_to_the_trash_together(photos: Path, tmp_path: Path) -> None:
    shutil.copy2(photos / "b/1.jpg", photos / "c/1.jpg")
    group = {"cluster": 0, "keep": [entry(photos / "a/1.jpg")]}
    group["remove"] = [entry(photos / "b/1.jpg"), entry(photos / "c/1.jpg")]
    before = state(photos)
    _, tally, journal = followed(checked({FORMAT: VERSION, "clusters": [group]}, "plan"), "trash", tmp_path)
    assert tally.done == 2
    trash = tmp_path / "data/Trash"
    assert sorted(path.name for path in (trash / "files").iterdir()) == ["1 (2).jpg", "1.jpg"]
    assert sorted(path.name for path in (trash / "info").iterdir()) == ["1 (2).jpg.trashinfo", "1.jpg.trashinfo"]
    assert stat.S_IMODE((trash / "files").stat().st_mode) == 0o700
    assert undone(journal).ok
    assert state(photos) == before


def test_on_a_mac_the_finder_takes_files_to_the_trash(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the library, which is installed there alone; here a stand-in."""
    finder = SimpleNamespace(send2trash=lambda path: shutil.move(os.fsdecode(path), tmp_path / "in the finder's trash"))
    monkeypatch.setitem(sys.modules, "send2trash", finder)
    monkeypatch.setattr(forecast, "sys", SimpleNamespace(platform="darwin"))
    keep, remove = photos / "a/1.jpg", photos / "b/1.jpg"
    _, tally, journal = followed(one(keep, remove), "trash", tmp_path)
    assert tally.done == 1
    assert (tmp_path / "in the finder's trash").read_bytes() == b"same"
    assert "take it back from there" in str(undone(journal).refused)
    (tmp_path / "in the finder's trash").rename(remove)
    assert undone(journal).ok


# keepers on object stores


def test_what_stays_on_an_object_store_is_no_path_here(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`s3://b/x` is no file `s3:/b/x` of the current folder, whatever lies there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:/b").mkdir(parents=True)
    shutil.copy2(photos / "a/1.jpg", tmp_path / "s3:/b/x.jpg")
    keep = entry(photos / "a/1.jpg") | {"path": "s3://b/x.jpg"}
    group = {"cluster": 0, "keep": [keep], "remove": [entry(photos / "b/1.jpg")]}
    plan = checked({FORMAT: VERSION, "clusters": [group]}, "plan")
    for action in ACTIONS:
        _, tally, _ = followed(plan, action, tmp_path)
        assert list(tally.refused) == [
            "what is to stay lies on an object store; plans are followed on this machine's disks alone"
        ]
    group["keep"].append(entry(photos / "a/1.jpg"))
    lines, _, _ = followed(checked({FORMAT: VERSION, "clusters": [group]}, "plan"), "delete", tmp_path)
    assert lines[0].endswith(f"(stays: {photos / 'a/1.jpg'})")


def test_what_goes_from_an_object_store_is_left_alone(photos: Path, tmp_path: Path) -> None:
    group = {"cluster": 0, "keep": [entry(photos / "a/1.jpg") | {"path": "s3://b/x.jpg"}]}
    group["remove"] = [entry(photos / "b/1.jpg") | {"path": "s3://b/y.jpg"}]
    _, tally, _ = followed(checked({FORMAT: VERSION, "clusters": [group]}, "plan"), "delete", tmp_path)
    assert list(tally.refused) == ["it lies on an object store; plans are followed on this machine's disks alone"]


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


def test_references_of_a_run_on_an_object_store_count(photos: Path) -> None:
    import fsspec

    inputs = {"reference": [str(photos / "c")], "a": [str(photos), "memory://bucket"]}
    with fsspec.open("memory://bucket/run/run.json", "w") as file:
        json.dump({"config": {"inputs": inputs}}, file)
    with pytest.raises(ConfigError, match="lies in the reference"):
        checked(plan_for(photos, run="memory://bucket/run"), "plan.json")
    data = plan_for(photos, run="memory://bucket/run")
    data["clusters"].pop()
    plan = checked(data, "plan.json")
    assert str(photos) in warning(plan, photos / "moved")
    assert not warning(plan, photos.parent / "moved")


# disks


def syncs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is synced, and which names come and go, in order."""
    happened: list[str] = []

    def noted(name: str) -> Any:
        call = getattr(os, name)

        def done(*given: Any, **more: Any) -> Any:
            result = call(*given, **more)
            if name == "fsync":
                happened.append(f"sync {folder_of(given[0])}")
            else:
                folder = folder_of(more.get("dst_dir_fd", more.get("dir_fd")))
                happened.append(f"{name} {folder / os.fspath(given[1] if len(given) > 1 else given[0])}")
            return result

        return done

    for name in ("fsync", "link", "unlink", "rename"):
        monkeypatch.setattr(os, name, noted(name))
    return happened


def test_a_moved_file_and_all_folders_above_it_are_on_disk_before_its_source_goes(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = photos / "b/1.jpg"
    plan = one(photos / "a/1.jpg", remove)
    happened = syncs(monkeypatch)
    assert followed(plan, "move", tmp_path)[1].ok
    target = tmp_path / "moved" / remove.parent.relative_to("/")
    there = next(n for n, what in enumerate(happened) if what.startswith(f"link {target}/.fast-diff-"))
    gone = next(n for n, what in enumerate(happened) if what.startswith(f"unlink {remove.parent}/.fast-diff-"))
    on_disk = {what for what in happened[there:gone] if what.startswith("sync ")}
    wanted = [target, *(folder for folder in target.parents if folder.is_relative_to(tmp_path))]
    assert {f"sync {folder}" for folder in wanted} <= on_disk
    named = happened.index(f"link {target}/1.jpg")
    assert gone < named
    after = happened[named:]
    assert f"sync {target}" in after
    assert f"sync {remove.parent}" in after
    assert after.index(f"sync {target}") < next(n for n, what in enumerate(after) if what.startswith("unlink "))


def test_a_copy_on_another_disk_is_on_disk_before_its_source_goes(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_disk(monkeypatch)
    remove = photos / "b/1.jpg"
    plan = one(photos / "a/1.jpg", remove)
    happened = syncs(monkeypatch)
    assert followed(plan, "move", tmp_path)[1].ok
    target = tmp_path / "moved" / remove.parent.relative_to("/")
    copied = next(n for n, what in enumerate(happened) if what.startswith(f"sync {target}/.fast-diff-"))
    gone = next(n for n, what in enumerate(happened) if what.startswith(f"unlink {remove.parent}/.fast-diff-"))
    assert copied < happened.index(f"sync {target}") < gone


@pytest.mark.parametrize("action", ["hardlink", "symlink", "reflink"])
def test_a_link_is_on_disk_before_the_file_goes(
    action: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = photos / "b/1.jpg"
    plan = one(photos / "a/1.jpg", remove)
    happened = syncs(monkeypatch)
    assert followed(plan, action, tmp_path)[1].ok
    named = happened.index(f"link {remove}")
    gone = next(n for n, what in enumerate(happened) if what.startswith("unlink "))
    assert f"sync {remove.parent}" in happened[named:gone]


@pytest.mark.parametrize("action", ACTIONS)
def test_where_a_disk_fails_to_sync_nothing_goes(
    action: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(photos)
    plan = one(photos / "a/1.jpg", photos / "b/1.jpg")
    fsync = os.fsync

    def failing(number: int) -> None:
        if stat.S_ISDIR(os.fstat(number).st_mode) and photos in folder_of(number).parents:
            raise OSError(errno.EIO, "Input/output error")
        fsync(number)

    monkeypatch.setattr(os, "fsync", failing)
    _, tally, journal = followed(plan, action, tmp_path)
    ends = "; it has gone already" if action == "delete" else ""
    assert str(next(iter(tally.refused))).startswith(f"Input/output error{ends}")
    assert [act["state"] for act in read_journal(journal).acts] != ["done"]
    monkeypatch.undo()
    if action != "delete":
        undone(journal)
        assert state(photos) == before


def test_file_systems_that_sync_no_folder_are_none_that_fail(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def unable(number: int) -> None:
        if stat.S_ISDIR(os.fstat(number).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(number)

    monkeypatch.setattr(os, "fsync", unable)
    assert followed(checked(plan_for(photos), "plan"), "move", tmp_path)[1].done == 3


@pytest.mark.parametrize("step", ["lift", "drop", "name", "clear"])
@pytest.mark.parametrize("action", ACTIONS)
def test_an_interrupt_puts_back_what_was_begun(
    action: str, step: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(photos)
    kind = KINDS[action]
    real, calls = getattr(kind, step), []

    def interrupted(act: Act) -> None:
        calls.append(act)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(act)

    with monkeypatch.context() as patch:
        patch.setattr(kind, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            followed(checked(plan_for(photos), "plan"), action, tmp_path)
    assert not leftovers(tmp_path)
    if action != "delete" or step == "lift":
        assert state(photos) == before
        assert not (tmp_path / "moved").exists()
        assert undone(tmp_path / f"{action}.jsonl") == Tally()
