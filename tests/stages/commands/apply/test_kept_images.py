"""A kept file and a file to remove may be one file that is seen through two file systems."""

import contextlib
import errno
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stages.commands.apply import kept_images as looking
from stages.commands.apply.actions import ACTIONS
from stages.commands.apply.acts.errors import ActRefused
from stages.commands.apply.acts.folder import Folder, Version, version
from stages.commands.apply.acts.folders import Folders
from stages.commands.apply.kept_images import NONE, SECOND, KeptImages
from stages.commands.plan.plan_file import FORMAT, VERSION, checked
from tests.stages.commands.apply.acting import entry, folder_of, followed, leftovers, one, plan_for, stat_with

pytestmark = pytest.mark.usefixtures("reflinks")


def seen_twice(
    monkeypatch: pytest.MonkeyPatch, below: Path, changed_ns: Callable[[int], int] = lambda time: time
) -> None:
    """Show files below a folder as another file system would: other inode numbers, and the given change times."""
    real = {"stat": os.stat, "lstat": os.lstat, "fstat": os.fstat}

    def other(found: os.stat_result) -> os.stat_result:
        ctime = changed_ns(found.st_ctime_ns)
        return stat_with(found, st_ino=found.st_ino + 1, st_dev=found.st_dev + 1, st_ctime_ns=ctime)

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
    """Give one file two paths that no link joins, as with a folder seen through two mounts: here by a hard link."""
    (tmp_path / "one").mkdir()
    (tmp_path / "one/1.jpg").write_bytes(b"the only copy")
    (tmp_path / "two").mkdir()
    return tmp_path / "one/1.jpg", tmp_path / "two/1.jpg"


