"""Link a finished run's artifacts into the folder of a check.

So a check does not need the files of old images."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.cli.targets import WORK
from pipeline.config.settings import Config
from pipeline.messages.errors import ArtifactDamaged, ConfigError, TaskError
from pipeline.plan.fingerprint import recipe
from pipeline.plan.reasons import other_recipe
from pipeline.stage import Artifact, Inputs, Job, PastRows, Preflight, Result, Settings, Source, Stage, Task
from pipeline.store.artifact import Record, StoredArtifact
from pipeline.store.footers import Footers
from pipeline.store.lock import holder
from pipeline.store.store import Store
from stages import embed, index, pairs, scan, thumbnail
from stages import hash as hash_stage
from stages.commands.check.links import link_or_copy
from stages.commands.results.tables import Results
from stages.decoding.problems import TRANSIENT_CODES
from stages.decoding.recheck import recheck as recheck_files
from stages.listing.sections import SECTIONS
from stages.listing.stamps import racy as racy_paths

LENT = (scan.STAGE, thumbnail.STAGE, hash_stage.STAGE, embed.STAGE, index.STAGE)
"""Stages whose artifacts are linked."""
STAGES = (*LENT, pairs.STAGE)
READERS = ("thumbnail", "embed")
"""Stages that decode files."""
NEW = "new"
"""Prefix of the keys of tasks on new images."""


@dataclass(frozen=True)
class Partition:
    """A partition of the run.

    table         rows of the scan
    closes_block  whether the partition is the last one of a block
    readable      number of readable images
    final         whether no image has a transient error, so that no run would retry the partition"""

    key: str
    table: pa.Table
    closes_block: bool
    readable: int
    final: bool


@dataclass(frozen=True)
class Lender:
    """A finished run whose artifacts are linked into the folder of a check; a check never writes into the run's folder.

    summary     content of run.json
    artifacts   name and footer of each linked artifact, by stage and key
    partitions  the partitions in the run's order"""

    folder: Path
    summary: Mapping[str, Any]
    artifacts: Mapping[str, Mapping[str, tuple[str, Record]]]
    partitions: tuple[Partition, ...]

    @property
    def images(self) -> pa.Table:
        """Return the scan's rows of all images."""
        return pa.concat_tables([partition.table for partition in self.partitions])

    def tasks(self, changed: pa.Array) -> Iterator[tuple[Task, pa.Table]]:
        """Yield the run's scan tasks, without the images whose paths are in `changed`.

        A partition with a changed image or a transient error keeps only its readable images, so that none of its files
        is read again."""
        left: list[tuple[str, pa.Table]] = []
        closes: list[bool] = []
        for partition in self.partitions:
            rows = partition.table.filter(pc.invert(pc.is_in(partition.table["path"], changed)))
            if not partition.final or len(rows) < len(partition.table):
                rows = rows.filter(pc.is_in(rows["path"], self._readable(partition.key)))
            if len(rows):
                left.append((partition.key, rows))
                closes.append(partition.closes_block)
            elif closes:
                closes[-1] |= (
                    partition.closes_block
                )  # a partition must close the block, else its images would get no index
        for (key, rows), last in zip(left, closes, strict=True):
            yield Task(key, notes={"set": "a", "closes_block": last}, size=len(rows)), rows

    def _readable(self, key: str) -> pa.Array:
        """Return the paths of images that have a thumbnail and, where wanted, a vector."""
        stage = "embed" if key in self.artifacts["embed"] else "thumbnail"
        name, _ = self.artifacts[stage][key]
        rows = StoredArtifact(stage, key, self.folder / stage / name).table(["path", "error"])
        return rows["path"].filter(pc.is_null(rows["error"])).combine_chunks()

    def refuse_other_versions(self, config: Config) -> None:
        """Raise ConfigError where this installation would compute the artifacts again."""
        for stage in LENT:
            wanted = recipe(stage, config.params[stage.name], config.settings)
            for _, record in self.artifacts[stage.name].values():
                if difference := other_recipe(record.recipe, wanted):
                    raise ConfigError(
                        f"{self.folder}: this installation makes other artifacts ({stage.name}: {difference}); run "
                        "`fast-diff run` again here, or check with the version that made the run"
                    )

    @property
    def work(self) -> Path:
        """Return the folder of checks against the run, beside the run's folder."""
        return self.folder.with_name(self.folder.name + WORK)

    def lend(self) -> None:
        """Link the artifacts into the folder of checks.

        Raises ConfigError where a run changes the artifacts."""
        try:
            for stage, artifacts in self.artifacts.items():
                for name, _ in artifacts.values():
                    link_or_copy(self.folder / stage / name, self.work / stage / name)
        except FileNotFoundError as error:
            raise ConfigError(f"{self.folder} is being changed; wait for its run to end") from error
        _refuse_in_use(self.folder)


