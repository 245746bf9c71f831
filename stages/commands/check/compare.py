"""Compare new files with the images of a finished run.

The check is a run over two sets in a folder of its own, <output>/<run>.check/: set a has the run's images as the run's
scan found them, set b the new files. The run's artifacts are linked into the folder (`lender.py`), so the stages up to
`pairs` compute artifacts of new files only.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.cli.targets import WORK
from pipeline.config.settings import Config, from_mapping
from pipeline.execution.notices import Warnings
from pipeline.execution.record import RunRecord
from pipeline.execution.reporter import Reporter
from pipeline.messages.errors import ConfigError, LockedError, TaskError, one_line
from pipeline.run import run
from pipeline.stage import Artifact, Inputs, Job, Preflight, Result, Settings, Source, Stage, Task
from pipeline.store.artifact import StoredArtifact
from pipeline.store.backends.locations import in_use, inside, protocol_of, use
from pipeline.store.backends.storage import read_bytes
from pipeline.store.store import Store
from stages import pairs, scan, thumbnail
from stages.clustering.ledger import account
from stages.commands.check.lender import LENT, Lender, lender, true_names
from stages.commands.results.tables import Results
from stages.kernels import cut
from stages.listing.files import find, show, stamps, texts
from stages.listing.sections import SECTIONS, ImageSets
from stages.listing.table import FileTable

STAGES = (*LENT, pairs.STAGE)
NEW = "new"
"""Prefix of the keys of tasks on new images."""
HERE = ("synchronous", "threads", "local")
"""Kinds of scheduler that the check takes over from the run: a check needs no cluster."""
SPEED = ("kind", "workers", "threads", "memory_limit")


@dataclass(frozen=True)
class NewFiles:
    """Files in the given places. `files`: new files; `known`: number of unchanged files of the run; `changed`: paths of
    new files that the run has with other content."""

    files: FileTable
    known: int
    changed: pa.Array


@dataclass(frozen=True)
class Checked:
    """The outcome of a check. `record`: of the run over both sets, None where nothing was to run; `matches`: rows of
    `Results.pairs`, a old and b new; `unreadable`: new images with path, error, error_detail."""

    config: Config
    found: NewFiles
    record: RunRecord | None
    ledger: Mapping[str, int]
    matches: pd.DataFrame
    unreadable: Sequence[Mapping[str, Any]]
    warnings: Sequence[str]

    @property
    def figure(self) -> str:
        """Name of the column with distances."""
        figure: str = self.config.params["pairs"].comparison.column
        return figure


def check(results: Results, names: Sequence[str], reporter: Reporter) -> Checked:
    """Compare the files in `names` with a run; errors of tasks are in the record. Raises ConfigError for places
    or a run that can't be compared, TaskError where a pair is unaccounted for."""
    lent = lender(results)
    config = _config(lent, names)
    use(config.storage)
    lent.refuse_other_versions(config)
    with Warnings(reporter) as warnings:
        found = _new(config, lent)
    tasks = list(lent.tasks(found.changed)) if len(found.files) else []
    record = None
    if tasks:
        tasks += _new_tasks(found.files, config, sum(len(rows) for _, rows in tasks))
        record = _run(config, _stages(lent, tasks, _place(lent)), reporter)
    lines = [*warnings.lines, *(record.record["warnings"] if record else ())]
    if record and not record.exit_code:
        return Checked(config, found, record, *_outcome(config, [task for task, _ in tasks], record), lines)
    return Checked(config, found, record, {}, _no_matches(config), (), lines)


def _run(config: Config, stages: Sequence[Stage[Any]], reporter: Reporter) -> RunRecord:
    try:
        return run(config, stages, reporter)
    except LockedError as error:
        raise ConfigError(f"{config.folder} is in use by another check against this run; wait for it to end") from error


def _place(lent: Lender) -> Path:
    """Return the folder of the check."""
    return lent.folder.with_name(lent.folder.name + WORK)


