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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.config.settings import Config, from_mapping
from pipeline.execution.notices import Warnings
from pipeline.execution.record import RunRecord
from pipeline.execution.reporter import Reporter
from pipeline.messages.errors import ConfigError, LockedError, one_line
from pipeline.run import run
from pipeline.stage import Task
from pipeline.store.backends.locations import in_use, inside, protocol_of, use
from pipeline.store.backends.storage import read_bytes
from stages import pairs, scan
from stages.clustering.ledger import account
from stages.commands.check.lender import NEW, STAGES, Lender, lender, stages_of, true_names
from stages.commands.results.tables import Results
from stages.kernels import cut
from stages.listing.files import find
from stages.listing.path_text import show, texts
from stages.listing.sections import ImageSets
from stages.listing.stamps import stamps
from stages.listing.table import FileTable

LOCAL_KINDS = ("auto", "synchronous", "threads", "local")
"""Kinds of scheduler that the check takes over from the run: a check needs no cluster."""
SPEED = ("kind", "workers", "threads", "memory_limit")
"""Keys of the section `scheduler` that the check takes over from the run."""


@dataclass(frozen=True)
class NewFiles:
    """Files in the given places.

    `files`: new files; `known`: number of unchanged files of the run; `changed`: paths of new files that the run has
    with other content."""

    files: FileTable
    known: int
    changed: pa.Array


@dataclass(frozen=True)
class Checked:
    """The outcome of a check.

    `record`: the run over both sets, None if no task had to run; `matches`: rows of `Results.pairs`, a for old and b
    for new images; `unreadable`: new images with path, error, error_detail."""

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
        return str(self.config.params["pairs"].comparison.column)


def check(results: Results, names: Sequence[str], reporter: Reporter) -> Checked:
    """Compare the files in `names` with a run; errors of tasks are in the record.

    Raises ConfigError for places or a run that can't be compared, TaskError where a pair is unaccounted for."""
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
        try:
            record = run(config, stages_of(lent, tasks), reporter)
        except LockedError as error:
            message = f"{config.folder} is in use by another check against this run; wait for that check to end"
            raise ConfigError(message) from error
    lines = [*warnings.lines, *(record.record["warnings"] if record else ())]
    if record and not record.exit_code:
        return Checked(config, found, record, *_outcome(config, [task for task, _ in tasks], record), lines)
    return Checked(config, found, record, {}, _no_matches(config), (), lines)


def _config(lent: Lender, names: Sequence[str]) -> Config:
    """Return the config of the check, made from the run's resolved config.

    Raises ConfigError."""
    work = lent.work
    roots = [_named(name, work) for name in names]
    given = lent.summary["config"]
    sections = {stage.name: given[stage.name] for stage in STAGES if stage.name in given}
    limit = given["pairs"]["threshold"]
    limit = given["cluster"]["threshold"] if limit is None else limit  # with None, every pair is recorded
    scheduler = given["scheduler"] if given["scheduler"]["kind"] in LOCAL_KINDS else {}
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
        raise ConfigError(f"{work} is a run, and a check against {lent.folder} needs that name; rename the run")
    if not work.exists() and not os.access(work.parent, os.W_OK):
        raise ConfigError(
            f"{work.parent} can't be written to, and the check needs a folder {work.name} there; copy the run elsewhere"
        )
    old = (str(lent.folder), *given["inputs"]["a"], *given["inputs"]["b"])  # the rule `pairs.folders` needs the inputs
    params = {**config.params, "inputs": ImageSets(a=old, b=config.settings("inputs.a"))}
    return dataclasses.replace(config, params=params, storage={**in_use(), **config.storage})


def _is_a_run(folder: Path) -> bool:
    """Return whether a folder has a whole run, not a check."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        return "cluster" in json.loads(read_bytes(folder / "run.json"))["stages"]
    return False


def _named(name: str, work: Path) -> str:
    """Return an argument as an input of the config: a URL or an absolute path.

    Raises ConfigError if the argument is not a valid input."""
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
            f"{shown} and the check's folder {work} overlap, but no command writes into an input; "
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
    both = _selected(files, there)
    others = pc.not_equal(both.paths, true_names(before).cast(pa.large_binary()).combine_chunks())
    if pc.any(others).as_py():
        odd = one_line(shown.filter(pa.array(there)).filter(others)[0].as_py())
        raise ConfigError(f"{odd}: the run has another file of this name, which is not UTF-8; rename one of them")
    known = np.zeros(len(files), np.bool_)
    same = pc.equal(before["bytes"], pa.array(both.sizes)), pc.equal(before["stamp"], stamps(both, params.trust))
    known[there] = pc.and_(*same).to_numpy()
    changed = shown.filter(pa.array(there & ~known)).cast(pa.string())
    return NewFiles(_selected(files, ~known), int(known.sum()), changed)


def _selected(files: FileTable, mask: NDArray[np.bool_]) -> FileTable:
    """Return the files that `mask` selects."""
    chosen = pa.array(mask)
    columns = {name: getattr(files, name)[mask] for name in ("root", "sizes", "mtimes", "ctimes", "container")}
    locations = None if files.locations is None else files.locations.filter(chosen)
    values = {name: each.filter(chosen) for name, each in files.values.items()}
    paths = files.paths.filter(chosen)
    return dataclasses.replace(files, paths=paths, locations=locations, values=values, **columns)


def _new_tasks(files: FileTable, config: Config, others: int) -> Iterator[tuple[Task, pa.Table]]:
    """Yield the scan tasks of the new files."""
    mean, block = scan.partition_sizes(config.settings, others + len(files))
    narrow, wide = cut.window(mean), cut.window(block)
    for task, rows in scan.partitions(NEW, files, narrow, wide, config.params["scan"].trust):
        yield dataclasses.replace(task, notes={**task.notes, "set": "b"}), rows


def _outcome(
    config: Config, tasks: Sequence[Task], record: RunRecord
) -> tuple[Mapping[str, int], pd.DataFrame, list[dict[str, Any]]]:
    """Return the ledger, the matches and the unreadable new images.

    Raises TaskError where pairs are missing."""
    results = Results(config.folder)
    thumbnails = {artifact.key: artifact for artifact in results.artifacts("thumbnail")}
    blocks: dict[str, dict[str, int]] = {"a": {}, "b": {}}
    readable = 0
    for task in tasks:
        readable += thumbnails[task.key].summary["readable"]
        if task.notes["closes_block"]:
            blocks[str(task.notes["set"])][task.key], readable = readable, 0
    expected = {f"{a}.{b}": old * new for a, old in blocks["a"].items() for b, new in blocks["b"].items()}
    account(expected, results.artifacts("pairs"), readable)
    ledger: Mapping[str, int] = record.record["ledger"]
    matches = results.pairs(expand=True) if ledger["matches"] else _no_matches(config)
    new = [artifact for key, artifact in thumbnails.items() if key.startswith(f"{NEW}-")]
    rows = pa.concat_tables([artifact.table(["path", "error", "error_detail"]) for artifact in new])
    failed = rows.filter(pc.is_valid(rows["error"])).sort_by("path").to_pylist()
    return ledger, matches, failed


def _no_matches(config: Config) -> pd.DataFrame:
    params = config.params["pairs"]
    empty: pd.DataFrame = pairs.schema(params, config.settings).empty_table().to_pandas()
    return empty
