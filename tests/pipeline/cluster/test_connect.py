"""Connecting to a scheduler that is already running, or is not."""

import socket
from pathlib import Path

import pytest

from pipeline.cluster import connect
from pipeline.cluster.fitness import needs_of
from pipeline.cluster.scheduler import open_executor
from pipeline.messages.errors import ConfigError
from tests.pipeline.cluster.sections import section


@pytest.mark.parametrize("text", ["{", "", "[]", '{"address": 3}', "{}"])
def test_a_file_that_no_scheduler_has_written_is_refused(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "READS", 2)
    file = tmp_path / "scheduler.json"
    scheduler = section(kind="address", scheduler_file=str(file))
    with pytest.raises(ConfigError, match=r"scheduler\.json does not exist; is the scheduler running\?"):
        open_executor(scheduler, needs_of(tmp_path, (), (), 0))
    file.write_text(text)
    with pytest.raises(ConfigError, match="is not a file that a Dask scheduler has written"):
        open_executor(scheduler, needs_of(tmp_path, (), (), 0))


def test_a_port_where_no_scheduler_answers_is_reported_in_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"tcp://127.0.0.1:{listening.getsockname()[1]}"
        scheduler = section(kind="address", address=address, wait_timeout=0.5)
        with pytest.raises(ConfigError, match=f"no Dask scheduler answers at {address}"):
            open_executor(scheduler, needs_of(tmp_path, (), (), 0))