def _config(lent: Lender, names: Sequence[str]) -> Config:
    """Return the config of the check, made from the run's resolved config. Raises ConfigError."""
    work = _place(lent)
    roots = [_named(name, work) for name in names]
    given = lent.summary["config"]
    sections = {stage.name: given[stage.name] for stage in STAGES if stage.name in given}
    limit = given["pairs"]["threshold"]
    limit = given["cluster"]["threshold"] if limit is None else limit  # not every pair is a match
    scheduler = given["scheduler"] if given["scheduler"]["kind"] in HERE else {}
    data = {
        **sections,
        "pairs": given["pairs"] | {"device": "auto", "threshold": limit},
        "run": work.name,
        "output": str(work.parent),
        "inputs": {"a": roots},
        "partition": given["partition"],
        "scheduler": {key: value for key, value in scheduler.items() if key in SPEED},
    }
    config = from_mapping(data, STAGES)
    if _is_a_run(work):
        raise ConfigError(f"{work} is a run, and a check against {lent.folder} needs that name; rename it")
    if not work.exists() and not os.access(work.parent, os.W_OK):
        raise ConfigError(
            f"{work.parent} can't be written to, and the check needs a folder {work.name} there; copy the run elsewhere"
        )
    params = {**config.params, "inputs": ImageSets(a=(str(lent.folder),), b=config.settings("inputs.a"))}
    return dataclasses.replace(config, params=params, storage={**in_use(), **config.storage})


def _is_a_run(folder: Path) -> bool:
    """Return whether a folder has a whole run, not a check."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        return "cluster" in json.loads(read_bytes(folder / "run.json"))["stages"]
    return False


def _named(name: str, work: Path) -> str:
    """Return a place in the form of the config. Raises ConfigError where the place can't be compared."""
    shown = one_line(show(os.fsencode(name)))
    if protocol_of(name):
        return name
    if show(os.fsencode(name)) != name:
        raise ConfigError(f"{shown}: a name that is not UTF-8 can't be an argument; name the file's folder instead")
    if not os.path.exists(name):  # noqa: PTH110  # False for a name that is too long
        raise ConfigError(f"{shown} does not exist; expected a folder or an image file")
    real, place = os.path.realpath(name), os.path.realpath(work)
    if inside(place, real) or inside(real, place):
        raise ConfigError(
            f"{shown} and the check's folder {work} lie one inside the other, but no command writes into an input; "
            "move the run elsewhere"
        )
    return os.path.abspath(name)  # noqa: PTH100  # shells expand ~, and links stay


def _new(config: Config, lent: Lender) -> NewFiles:
    """Return the new files in the given places. Raises ConfigError."""
    params, roots = config.params["scan"], config.settings("inputs.b")
    try:
        files = find(roots, params.rules())
    except OSError as error:
        where = show(error.filename) if isinstance(error.filename, bytes) else str(error.filename)
        raise ConfigError(f"{one_line(where)} can't be read ({error.strerror})") from error
    if not len(files):
        places = one_line(", ".join(roots))
        raise ConfigError(f"no image found in {places}; see the section scan of the run's config")
    old = lent.images
    shown, _ = texts(files.paths)
    place = pc.index_in(shown, value_set=old["path"].cast(pa.large_string()).combine_chunks())
    there = place.is_valid().to_numpy(zero_copy_only=False)
    before = old.take(place.drop_null())
    both = _those(files, there)
    others = pc.not_equal(both.paths, true_names(before).cast(pa.large_binary()).combine_chunks())
    if pc.any(others).as_py():
        odd = one_line(shown.filter(pa.array(there)).filter(others)[0].as_py())
        raise ConfigError(
            f"{odd}: the run has another file with this name, which is not UTF-8; rename one of these files"
        )
    same = pc.equal(before["bytes"], pa.array(both.sizes)), pc.equal(before["stamp"], stamps(both, params.trust))
    known = np.zeros(len(files), np.bool_)
    known[there] = pc.and_(*same).to_numpy()
    changed = shown.filter(pa.array(there & ~known)).cast(pa.string())
    return NewFiles(_those(files, ~known), int(known.sum()), changed)


def _those(files: FileTable, mask: NDArray[np.bool_]) -> FileTable:
    """Return the files that `mask` selects."""
    columns = {name: getattr(files, name)[mask] for name in ("root", "sizes", "mtimes", "ctimes")}
    return dataclasses.replace(files, paths=files.paths.filter(pa.array(mask)), **columns)


