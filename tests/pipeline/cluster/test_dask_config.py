"""Dask's settings of a run, while the run lasts and no longer."""

from pathlib import Path
from typing import Any

import dask
import pytest

from pipeline.cluster import dask_config
from pipeline.cluster.dask_config import configured, flat
from pipeline.cluster.fitness import needs_of
from pipeline.cluster.scheduler import open_executor
from pipeline.messages.errors import ConfigError
from tests.pipeline.cluster.sections import section


def test_settings_of_dask_hold_for_the_run_and_no_longer(tmp_path: Path) -> None:
    scheduler = section(kind="threads", workers=1, dask_config={"distributed.scheduler.work-stealing": False})
    before = dask.config.get("distributed.scheduler.work-stealing", True)
    executor = open_executor(scheduler, needs_of(tmp_path, (), (), 0))
    assert dask.config.get("distributed.scheduler.work-stealing") is False
    executor.close()
    assert dask.config.get("distributed.scheduler.work-stealing", True) is before


@pytest.mark.parametrize(
    ("bokeh", "asked", "profiled"),
    [(False, {}, False), (True, {}, True), (False, {"distributed": {"worker": {"profile": {"enabled": True}}}}, True)],
)
def test_workers_are_profiled_only_for_a_dashboard_or_on_request(
    monkeypatch: pytest.MonkeyPatch, bokeh: bool, asked: dict[str, Any], profiled: bool
) -> None:
    monkeypatch.setattr(dask_config.importlib.util, "find_spec", lambda name: bokeh or None)
    with configured(section(kind="threads", workers=1, dask_config=asked)):
        assert dask.config.get("distributed.worker.profile.enabled", True) is profiled


@pytest.mark.slow
def test_nested_settings_of_dask_leave_the_others_as_they_are(tmp_path: Path) -> None:
    settings = {"distributed": {"comm": {"timeouts": {"connect": "31s"}}}}
    encrypted = dask.config.get("distributed.comm.require-encryption", None)
    scheduler = section(kind="threads", workers=1, dask_config=settings)
    opened = open_executor(scheduler, needs_of(tmp_path, (), (), 0))
    assert dask.config.get("distributed.comm.timeouts.connect") == "31s"
    assert dask.config.get("distributed.comm.require-encryption", None) is encrypted
    opened.close()
    assert flat({"a": {"b.c": {"d": 1}, "e": {}}}) == {"a.b.c.d": 1, "a.e": {}}
    with pytest.raises(ConfigError, match=r"distributed\.comm: expected keys and values, got int"):
        open_executor(
            section(kind="threads", workers=1, dask_config={"distributed": {"comm": 3}}), needs_of(tmp_path, (), (), 0)
        )
