"""Run any DAG of cached stages on Dask.

stage.py      the contract: a stage is frozen data that names two plain functions
run.py        one run from beginning to end
worker.py     what a Dask worker loads first

contract/     the parts of stage.py
cli/          the command line
config/       YAML to settings
plan/         the tasks of a run, and which are stale and why
execution/    run stale tasks
cluster/      start workers or connect to workers, as set in the config section `scheduler`
store/        artifacts and the other files of a run; backends/ for folders and object stores
machine/      this process and its machine
messages/     errors, and printing
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.store.backends.locations import Place


def load_run(run: str | Place) -> Any:
    """Return the results of a run as pandas DataFrames.

    See `stages.commands.results.tables.Results`.

    `run` is a run's folder, such as "outputs/demo" or "s3://bucket/outputs/demo", or the YAML config of the
    run. Options for a URL come from that config's section `storage`; without a config, from fsspec's own config.
    Raises ConfigError."""
    from importlib import metadata

    from pipeline.messages.errors import ConfigError
    from pipeline.store.backends import locations

    (loader,) = metadata.entry_points(group="fast_diff.results")
    if locations.protocol_of(str(run)) is not None:
        return loader.load()(open_place(run) if isinstance(run, str) else run)
    path: Place = Path(str(run))
    if path.suffix in (".yaml", ".yml") and not path.is_dir():
        from pipeline.config.settings import load
        from pipeline.plan.discovery import discover

        config = load(str(run), discover())
        locations.use(config.storage)
        path = config.folder
    if isinstance(path, Path) and not path.is_dir():
        raise ConfigError(f"{path} is not a run folder; expected one such as outputs/demo, or a config")
    return loader.load()(path)


def open_place(url: str) -> Place:
    """Return the path object of a URL; only fsspec gets the URL's credentials.

    Raises ConfigError if `url` is not a valid URL, or if the package for its protocol is missing."""
    from pipeline.messages.errors import ConfigError
    from pipeline.store.backends import locations

    locations.check_installed(url.partition("://")[0].lower())
    try:
        options: dict[str, dict[str, Any]] = {}
        bare = locations.without_credentials(locations.canonical(url), options)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if options:
        locations.use(options)
    return locations.place(bare)
