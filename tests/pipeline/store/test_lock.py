import errno
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.messages.errors import ConfigError, LockedError
from pipeline.store import owner
from pipeline.store.atomic import sweep
from pipeline.store.backends import file_lock
from pipeline.store.lock import RunLock, holder
from pipeline.store.owner import DEAD_AFTER

HOLD = """
import sys, time
from pathlib import Path
from pipeline.store.lock import RunLock
with RunLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


def test_the_second_run_is_refused(tmp_path: Path) -> None:
    with RunLock(tmp_path / "run"):
        with pytest.raises(LockedError, match=f"in use by another run.*{os.getpid()}"), RunLock(tmp_path / "run"):
            pytest.fail("two runs at once")
        assert (tmp_path / "run" / ".lock").exists()
    assert not (tmp_path / "run" / ".lock").exists()
    with RunLock(tmp_path / "run"):
        pass


def test_a_lock_whose_owner_was_killed_is_taken(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE) as owner:
        assert owner.stdout
        assert owner.stdout.readline() == b"held\n"
        with pytest.raises(LockedError), RunLock(tmp_path):
            pytest.fail("the owner is alive")
        owner.send_signal(signal.SIGKILL)
    with RunLock(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()


def spoilt(folder: Path, changes: dict[str, object], age: float) -> None:
    """Write an altered lock of this process, with a heartbeat `age` seconds ago."""
    path = folder / ".lock"
    path.unlink(missing_ok=True)
    with RunLock(folder):
        text = json.loads(path.read_text())
    path.write_text(json.dumps(text | changes))
    past = path.stat().st_mtime - age
    os.utime(path, (past, past))


def is_taken(folder: Path) -> bool:
    """Return whether a new run takes the lock."""
    try:
        with RunLock(folder):
            return True
    except LockedError:
        return False


OLD = DEAD_AFTER + 5
EVERYWHERE: list[tuple[dict[str, object], float, bool]] = [
    ({}, 1000, False),  # the process runs: the heartbeat does not matter
    ({"started": "1"}, 0, True),  # the process number was reused
    ({"pid": 0}, 0, True),
    ({"pid": 1 << 70}, 0, True),
    ({"pid": 1 << 70, "started": ""}, 0, True),
    ({"pid": "7"}, 0, False),
    ({"pid": "7"}, OLD, True),
    ({"boot": "another"}, 0, False),  # another machine of the same name, or this machine before a restart
    ({"boot": "another"}, OLD, True),
    ({"host": "elsewhere"}, 0, False),
    ({"host": "elsewhere"}, DEAD_AFTER - 5, False),
    ({"host": "elsewhere"}, OLD, True),
    ({"namespace": "pid:[1]"}, 0, False),  # a container with this host's name
    ({"namespace": "pid:[1]"}, OLD, True),
]


@pytest.mark.parametrize(("changes", "age", "taken"), EVERYWHERE)
def test_who_counts_as_alive(tmp_path: Path, changes: dict[str, object], age: float, taken: bool) -> None:
    spoilt(tmp_path, changes, age)
    assert is_taken(tmp_path) == taken


@pytest.mark.parametrize(("changes", "age", "taken"), [case for case in EVERYWHERE if "namespace" not in case[0]])
def test_the_same_without_proc(
    tmp_path: Path, changes: dict[str, object], age: float, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reused process number is no live owner, even without /proc, as on macOS."""
    monkeypatch.setattr(owner, "PROC", tmp_path / "no such folder")
    spoilt(tmp_path, changes, age)
    assert json.loads((tmp_path / ".lock").read_text()).keys() >= {"started", "pid", "token"}
    assert is_taken(tmp_path) == taken


def test_a_process_that_proc_hides_is_judged_by_its_heartbeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With hidepid, processes of other users can't be looked up."""
    for age, taken in ((0, False), (OLD, True)):
        spoilt(tmp_path, {}, age)
        with monkeypatch.context() as patch:
            patch.setattr(owner, "_process_table", dict)
            patch.setattr(owner, "PROC", tmp_path / "proc")
            (tmp_path / "proc").mkdir(exist_ok=True)
            (tmp_path / "proc/self").unlink(missing_ok=True)
            (tmp_path / "proc/self").symlink_to(str(os.getpid()))
            assert is_taken(tmp_path) == taken


def test_another_namespaces_proc_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container that sees the host's /proc, the same process number is another process."""
    (tmp_path / "self").symlink_to("4711")
    (tmp_path / str(os.getpid())).mkdir()
    (tmp_path / str(os.getpid()) / "stat").write_text("4711 (x) S " + "1 " * 30)
    monkeypatch.setattr(owner, "PROC", tmp_path)
    assert owner.identity("t")["started"] is None


