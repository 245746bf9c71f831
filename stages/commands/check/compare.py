"""Compare new files with a finished run: a gate for a data set.

The work is done in a folder of its own beside the run, <output>/<run>.check/, to which the run lends its artifacts
(`lender.py`). There its images are one set, as its scan found them, and the new files the other one; so the stages up
to `pairs` do what they do in every run over two sets, and find all that they need of the run's images made.
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
"""The set of the new images; keys of their tasks begin with it."""
HERE = ("synchronous", "threads", "local")
"""Kinds of scheduler that are taken over from the run: a gate needs no cluster, and this may be another machine."""
SPEED = ("kind", "workers", "threads", "memory_limit")


@dataclass(frozen=True)
class Found:
    """The files that were named: `files` are new, so many others are `known` to the run and unchanged; `changed` are
    those of the new ones of which the run has seen another state, by their paths."""

    files: FileTable
    known: int
    changed: pa.Array


@dataclass(frozen=True)
class Checked:
    """What came of it. `record`: how the run over both sets ended, None where there was nothing to run; `matches` are
    rows as `Results.pairs` gives them, a old and b new; `unreadable` new images: path, error, error_detail."""

    config: Config
    found: Found
    record: RunRecord | None
    ledger: Mapping[str, int]
    matches: pd.DataFrame
    unreadable: Sequence[Mapping[str, Any]]
    warnings: Sequence[str]

    @property
    def figure(self) -> str:
        """The column of the distances."""
        figure: str = self.config.params["pairs"].comparison.column
        return figure


def check(results: Results, names: Sequence[str], reporter: Reporter) -> Checked:
    """Compare the files that lie in these places with a run. Raises ConfigError for places or a run that can't be
    compared, TaskError where not all pairs were accounted for; other errors of tasks are in the record."""
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
    """The folder in which the work is done."""
    return lent.folder.with_name(lent.folder.name + WORK)


def _config(lent: Lender, names: Sequence[str]) -> Config:
    """The run's config as resolved, for the folder beside it. Raises ConfigError."""
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
        raise ConfigError(f"{work} is a run of its own, and a check of {lent.folder} would need that name; rename it")
    if not work.exists() and not os.access(work.parent, os.W_OK):
        raise ConfigError(
            f"{work.parent} can't be written to, where the check needs a folder {work.name}; copy the run"
        )
    params = {**config.params, "inputs": ImageSets(a=(str(lent.folder),), b=config.settings("inputs.a"))}
    return dataclasses.replace(config, params=params, storage={**in_use(), **config.storage})


def _is_a_run(folder: Path) -> bool:
    """Whether a whole run lies there, and not what checks have left."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        return "cluster" in json.loads(read_bytes(folder / "run.json"))["stages"]
    return False


def _named(name: str, work: Path) -> str:
    """A place as it was named, if it can be looked at. Raises ConfigError."""
    shown = one_line(show(os.fsencode(name)))
    if protocol_of(name):
        return name
    if show(os.fsencode(name)) != name:
        raise ConfigError(f"{shown}: a name that is not UTF-8 can't be given here; name the folder that it lies in")
    if not os.path.exists(name):  # noqa: PTH110  # a name that is too long is none, and no error
        raise ConfigError(f"{shown} does not exist; expected a folder or an image file")
    real, place = os.path.realpath(name), os.path.realpath(work)
    if inside(place, real) or inside(real, place):
        raise ConfigError(
            f"{shown} and {work}, where the check works, lie one inside the other, and nothing is ever written into an "
            "input; move the run elsewhere"
        )
    return os.path.abspath(name)  # noqa: PTH100  # the shell has seen to ~, and links stay


def _new(config: Config, lent: Lender) -> Found:
    """What lies in the places named and is not known to the run. Raises ConfigError."""
    params, roots = config.params["scan"], config.settings("inputs.b")
    try:
        files = find(roots, params.rules())
    except OSError as error:
        where = show(error.filename) if isinstance(error.filename, bytes) else str(error.filename)
        raise ConfigError(f"{one_line(where)} can't be read ({error.strerror})") from error
    if not len(files):
        places = one_line(", ".join(roots))
        raise ConfigError(f"no image found in {places}; the run's config says which files are, in its section scan")
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
            f"{odd}: this name also stands for another one, which is not UTF-8; rename one of these files"
        )
    same = pc.equal(before["bytes"], pa.array(both.sizes)), pc.equal(before["stamp"], stamps(both, params.trust))
    known = np.zeros(len(files), np.bool_)
    known[there] = pc.and_(*same).to_numpy()
    changed = shown.filter(pa.array(there & ~known)).cast(pa.string())
    return Found(_those(files, ~known), int(known.sum()), changed)


def _those(files: FileTable, mask: NDArray[np.bool_]) -> FileTable:
    """Some of the files."""
    columns = {name: getattr(files, name)[mask] for name in ("root", "sizes", "mtimes", "ctimes")}
    return dataclasses.replace(files, paths=files.paths.filter(pa.array(mask)), **columns)


def _new_tasks(files: FileTable, config: Config, others: int) -> Iterator[tuple[Task, pa.Table]]:
    """The partitions of the new files."""
    mean, block = scan.partition_sizes(config.settings, others + len(files))
    narrow, wide = cut.window(mean), cut.window(block)
    for task, rows in scan.partitions(NEW, files, narrow, wide, config.params["scan"].trust):
        yield dataclasses.replace(task, notes={**task.notes, "set": "b"}), rows


def _stages(lent: Lender, found: Sequence[tuple[Task, pa.Table]], folder: Path) -> list[Stage[Any]]:
    """The stages, of which those that look at files look at new ones only."""

    def source(params: scan.Params, settings: Settings) -> Sequence[tuple[Task, pa.Table]]:
        """Lends here, where the folder is locked. What checks before have retired goes first: a link can't be moved
        over another one to the same file."""
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
    """Only new files are decoded, whatever becomes of the run's artifacts: old files may be gone, and their images
    would be missing from the comparison. Raises TaskError."""
    result = thumbnail.compute(inputs, params, job)
    if job.task.notes["set"] == "a" and result.stats["reused"] < result.summary["images"]:
        raise TaskError("the run's own file of these thumbnails is damaged; delete it there, and run that run again")
    return result


def _outcome(
    config: Config, tasks: Sequence[Task], record: RunRecord
) -> tuple[Mapping[str, int], pd.DataFrame, list[dict[str, Any]]]:
    """The ledger, the matches and the new images that could not be read. Raises TaskError where pairs are missing."""
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
    """By key; the folder holds those of the last run alone."""
    names = ((name.rpartition("-")[0], name) for name in store.names(stage))
    return {key: StoredArtifact(stage, key, store.path(stage, name)) for key, name in names}


def _no_matches(config: Config) -> pd.DataFrame:
    params = config.params["pairs"]
    empty: pd.DataFrame = pairs.schema(params, config.settings).empty_table().to_pandas()
    return empty
