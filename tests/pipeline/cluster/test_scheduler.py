"""From the section `scheduler` to an executor: what is refused, reported or warned of on the way."""

import errno
import logging
from pathlib import Path
from typing import Any

import pytest

from pipeline.cluster.deployment import FEW_TASKS
from pipeline.cluster.fitness import needs_of
from pipeline.cluster.scheduler import open_executor
from pipeline.execution.executor import ThreadsExecutor
from pipeline.machine.cores import usable
from pipeline.messages.errors import ConfigError, SchedulerLost
from tests.pipeline.cluster.sections import section


def test_too_little_memory_is_refused_before_workers_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"scheduler\.memory_limit: expected at least 100 MiB, got 50MiB"):
        open_executor(section(kind="local", memory_limit="50MiB"), needs_of(tmp_path, (), (), 100 << 20))


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError("Timed out trying to connect to tcp://127.0.0.1:1 after 10 s"), SchedulerLost),
        (OSError(errno.ENOSPC, "No space left on device"), OSError),
    ],
)
def test_a_scheduler_that_ends_while_workers_are_checked_is_reported(
    error: OSError, raised: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def goes(*_: Any) -> None:
        raise error

    monkeypatch.setattr("pipeline.cluster.admission.unregister", goes)
    with pytest.raises(raised):
        open_executor(section(kind="threads", workers=1), needs_of(tmp_path, (), (), 0))


@pytest.mark.slow
def test_open_ports_without_tls_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scheduler = section(kind="local", host="0.0.0.0", workers=1)
    with caplog.at_level(logging.WARNING, "fast_diff.scheduler"):
        open_executor(scheduler, needs_of(tmp_path, (), (), 0)).close()
    assert "without TLS: anyone who reaches a port can run code as you" in caplog.text


@pytest.mark.parametrize(
    ("keys", "tasks", "report", "own_process"),
    [
        ({}, FEW_TASKS, False, True),
        ({"workers": 3}, 1, False, True),
        ({}, FEW_TASKS + 1, False, False),
        ({"threads": 2}, 1, False, False),
        ({"memory_limit": "4GiB"}, 1, False, False),
        ({}, 1, True, False),
    ],
)
def test_auto_runs_small_runs_in_this_process(
    keys: dict[str, Any], tasks: int, report: bool, own_process: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Started(Exception):
        """Signal that Dask would start."""

    def starts(*_: Any) -> None:
        raise Started

    monkeypatch.setattr("pipeline.cluster.scheduler._open", starts)
    scheduler = section(kind="auto", **keys)
    needs = needs_of(tmp_path, (), (), 0)
    try:
        executor = open_executor(scheduler, needs, report=tmp_path / "report.html" if report else None, tasks=tasks)
    except Started:
        assert not own_process
    else:
        assert own_process
        assert isinstance(executor, ThreadsExecutor)
        assert executor.slots == keys.get("workers", usable())
        executor.close()


def test_auto_runs_code_of_the_users_own_on_dask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.cluster.scheduler._open", lambda *_: pytest.fail("Dask starts"))
    with pytest.raises(pytest.fail.Exception, match="Dask starts"):
        open_executor(section(kind="auto"), needs_of(tmp_path, (), (), 0), own_code=True)


def test_auto_runs_as_many_tasks_at_a_time_as_fit_into_memory(tmp_path: Path) -> None:
    executor = open_executor(section(kind="auto"), needs_of(tmp_path, (), (), 1 << 60))
    assert executor.slots == 1
    executor.close()
