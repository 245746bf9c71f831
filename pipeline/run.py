"""Run the stages of a config, or delete the retired files of a run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from pipeline.cluster.checks import missing_files
from pipeline.config.settings import Config
from pipeline.execution.locked_run import AfterSuccess, LockedRun
from pipeline.execution.record import RunRecord
from pipeline.execution.reporter import Reporter, Reporters
from pipeline.machine.late_pandas import import_pandas_late
from pipeline.messages.errors import ConfigError
from pipeline.plan.preflight import check_settings
from pipeline.plan.tasks import in_order
from pipeline.stage import Stage
from pipeline.store.atomic import removed_if_refused
from pipeline.store.backends.locations import use
from pipeline.store.backends.storage import below
from pipeline.store.events import LOG, EventLog
from pipeline.store.lock import RunLock
from pipeline.store.store import Store


def no_files(store: Store, ran: Collection[str]) -> Collection[str]:
    """Write no file and return no name: the default of `after_success`."""
    return ()


def run(
    config: Config,
    stages: Sequence[Stage[Any]],
    reporter: Reporter,
    after_success: AfterSuccess = no_files,
    performance_report: Path | None = None,
) -> RunRecord:
    """Run the stale tasks and return the record of the run, errors of tasks included.

    `after_success` is called once all tasks have succeeded, with the run's store and the names of the stages that ran
    tasks. The function writes files that are not artifacts, such as charts of the event log, and returns the names of
    these files, relative to the run's folder. All other files of the same kind are retired.
    `performance_report` is the path of Dask's own report on the run; a run without stale tasks writes none.

    Raises ConfigError or LockedError before the first task, SchedulerLost after run.json is written."""
    import_pandas_late()
    use(config.storage)
    check_settings(stages, config.params, config.settings)
    if missing := list(missing_files(config.scheduler)):
        raise ConfigError(*missing)
    with removed_if_refused(config.folder), RunLock(config.folder) as lock:
        store = Store(config.folder, listed=True)
        log = EventLog(config.folder / LOG, store.files)
        with Reporters(reporter, log) as reporters:
            locked = LockedRun(config, in_order(stages), store, after_success, log, performance_report)
            return locked.do(reporters, lock)


def prune(config: Config) -> tuple[int, int]:
    """Delete retired files; return their number and total size in bytes.

    Raises LockedError or ConfigError."""
    use(config.storage)
    if not (config.folder.is_dir() if isinstance(config.folder, Path) else below(config.folder)):
        raise ConfigError(f"{config.folder} does not exist; nothing to prune")
    with RunLock(config.folder):
        return Store(config.folder, listed=True).prune()