def lender(results: Results) -> Lender:
    """Return the `Lender` of a run. Raises ConfigError unless the run succeeded and is complete."""
    if not isinstance(results.folder, Path):
        raise ConfigError(
            f"{results.folder} is on an object store: expected a run on this machine's disks. Copy the run's folder; "
            "its images are not needed"
        )
    folder = Path(os.path.abspath(results.folder))  # noqa: PTH100  # symbolic links are not resolved, as in all paths of this module
    _refuse_in_use(folder)
    whole = folder.with_name(folder.name.removesuffix(WORK))
    if whole != folder and (whole / "run.json").exists():
        raise ConfigError(f"{folder} is the folder of checks against {whole}; check against {whole}")
    unfinished = ConfigError(f"{folder}: its last run did not finish; run `fast-diff run` again first")
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
        summary = results.summary
        ended = not summary["failures"] and summary["clusters"]["count"] is not None
        if not ended:
            raise unfinished
        try:
            artifacts = _artifacts(folder)
            partitions = tuple(_partitions(folder, artifacts))
        except ArtifactDamaged as error:
            raise ConfigError(f"{error.detail}; run `fast-diff run` again first to replace the artifact") from error
        if sum(len(partition.table) for partition in partitions) == summary["images"]["total"]:
            return Lender(folder, summary, artifacts, partitions)
    raise unfinished


def _refuse_in_use(folder: Path) -> None:
    if owner := holder(folder):
        raise ConfigError(
            f"{folder} is in use by another run (process {owner.get('pid')} on {owner.get('host')}); wait for it to end"
        )


def _artifacts(folder: Path) -> dict[str, dict[str, tuple[str, Record]]]:
    """Return names and footers by stage and key.

    Raises ArtifactDamaged; KeyError where artifacts are missing."""
    found: dict[str, dict[str, tuple[str, Record]]] = {}
    with Footers(Store(folder), read_only=True) as footers:
        for stage in LENT:
            records = {name: footers.record(stage.name, name) for name in footers.names(stage.name)}
            found[stage.name] = {record.key: (name, record) for name, record in records.items()}
            if len(found[stage.name]) < len(records):
                raise KeyError("two artifacts of one task; one is left over from a killed run")
    keys = found["scan"].keys()
    if found["embed"] and found["embed"].keys() != keys:
        raise KeyError("artifacts are missing")
    if not found["thumbnail"].keys() == found["hash"].keys() == keys or found["index"].keys() - keys:
        raise KeyError("artifacts are missing")
    return found


def _partitions(folder: Path, artifacts: Mapping[str, Mapping[str, tuple[str, Record]]]) -> Iterator[Partition]:
    """Yield the partitions in the run's order: by set, then by path.

    Only a block's last partition has an index."""
    tables = {
        key: StoredArtifact("scan", key, folder / "scan" / name).table() for key, (name, _) in artifacts["scan"].items()
    }
    first = {key: true_names(table.slice(0, 1))[0].as_py() for key, table in tables.items()}
    for key in sorted(tables, key=lambda key: (tables[key]["set"][0].as_py(), first[key])):
        _, made = artifacts["thumbnail"][key]
        errors = [artifacts[stage][key][1].summary["errors"] for stage in READERS if key in artifacts[stage]]
        final = all(TRANSIENT_CODES.isdisjoint(each) for each in errors)
        yield Partition(key, tables[key], key in artifacts["index"], made.summary["readable"], final)


def true_names(table: pa.Table) -> pa.ChunkedArray:
    """Return the names of images as bytes."""
    return pc.coalesce(table["path_bytes"], table["path"].cast(pa.binary()))


def stages_of(lent: Lender, found: Sequence[tuple[Task, pa.Table]]) -> list[Stage[Any]]:
    """Return the stages up to `pairs`; `scan` and `thumbnail` read new files only."""

    def source(
        params: scan.Params, settings: Settings, report: Callable[[int], None], past: Callable[[], PastRows]
    ) -> Sequence[tuple[Task, pa.Table]]:
        """Delete artifacts that are out of use, then link the run's artifacts. The caller holds the folder's lock.

        Retired links must go first: a rename of a link over another link to the same file has no effect."""
        Store(lent.work).prune()
        lent.lend()
        return found

    def racy(rows: pa.Table) -> Sequence[str]:
        return racy_paths(rows) if rows["set"][0].as_py() == NEW else ()

    def recheck(artifact: Artifact, paths: Collection[str]) -> Collection[str]:
        return recheck_files(artifact, paths) if artifact.key.startswith(f"{NEW}-") else ()

    reuse = dataclasses.replace(thumbnail.STAGE.reuse, recheck=recheck)
    special: dict[str, Stage[Any]] = {
        "scan": dataclasses.replace(scan.STAGE, source=Source(source, racy, SECTIONS), preflight=Preflight()),
        "thumbnail": dataclasses.replace(thumbnail.STAGE, compute=_only_new(thumbnail.compute), reuse=reuse),
        "embed": dataclasses.replace(embed.STAGE, compute=_only_new(embed.compute)),
    }
    return [special.get(stage.name, stage) for stage in STAGES]


def _only_new(compute: Callable[[Inputs, Any, Job], Result]) -> Callable[[Inputs, Any, Job], Result]:
    """Wrap `compute`: the function fails instead of decoding files of the run, which may be gone.

    Raises TaskError where rows of the run can't be reused."""

    def computed(inputs: Inputs, params: Any, job: Job) -> Result:
        result = compute(inputs, params, job)
        if job.task.notes["set"] == "a" and result.stats["reused"] < result.summary["images"]:
            raise TaskError(
                f"the run's artifact {job.task.key} is damaged, or the model of pairs.embedding has changed; "
                "delete the artifact or restore the model, then run `fast-diff run` again"
            )
        return result

    return computed