def test_a_defunct_process_counts_as_ended(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # nobody has collected its exit status
        assert is_taken(tmp_path)


def test_a_run_in_another_pid_namespace_is_alive(tmp_path: Path) -> None:
    unshare = ["unshare", "-pf", "--mount-proc", "--kill-child"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("no PID namespace can be made here")
    with subprocess.Popen([*unshare, sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        assert not is_taken(tmp_path)
        process.kill()
    with RunLock(tmp_path / "other"):
        said = subprocess.run(
            [*unshare, sys.executable, "-c", HOLD, str(tmp_path / "other")], capture_output=True, text=True
        )
    assert "LockedError" in said.stderr


def test_one_taker_at_a_time_replaces_a_dead_lock(tmp_path: Path) -> None:
    """On a file system with locks, a second process waits until the first process has checked and replaced the lock."""
    spoilt(tmp_path, {"started": "1"}, 0)
    with (tmp_path / ".lock.guard").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        thread = threading.Thread(target=lambda: taken.append(is_taken(tmp_path)))
        taken: list[bool] = []
        thread.start()
        thread.join(0.3)
        assert (thread.is_alive(), taken) == (True, [])
        fcntl.flock(guard, fcntl.LOCK_UN)
        thread.join()
    assert taken == [True]


def no_such(error: int) -> Callable[..., None]:
    def fails(*_: object, **__: object) -> None:
        raise OSError(error, os.strerror(error))

    return fails


def test_a_file_system_without_locks_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", no_such(errno.ENOLCK))
    spoilt(tmp_path, {"started": "1"}, 0)
    with RunLock(tmp_path) as held:
        assert "this file system does not support flock" in held.note
        assert not is_taken(tmp_path)
    monkeypatch.setattr(fcntl, "flock", no_such(errno.EIO))
    spoilt(tmp_path, {"started": "1"}, 0)
    with pytest.raises(ConfigError, match="can't write to"), RunLock(tmp_path):
        pytest.fail("the disk is broken")


@pytest.mark.parametrize("links", [True, False])
def test_a_lock_that_was_replaced_meanwhile_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """Another host takes the dead owner's lock after this host's check; `flock` does not report the other host."""
    if not links:
        monkeypatch.setattr(os, "link", no_such(errno.EPERM))
    spoilt(tmp_path, {"started": "1"}, 0)
    live = {"token": "of another host", "host": "elsewhere"}

    def look(*_: object) -> bool:
        (tmp_path / ".lock").unlink()
        (tmp_path / ".lock").write_text(json.dumps(live))
        return False

    monkeypatch.setattr(file_lock, "is_alive", look)
    with pytest.raises(LockedError, match="elsewhere"), RunLock(tmp_path):
        pytest.fail("the other one holds it")
    assert json.loads((tmp_path / ".lock").read_text()) == live
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", ".lock.guard"]


def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", no_such(errno.EPERM))
    with RunLock(tmp_path):
        assert not is_taken(tmp_path)
    (tmp_path / ".lock").touch()  # one that does not name its owner yet
    with pytest.raises(LockedError, match="has just started"), RunLock(tmp_path):
        pytest.fail("another one is about to write its name")
    monkeypatch.setattr(file_lock, "WRITE_TIMEOUT", -1.0)
    assert is_taken(tmp_path)
    assert not (tmp_path / ".lock").exists()


def test_a_lock_that_was_released_meanwhile_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", no_such(errno.EPERM))
    (tmp_path / ".lock").touch()
    owner = file_lock.FileLock.owner

    def look(self: file_lock.FileLock) -> dict[str, object]:
        if not owner(self):
            self.path.unlink()
        return owner(self)

    monkeypatch.setattr(file_lock.FileLock, "owner", look)
    assert is_taken(tmp_path)


@pytest.mark.parametrize("text", ["", "5", "null", "[1, 2]", "{}", '{"token": 5}', "[" * 100_000])
def test_a_lock_without_an_owner_is_taken(tmp_path: Path, text: str) -> None:
    (tmp_path / ".lock").write_text(text)
    assert is_taken(tmp_path)


@pytest.mark.parametrize("make", [os.mkfifo, make_socket, Path.mkdir], ids=["fifo", "socket", "folder"])
@pytest.mark.parametrize("name", [".lock", ".lock.guard"])
def test_an_entry_that_is_not_a_file_does_not_block(tmp_path: Path, name: str, make: Callable[[Path], None]) -> None:
    if name == ".lock.guard":
        (tmp_path / ".lock").write_text("")
    make(tmp_path / name)
    if make is not Path.mkdir:
        assert is_taken(tmp_path)  # nothing is lost with a FIFO or a socket
    else:
        with pytest.raises(ConfigError, match=f"{tmp_path / name} "):
            is_taken(tmp_path)
        assert (tmp_path / name).exists()


def test_an_output_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="output: can't write to"), RunLock(tmp_path / "file" / "run"):
        pytest.fail("there is no such folder")


def test_the_heartbeat_has_a_thread_that_ends_with_the_lock_and_with_the_process(tmp_path: Path) -> None:
    with RunLock(tmp_path):
        (thread,) = [thread for thread in threading.enumerate() if thread.name == "lock-heartbeat"]
        assert thread.daemon
    assert not thread.is_alive()


def test_the_heartbeat_touches_the_lock_until_another_run_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_lock.FileLock, "heartbeat", 0.001)
    with RunLock(tmp_path) as held:
        os.utime(tmp_path / ".lock", (0, 0))
        while (tmp_path / ".lock").stat().st_mtime == 0:
            held._thread.join(0.001)
            assert held._thread.is_alive()
        (tmp_path / ".lock").write_text('{"token": "other"}')
        held._thread.join()
        assert not held.held


def test_a_run_whose_lock_another_run_holds_learns_this_at_its_next_check(tmp_path: Path) -> None:
    with RunLock(tmp_path) as held:
        assert held._lock.beat() is True
        held.check(now=True)
        (tmp_path / ".lock").write_text('{"token": "other"}')
        held.check()
        assert held.held is True
        with pytest.raises(LockedError, match="another run has taken over"):
            held.check(now=True)
        assert held.held is False
        assert held._lock.beat() is False
    assert (tmp_path / ".lock").read_text() == '{"token": "other"}'


def test_missing_folders_are_made(tmp_path: Path) -> None:
    assert is_taken(tmp_path / "new" / "er")


def test_a_lock_that_vanishes_while_released_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RunLock(tmp_path) as held:
        monkeypatch.setattr(file_lock.FileLock, "owner", lambda self: {"token": held.token})
        (tmp_path / ".lock").unlink()


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "write_text", no_such(errno.ENOSPC))
    with pytest.raises(ConfigError, match=os.strerror(errno.ENOSPC)), RunLock(tmp_path):
        pytest.fail("there is no room")


def test_a_link_that_fails_leaves_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", no_such(errno.EIO))
    with pytest.raises(ConfigError, match=os.strerror(errno.EIO)), RunLock(tmp_path):
        pytest.fail("the disk is broken")
    assert list(tmp_path.iterdir()) == []


def test_a_lock_without_hard_links_names_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", no_such(errno.EPERM))
    with RunLock(tmp_path) as held:
        assert file_lock.FileLock(tmp_path, "other")._create_in_place("{}") is False
        assert json.loads((tmp_path / ".lock").read_text())["token"] == held.token


def test_a_removed_lock_soon_names_no_owner(tmp_path: Path) -> None:
    released = file_lock.FileLock(tmp_path, "t")
    released._links = False
    assert released._is_being_written() is False


def test_the_sweep_of_a_live_owner_does_not_make_it_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep removes the waiting run's temporary file while the waiting run reads the file's time."""
    spoilt(tmp_path, {"host": "elsewhere"}, 0)
    stat, fstat = Path.stat, os.fstat

    def swept_by_name(path: Path, **more: bool) -> os.stat_result:
        if path.name.endswith(".probe.tmp"):
            path.unlink()
        return stat(path, **more)

    def swept(number: int) -> os.stat_result:
        for path in tmp_path.glob(".lock.*.probe.tmp"):
            path.unlink()
        return fstat(number)

    monkeypatch.setattr(Path, "stat", swept_by_name)
    monkeypatch.setattr(os, "fstat", swept)
    assert not is_taken(tmp_path)


def test_a_run_whose_draft_the_owner_sweeps_reports_the_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def swept(source: Path, target: Path) -> None:
        sweep(tmp_path)
        link(source, target)

    with RunLock(tmp_path):
        monkeypatch.setattr(os, "link", swept)
        with pytest.raises(LockedError, match="in use by another run"), RunLock(tmp_path):
            pytest.fail("two runs at once")


def test_a_run_that_does_not_get_the_lock_leaves_nothing(tmp_path: Path) -> None:
    spoilt(tmp_path, {"host": "elsewhere"}, 0)
    assert not is_taken(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", ".lock.guard"]


def test_a_dead_lock_that_is_swept_as_it_is_removed_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt(tmp_path, {"started": "1"}, 0)
    real = file_lock._owner_in

    def swept(path: Path) -> dict[str, object]:
        found = real(path)
        if path.name != ".lock":
            path.unlink()
        return found

    monkeypatch.setattr(file_lock, "_owner_in", swept)
    assert is_taken(tmp_path)


def test_a_guard_that_becomes_a_pipe_does_not_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_lock, "remove_irregular", os.mkfifo)
    (tmp_path / ".lock").write_text("")
    with pytest.raises(ConfigError, match=r"\.lock\.guard"):
        is_taken(tmp_path)


@pytest.mark.parametrize(
    ("changes", "age", "works"),
    [({}, 1000, True), ({"host": "elsewhere"}, 0, True), ({"host": "elsewhere"}, OLD, False), ({"pid": 0}, 0, False)],
)
def test_who_works_in_a_folder(tmp_path: Path, changes: dict[str, object], age: float, works: bool) -> None:
    spoilt(tmp_path, changes, age)
    owner = json.loads((tmp_path / ".lock").read_text())
    assert holder(tmp_path) == (owner if works else None)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_without_a_lock_with_an_owner_no_run_works(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    (tmp_path / ".lock").write_text("damaged")
    assert holder(tmp_path) is None
