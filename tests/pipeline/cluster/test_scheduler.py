"""From the section `scheduler` to an executor: what is refused, reported or warned of on the way."""

import errno
import logging
from pathlib import Path
from typing import Any

import pytest

from pipeline.cluster.fitness import needs_of
from pipeline.cluster.scheduler import open_executor
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

    monkeypatch.setattr("pipeline.cluster.admission.dismiss", goes)
    with pytest.raises(raised):
        open_executor(section(kind="threads", workers=1), needs_of(tmp_path, (), (), 0))


def test_open_ports_without_tls_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scheduler = section(kind="local", host="0.0.0.0", workers=1)
    with caplog.at_level(logging.WARNING, "fast_diff.scheduler"):
        open_executor(scheduler, needs_of(tmp_path, (), (), 0)).close()
    assert "without TLS: whoever reaches one runs code as you" in caplog.text
