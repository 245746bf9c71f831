"""Batch systems, packages and classes that may be missing when a cluster starts."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.cluster.fitness import needs_of
from pipeline.cluster.scheduler import open_executor
from pipeline.messages.errors import ConfigError
from tests.pipeline.cluster.sections import BATCH, section


def test_a_batch_system_whose_command_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="slurm submits its jobs with sbatch, which is not installed here"):
        open_executor(section(kind="slurm", scale=1, cluster=BATCH), needs_of(tmp_path, (), (), 0))


@pytest.mark.parametrize(("kind", "extra"), [("cuda", "cuda"), ("slurm", "jobqueue"), ("ssh", "ssh")])
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    kind: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = {"cuda": "dask_cuda", "slurm": "dask_jobqueue", "ssh": "asyncssh"}[kind]
    monkeypatch.setitem(__import__("sys").modules, package, None)
    more: dict[str, Any] = {"slurm": {"scale": 1}, "ssh": {"cluster": {"hosts": ["h", "h"]}}}
    scheduler = section(kind=kind, **more.get(kind, {}))
    with pytest.raises(ConfigError, match=rf"^scheduler.kind: {kind} needs .* pip install .*'\.\[{extra}\]'$"):
        open_executor(scheduler, needs_of(tmp_path, (), (), 0))


@pytest.mark.parametrize("kind", ["no_such_module:Cluster", "json:Cluster"])
def test_a_class_that_is_not_there_is_named(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^scheduler.kind: {kind} needs .*, which can't be imported here: correct"):
        open_executor(section(kind=kind, scale=1), needs_of(tmp_path, (), (), 0))