@pytest.mark.parametrize("action", ACTIONS)
def test_a_file_with_all_times_of_a_kept_file_is_left_alone(
    action: str, twice: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, remove = twice
    os.link(keep, remove)
    plan = one(keep, remove)
    seen_twice(monkeypatch, tmp_path / "two")
    _, tally, _ = followed(plan, action, tmp_path)
    assert list(tally.refused) == [
        f"the file has the size and all times of the kept image {keep}: both may be one file"
    ]
    assert keep.read_bytes() == remove.read_bytes() == b"the only copy"
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("action", [action for action in ACTIONS if action != "hardlink"])
def test_a_file_whose_removal_also_removes_a_kept_file_is_put_back(
    action: str, twice: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change times differ, as through SFTP: only setting the file aside shows that both are one file."""
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
    assert list(tally.refused) == [f"the kept image {keep} changed when this file was moved"]
    assert keep.read_bytes() == remove.read_bytes() == b"the only copy"
    assert not leftovers(tmp_path)


def test_cached_facts_about_a_name_are_no_proof(
    twice: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cached name of a deleted kept file is detected by its change time."""
    keep, remove = twice
    os.link(keep, remove)
    plan = one(keep, remove)
    seen_twice(monkeypatch, tmp_path / "two", lambda time: time + 1)
    _, tally, _ = followed(plan, "delete", tmp_path)
    assert list(tally.refused) == [f"the kept image {keep} changed when this file was moved"]
    assert remove.exists()


def test_kept_files_on_other_disks_are_checked_too(
    twice: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, remove = twice
    os.link(keep, remove)
    first = Path(shutil.copy2(keep, tmp_path / "first.jpg"))
    group = {"cluster": 0, "keep": [entry(first), entry(keep)], "remove": [entry(remove)]}
    plan = checked({FORMAT: VERSION, "clusters": [group]}, "plan")
    seen_twice(monkeypatch, tmp_path / "two", lambda time: time + 1)
    _, tally, _ = followed(plan, "delete", tmp_path)
    assert list(tally.refused) == [f"the kept image {keep} changed when this file was moved"]
    assert remove.exists()


OVERLAY = """
import os, sys
from pathlib import Path
from stages.commands.plan.plan_file import FORMAT, VERSION, checked
from tests.stages.commands.apply.acting import entry, followed
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
    """This test mounts a real overlay, where this user may mount."""
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    (tmp_path / "upper/1.jpg").write_bytes(b"the only copy")
    layers = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    mount = f'mount -t overlay overlay -o "{layers}" "{tmp_path}/merged" || exit 77; exec "$@"'
    words = ["unshare", "-m", "sh", "-c", mount, "sh", sys.executable, "-c", OVERLAY, str(tmp_path)]
    try:
        top = Path(__file__).parents[4]
        done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(top)})
    except FileNotFoundError:
        pytest.skip("there is no `unshare` here")
    if done.returncode == 77 or "unshare:" in done.stderr:
        pytest.skip(f"no overlay can be mounted here ({done.stderr.strip()})")
    assert "all left alone" in done.stdout, done.stdout + done.stderr


def test_a_kept_url_is_not_a_path_on_this_machine(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`s3://b/x` never means the file `s3:/b/x` in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:/b").mkdir(parents=True)
    shutil.copy2(photos / "a/1.jpg", tmp_path / "s3:/b/x.jpg")
    keep = entry(photos / "a/1.jpg") | {"path": "s3://b/x.jpg"}
    group = {"cluster": 0, "keep": [keep], "remove": [entry(photos / "b/1.jpg")]}
    plan = checked({FORMAT: VERSION, "clusters": [group]}, "plan")
    for action in ACTIONS:
        _, tally, _ = followed(plan, action, tmp_path)
        assert list(tally.refused) == [
            "every kept image is on an object store; apply works on this machine's disks only"
        ]
    group["keep"].append(entry(photos / "a/1.jpg"))
    lines, _, _ = followed(checked({FORMAT: VERSION, "clusters": [group]}, "plan"), "delete", tmp_path)
    assert lines[0].endswith(f"(kept: {photos / 'a/1.jpg'})")


# facts about the kept files


def stays_of(*keep: Path) -> KeptImages:
    group = {"cluster": 0, "keep": [entry(path) for path in keep]}
    return KeptImages(checked({FORMAT: VERSION, "clusters": [group]}, "plan").clusters[0])


def version_of(path: Path) -> Version:
    return version(path.stat())


def test_removing_a_hard_link_may_change_the_change_time_of_the_keeper(photos: Path) -> None:
    keep = photos / "a/1.jpg"
    os.link(keep, photos / "second.jpg")
    second, other = version_of(keep), version_of(photos / "b/1.jpg")
    for going, change, stays in (
        (second, lambda: None, True),
        (other, lambda: None, True),
        (second, lambda: keep.chmod(0o600), True),
        (other, lambda: keep.chmod(0o640), False),
        (second, lambda: os.utime(keep), False),
    ):
        look_again = stays_of(keep).find().guard(going)
        change()
        with contextlib.nullcontext() if stays else pytest.raises(ActRefused, match=r"the kept image .* changed"):
            look_again()


@pytest.mark.parametrize("change", [Path.unlink, os.utime])
def test_a_keeper_that_changes_before_the_act_vouches_for_nothing(change: Callable[[Path], Any], photos: Path) -> None:
    found = stays_of(photos / "a/1.jpg").find()
    change(photos / "a/1.jpg")
    with pytest.raises(ActRefused, match=NONE):
        found.guard(version_of(photos / "b/1.jpg"))


def test_a_keeper_is_read_once_a_version(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    digest = Folder.digest
    monkeypatch.setattr(Folder, "digest", lambda folder, name: (read.append(name), digest(folder, name))[1])
    stays = stays_of(photos / "a/1.jpg")
    assert stays.find() is stays.find()
    assert read == ["1.jpg"]


def test_files_alike_lie_on_another_disk_and_have_the_size_and_the_second(photos: Path) -> None:
    keep = photos / "a/1.jpg"
    device, inode, size, moment = version_of(keep)
    stays = stays_of(keep)
    assert stays.alike((device + 1, inode, size, moment // SECOND * SECOND + 5)) == [keep]
    assert stays.alike((device, inode, size, moment)) == []
    assert stays.alike((device + 1, device, size, moment)) == [keep]
    assert stays.alike((device + 1, inode, size + 1, moment)) == []
    assert stays.alike((device + 1, inode, size, moment + SECOND)) == []


def test_a_second_name_may_go_and_the_only_one_may_not(photos: Path) -> None:
    """The name does not matter: a file can be mounted under another name."""
    keep = photos / "a/1.jpg"
    said = "the file is a kept image under another path"
    with pytest.raises(ActRefused, match=said):
        stays_of(keep).refuse(photos / "mounted.jpg", keep.stat())
    for name in ("a/2.jpg", "c/1.jpg"):
        os.link(keep, photos / name)
        stays_of(keep).refuse(photos / name, keep.stat())
    (photos / "link.jpg").symlink_to(keep)
    for path in (photos / "link.jpg", photos / "a/1.JPG"):
        with pytest.raises(ActRefused, match=said):
            stays_of(keep).refuse(path, keep.stat())


def test_a_file_is_checked_by_reading_it(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep, empty = photos / "a/1.jpg", photos / "empty.jpg"
    empty.touch()
    for path in (keep, empty):
        assert looking._look(path) == (*version_of(path), path.stat().st_ctime_ns)
    assert looking._look(photos / "none.jpg") == ()
    fstat = os.fstat

    def longer(number: int) -> os.stat_result:
        """Return the file's old size, as a network file system may for a file that has been emptied."""
        return stat_with(fstat(number), st_size=4)

    monkeypatch.setattr(os, "fstat", longer)
    assert looking._look(empty) == ()


def test_only_folders_are_opened_as_such_and_closed_again(photos: Path) -> None:
    with looking._folder(photos) as folder:
        os.fstat(folder.descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(folder.descriptor)
    with pytest.raises(NotADirectoryError), looking._folder(photos / "a/1.jpg"):
        pytest.fail("a file")


def test_a_file_that_is_to_go_is_the_one_that_was_compared(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time alone is no proof."""
    path = photos / "b/1.jpg"
    file = checked(plan_for(photos), "plan").clusters[0].remove[0]
    before = path.stat()
    with Folders() as folders:
        home = folders.find(path.parent)
        assert home
        assert looking.look(file, home, path.name) == before
        path.write_bytes(b"SAME")
        os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))
        with pytest.raises(ActRefused, match="the file was changed after the run"):
            looking.look(file, home, path.name)

        def refuse(folder: Folder, name: str) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(Folder, "digest", refuse)
        with pytest.raises(ActRefused, match=r"the file can't be read \(Permission denied\)"):
            looking.look(file, home, path.name)
