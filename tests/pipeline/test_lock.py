import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import lock
from pipeline.errors import ConfigError, LockedError
from pipeline.lock import RunLock

HOLD = """
import sys, time
from pathlib import Path
from pipeline.lock import RunLock
with RunLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_run_is_told(tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    ("changes", "age", "alive"),
    [
        ({}, 1000, True),  # the same process: its heartbeat does not matter
        ({"started": "1"}, 0, False),  # the number was used again
        ({"boot": "another"}, 0, False),
        ({"host": "elsewhere"}, 0, True),
        ({"host": "elsewhere"}, lock.DEAD_AFTER + 5, False),
    ],
)
def test_who_counts_as_alive(tmp_path: Path, changes: dict[str, str], age: float, alive: bool) -> None:
    with RunLock(tmp_path):
        owner = json.loads((tmp_path / ".lock").read_text())
    path = tmp_path / ".lock"
    path.write_text(json.dumps(owner | changes))
    past = path.stat().st_mtime - age
    os.utime(path, (past, past))
    if alive:
        with pytest.raises(LockedError), RunLock(tmp_path):
            pytest.fail("the owner is alive")
    else:
        with RunLock(tmp_path):
            pass


def test_a_lock_that_names_nobody_is_taken(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("")
    with RunLock(tmp_path):
        pass


def test_an_output_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="output: can't write to"), RunLock(tmp_path / "file" / "run"):
        pytest.fail("there is no such folder")
