"""Runs any DAG of cached stages on Dask; knows nothing of images.

stage.py        what a stage is: frozen data that names plain functions
config.py       YAML -> validated settings          describe.py   settings -> commented YAML
plan.py         all tasks and what they wait for    graph.py      the plan, drawn
fingerprint.py  what determines an artifact         resolve.py    what is current, what must run, and why
atomic.py       the one way to write a file         store.py      artifacts: publish, read, retire
runner.py       one loop for every scheduler        scheduler.py  where tasks run
task.py         what happens where a task runs      lock.py       one run at a time on an output
progress.py     what a run shows while it works     events.py     what it leaves behind for later readers
run.py          a run from beginning to end         cli.py        the command line
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError


def load_run(run: str | Path) -> Any:
    """The results of a run as pandas DataFrames: see `stages.commands.results.Results`.

    `run` is a run's folder, such as "outputs/demo", or the YAML config that made it. Raises ConfigError."""
    (loader,) = metadata.entry_points(group="fast_diff.results")
    path = Path(run)
    if path.suffix in (".yaml", ".yml") and not path.is_dir():
        from pipeline.cli import discover
        from pipeline.config import load

        path = load(path, discover()).folder
    if not path.is_dir():
        raise ConfigError(f"{path} is no folder of a run; expected one like outputs/demo, or a config")
    return loader.load()(path)
