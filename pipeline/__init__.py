"""Runs any DAG of cached stages on Dask; knows nothing of images.

stage.py        what a stage is: frozen data that names plain functions
columns.py      which columns an artifact may have
config.py       YAML -> validated settings          describe.py   settings -> commented YAML
plan.py         all tasks and what they wait for    graph.py      the plan, drawn
fingerprint.py  what determines an artifact         resolve.py    what is current, what must run, and why
atomic.py       the one way to write a file         store.py      artifacts: publish, read, retire
footers.py      what artifacts say, in short        footer_index.py  the index of it
errors.py       what ends a run, in one line        donors.py     earlier artifacts that may hold a task's rows
runner.py       one loop for every scheduler        executor.py   how calls get to where they run
deployment.py   the section scheduler, its kinds    scheduler.py  from that section to an executor
fitness.py      what workers must be                watch.py      how fast it goes, and whether anything moves
task.py         what happens where a task runs      job.py        what a task may ask for there
reasons.py      why a task runs, in words           worker.py     what Dask's workers load
lock.py         one run at a time on an output      owner.py      who holds a lock, and whether that process runs
racy.py         files too young to be trusted yet   conditional.py  conditional puts and deletes
regular.py      opens regular files only
progress.py     what a run shows while it works     events.py     what it leaves behind for later readers
interrupts.py   Ctrl-C once, and twice              notices.py    warnings, during a run
locations.py    folders and URLs                    urls.py       the URLs of a config, without their secrets
storage.py      object stores, with patience        ranges.py     Parquet, a range at a time
artifact.py     one Parquet file and its record     files.py      what lies in a run's folder
object_lock.py  the lock on an object store         run.py        a run from beginning to end
cluster_arguments.py  what a cluster's class is called with
cores.py        idle cores of this machine          validate.py   what pydantic says, with keys and lines
yaml_source.py  YAML, and where each key stands     cli.py        the command line
cli_runs.py     commands about finished runs        cli_acts.py   commands that touch files
cli_end.py      what is said when a run went wrong  arguments.py  options anywhere among paths
installation.py whether the installed code is loaded, and how to add an extra
cli_say.py      messages, each in one line
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

from pipeline import locations
from pipeline.errors import ConfigError


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
        from pipeline.cli import discover
        from pipeline.config import load

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
