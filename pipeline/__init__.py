"""Run any DAG of cached stages on Dask, whatever the stages compute.

stage.py      the contract: a stage is frozen data that names two plain functions
run.py        one run from beginning to end
worker.py     what a Dask worker loads first

contract/     the parts of stage.py
cli/          the command line
config/       YAML to settings
plan/         the tasks of a run, and which are stale and why
execution/    run stale tasks
cluster/      from the section `scheduler` to workers
store/        artifacts and the other files of a run; backends/ for folders and object stores
machine/      this process, and the machine that it runs on
messages/     errors, and printing
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

from pipeline.messages.errors import ConfigError
from pipeline.store.backends import locations


def load_run(run: str | locations.Place) -> Any:
    """The results of a run as pandas DataFrames: see `stages.commands.results.Results`.

    `run` is a run's folder, such as "outputs/demo" or "s3://bucket/outputs/demo", or the YAML config that made it; the
    config's section `storage` says how a URL is opened, else fsspec's own config does. Raises ConfigError."""
    (loader,) = metadata.entry_points(group="fast_diff.results")
    if (protocol := locations.protocol_of(str(run))) is not None:
        locations.check_installed(protocol)
        return loader.load()(_opened(str(run)) if isinstance(run, str) else run)
    path: locations.Place = Path(str(run))
    if path.suffix in (".yaml", ".yml") and not path.is_dir():
        from pipeline.config.settings import load
        from pipeline.plan.discovery import discover

        config = load(str(run), discover())
        locations.use(config.storage)
        path = config.folder
    if isinstance(path, Path) and not path.is_dir():
        raise ConfigError(f"{path} is no folder of a run; expected one like outputs/demo, or a config")
    return loader.load()(path)


def _opened(url: str) -> locations.Place:
    """The place of a URL; credentials in it are given to fsspec, and not kept in it."""
    try:
        options: dict[str, dict[str, Any]] = {}
        bare = locations.without_credentials(locations.canonical(url), options)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if options:
        locations.use(options)
    return locations.place(bare)
