"""The lock that lets one command at a time act on files.

An equivalent mutant: `os.O_RDONLY & os.O_DIRECTORY` in `_lock`, since the next line refuses all but folders."""

import os
from pathlib import Path

import pytest

from pipeline.messages.errors import ConfigError
from stages.commands.apply.alone import NAME, alone


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program's folder, which the user owns."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "fast-diff"


def test_one_command_acts_at_a_time_wherever_temporary_files_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with alone(), pytest.raises(ConfigError, match="another `apply` or `undo` of yours is running"):
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr("tempfile.tempdir", None)
        with alone():
            pytest.fail("two at a time")
    with alone():
        pass


def test_the_lock_lies_in_the_users_state_folder_for_that_user_alone(folder: Path) -> None:
    with alone():
        assert (folder / NAME).is_file()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("what", ["link", "second name", "pipe", "folder"])
def test_nothing_else_in_the_place_of_the_lock_is_opened(what: str, folder: Path, tmp_path: Path) -> None:
    folder.mkdir(parents=True, mode=0o700)
    precious = tmp_path / "precious"
    precious.write_bytes(b"mine")
    match what:
        case "link":
            (folder / NAME).symlink_to(precious)
        case "second name":
            os.link(precious, folder / NAME)
        case "pipe":
            os.mkfifo(folder / NAME, 0o600)
        case "folder":
            (folder / NAME).mkdir(mode=0o700)
    with pytest.raises(ConfigError, match="fast-diff") as told, alone():
        pytest.fail("locked by something else")
    assert "\n" not in str(told.value)
    assert precious.read_bytes() == b"mine"


@pytest.mark.parametrize("what", ["folder", "file"])
@pytest.mark.parametrize("how", ["group", "others", "owner"])
def test_a_folder_that_others_can_write_to_is_not_trusted(
    what: str, how: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir(parents=True, mode=0o700)
    (folder / NAME).touch(mode=0o600)
    place = folder if what == "folder" else folder / NAME
    if how == "owner":
        fstat = os.fstat

        def another(number: int) -> os.stat_result:
            found = fstat(number)
            if not os.path.samestat(found, place.stat()):
                return found
            return os.stat_result([*found[:4], os.geteuid() + 1, *found[5:]])

        monkeypatch.setattr(os, "fstat", another)
    else:
        place.chmod(place.stat().st_mode | (0o020 if how == "group" else 0o002))
    with pytest.raises(ConfigError, match=f"{place}: expected to be yours"), alone():
        pytest.fail("not ours")


def test_a_state_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"a file in the way")
    with pytest.raises(ConfigError, match="the lock of `apply` and `undo` can't be taken") as told, alone():
        pytest.fail("no lock")
    assert "\n" not in str(told.value)


def test_errors_while_the_lock_is_held_are_not_errors_of_the_lock() -> None:
    with pytest.raises(OSError, match="no room"), alone():
        raise OSError("no room")
    with alone():
        pass


def test_all_files_are_closed(folder: Path) -> None:
    before = set(Path("/proc/self/fd").iterdir())
    with alone():
        assert len(set(Path("/proc/self/fd").iterdir()) - before) == 1
        with pytest.raises(ConfigError), alone():
            pass
        assert len(set(Path("/proc/self/fd").iterdir()) - before) == 1
    (folder / NAME).chmod(0o666)
    with pytest.raises(ConfigError), alone():
        pass
    assert set(Path("/proc/self/fd").iterdir()) <= before
