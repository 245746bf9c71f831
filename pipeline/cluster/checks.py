"""Check the section `scheduler` for contradictory keys and missing files.

The types of the keys can't express these checks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from pipeline.cluster.addresses import problem_of
from pipeline.cluster.deployment import Batch, CustomCluster, ExistingScheduler, Ssh
from pipeline.cluster.keys import Elastic, Encrypted, EncryptedByFiles, Scheduler, Tls

FOLDER = "shared_temp_directory"
"""Argument of dask-jobqueue's classes: the folder in which jobs find temporary certificates."""


def section_problems(scheduler: Scheduler) -> Iterator[tuple[str, str]]:
    """Yield (key, problem) for each contradiction within the section."""
    if isinstance(scheduler, ExistingScheduler):
        yield from _of_address(scheduler)
    if isinstance(scheduler, Ssh):
        hosts = scheduler.cluster.get("hosts")
        if not (isinstance(hosts, list) and hosts and all(isinstance(host, str) for host in hosts)):
            expected = "a list: the scheduler's host, then one host for each worker"
            yield "cluster", f"kind ssh expects cluster.hosts, {expected}"
    if isinstance(scheduler, Elastic):
        yield from _of_elastic(scheduler)
    if isinstance(scheduler, Batch) and scheduler.tls == "temporary" and FOLDER not in scheduler.cluster:
        yield "tls", f"temporary certificates also need scheduler.cluster.{FOLDER}, a folder that all machines see"


def _of_address(scheduler: ExistingScheduler) -> Iterator[tuple[str, str]]:
    if bool(scheduler.address) == bool(scheduler.scheduler_file):
        got = "both" if scheduler.address else "neither"
        expected = f"kind address expects one of scheduler.address and scheduler.scheduler_file, got {got}"
        yield "address", f"{expected}; for example --set scheduler.address=tcp://127.0.0.1:8786"
    if scheduler.address and (problem := problem_of(scheduler.address, bool(scheduler.tls))):
        yield "address", problem


def _of_elastic(scheduler: Elastic) -> Iterator[tuple[str, str]]:
    scale, adapt = scheduler.scale, scheduler.adapt
    if not isinstance(scheduler, CustomCluster) and (scale is None) == (adapt is None):
        got = "neither; for example scale: 10" if scale is None else "both"
        yield "scale", f"kind {scheduler.kind} expects one of scheduler.scale and scheduler.adapt, got {got}"
    if adapt and adapt.minimum > adapt.maximum:
        yield "adapt", f"expected a maximum of at least the minimum, {adapt.minimum}, got {adapt.maximum}"
    fewest = min(adapt.minimum, adapt.maximum) if adapt else scale
    if fewest is not None and fewest < scheduler.min_workers:
        yield "min_workers", f"expected at most the {fewest} workers of scale or adapt, got {scheduler.min_workers}"


def certificates_of(scheduler: Scheduler) -> Tls | str | None:
    """Return the value of the key `tls`, or None for kinds without this key."""
    return scheduler.tls if isinstance(scheduler, Encrypted | EncryptedByFiles) else None


def missing_files(scheduler: Scheduler) -> Iterator[str]:
    """Yield a problem for each missing TLS file.

    Only a run needs these files, so other commands do not call this function."""
    tls = certificates_of(scheduler)
    for key, file in dataclasses.asdict(tls).items() if isinstance(tls, Tls) else ():
        path = Path(file).expanduser()
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "does not exist"
            yield f"scheduler.tls.{key}: expected a file, got {file!r}, which {what}"