def _new_tasks(files: FileTable, config: Config, others: int) -> Iterator[tuple[Task, pa.Table]]:
    """Yield the scan tasks of the new files."""
    mean, block = scan.partition_sizes(config.settings, others + len(files))
    narrow, wide = cut.window(mean), cut.window(block)
    for task, rows in scan.partitions(NEW, files, narrow, wide, config.params["scan"].trust):
        yield dataclasses.replace(task, notes={**task.notes, "set": "b"}), rows


def _stages(lent: Lender, found: Sequence[tuple[Task, pa.Table]], folder: Path) -> list[Stage[Any]]:
    """Return the stages up to `pairs`, changed so that `scan` and `thumbnail` read new files only."""

    def source(params: scan.Params, settings: Settings) -> Sequence[tuple[Task, pa.Table]]:
        """Link the run's artifacts while the folder is locked, after deleting retired ones: a rename of a link over
        another link to the same file has no effect."""
        Store(folder).prune()
        lent.lend(folder)
        return found

    recheck = dataclasses.replace(thumbnail.STAGE.reuse, recheck=_recheck)
    special: dict[str, Stage[Any]] = {
        "scan": dataclasses.replace(scan.STAGE, source=Source(source, _racy, SECTIONS), preflight=Preflight()),
        "thumbnail": dataclasses.replace(thumbnail.STAGE, compute=_thumbnails, reuse=recheck),
    }
    return [special.get(stage.name, stage) for stage in STAGES]


def _racy(rows: pa.Table) -> Sequence[str]:
    return scan.racy(rows) if rows["set"][0].as_py() == NEW else []


def _recheck(artifact: Artifact, paths: Collection[str]) -> Collection[str]:
    return thumbnail.recheck(artifact, paths) if artifact.key.startswith(f"{NEW}-") else ()


def _thumbnails(inputs: Inputs, params: thumbnail.Params, job: Job) -> Result:
    """Compute thumbnails of new files only, since old files may be gone.

    Raises TaskError where thumbnails of the run can't be reused."""
    result = thumbnail.compute(inputs, params, job)
    if job.task.notes["set"] == "a" and result.stats["reused"] < result.summary["images"]:
        raise TaskError("the run's artifact of these thumbnails is damaged; delete it there, and run that run again")
    return result


def _outcome(
    config: Config, tasks: Sequence[Task], record: RunRecord
) -> tuple[Mapping[str, int], pd.DataFrame, list[dict[str, Any]]]:
    """Return the ledger, the matches and the unreadable new images. Raises TaskError where pairs are missing."""
    store = Store(config.folder)
    thumbnails = _artifacts(store, "thumbnail")
    blocks: dict[str, dict[str, int]] = {"a": {}, "b": {}}
    readable = 0
    for task in tasks:
        readable += thumbnails[task.key].summary["readable"]
        if task.notes["closes_block"]:
            blocks[str(task.notes["set"])][task.key], readable = readable, 0
    expected = {f"{a}.{b}": old * new for a, old in blocks["a"].items() for b, new in blocks["b"].items()}
    account(expected, list(_artifacts(store, "pairs").values()), readable)
    ledger: Mapping[str, int] = record.record["ledger"]
    matches = Results(config.folder).pairs(expand=True) if ledger["matches"] else _no_matches(config)
    failed: list[dict[str, Any]] = []
    for key, artifact in thumbnails.items():
        if key.startswith(f"{NEW}-"):
            rows = artifact.table(["path", "error", "error_detail"])
            failed += rows.filter(pc.is_valid(rows["error"])).to_pylist()
    return ledger, matches, sorted(failed, key=lambda row: row["path"])


def _artifacts(store: Store, stage: str) -> dict[str, StoredArtifact]:
    """Return a stage's artifacts by key; the folder has only artifacts of the last check."""
    names = ((name.rpartition("-")[0], name) for name in store.names(stage))
    return {key: StoredArtifact(stage, key, store.path(stage, name)) for key, name in names}


def _no_matches(config: Config) -> pd.DataFrame:
    params = config.params["pairs"]
    empty: pd.DataFrame = pairs.schema(params, config.settings).empty_table().to_pandas()
    return empty
