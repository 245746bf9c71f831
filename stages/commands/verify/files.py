"""Find the artifacts of a finished run for `verify`, and read them with pyarrow alone."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.messages.errors import ConfigError
from pipeline.store.backends.locations import Place
from pipeline.store.backends.ranges import open_parquet, read_footer
from pipeline.store.backends.storage import listed, read_bytes

ARTIFACT = re.compile(r".+-[0-9a-f]{16}\.parquet|clusters\.parquet")
"""Pattern of the names of artifacts; other files in the folders are ignored."""
METRICS = ("mse", "hamming", "embedding")
"""Values of `pairs.metric` whose distances are computed again."""
STAGES = ("scan", "thumbnail", "hash", "index", "pairs", "cluster")


@dataclass(frozen=True)
class ArtifactFile:
    """An artifact: its path, and the key, row count and summary in its footer."""

    path: Place
    key: str
    rows: int
    summary: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Return the name for messages: stage/file."""
        return f"{self.path.parent.name}/{self.path.name}"

    def table(self, columns: Sequence[str], whole: bool = False) -> pa.Table:
        """Return the rows of some columns as one table; see `batches`."""
        return pa.Table.from_batches(self.batches(columns, max(1, self.rows), whole))

    def batches(self, columns: Sequence[str], size: int, whole: bool = False) -> Iterator[pa.RecordBatch]:
        """Yield the rows of some columns in batches of at most `size` rows; at least one batch.

        whole  nulls are an error

        Raises:
            ConfigError: the artifact is damaged, by its page checksums or number of rows, or has nulls despite `whole`.
        """
        try:
            with open_parquet(self.path) as file:
                rows = 0
                if not self.rows:
                    yield pa.RecordBatch.from_pylist([], pa.schema([file.schema_arrow.field(name) for name in columns]))
                for batch in file.iter_batches(size, columns=list(columns), use_threads=False):
                    rows += batch.num_rows
                    if whole and any(column.null_count for column in batch.columns):
                        raise ValueError("nulls")
                    yield batch.select(list(columns)).replace_schema_metadata(None)
                if rows != self.rows:
                    raise ValueError("rows")
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            raise damaged(self.path) from error


def files_of(folder: Place, stage: str) -> dict[str, ArtifactFile]:
    """Return the artifacts of a stage by key.

    Raises:
        ConfigError: the stage has no artifact, an artifact is damaged, or two artifacts have the same key."""
    paths = [path for path in listed(folder, stage) if ARTIFACT.fullmatch(path.name)]
    if not paths:
        raise ConfigError(f"{folder} has no {stage} yet; run `fast-diff run` to its end first")
    found: dict[str, ArtifactFile] = {}
    for path in paths:
        file = _file(path)
        if file.key in found:
            raise ConfigError(f"{path} and {found[file.key].path.name} have the same key; run `fast-diff run` again")
        found[file.key] = file
    return found


def _file(path: Place) -> ArtifactFile:
    try:
        metadata = read_footer(path)
        text = metadata.metadata[b"fast-diff"]
        if hashlib.sha256(text).hexdigest().encode() != metadata.metadata[b"fast-diff-digest"]:
            raise ValueError("footer")
        record = json.loads(text)
        if record["rows"] != metadata.num_rows:
            raise ValueError("rows")
        return ArtifactFile(path, record["key"], record["rows"], record["summary"])
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise damaged(path) from error


def damaged(path: Place) -> ConfigError:
    """Return the error for an artifact that can't be read."""
    return ConfigError(f"{path} is damaged; delete the file and run `fast-diff run` again, which makes the file again")


def read_summary(folder: Place) -> dict[str, Any]:
    """Return the content of run.json.

    Raises:
        ConfigError: the run is not finished, or its metric is a function of the user's own."""
    try:
        summary = dict(json.loads(read_bytes(folder / "run.json")))
        metric = summary["config"]["pairs"]["metric"]
        counts = (summary["stages"][stage] for stage in STAGES)
        unfinished = not all(each["tasks_run"] + each["tasks_skipped"] for each in counts)
        failed, counted = summary["failures"], summary["clusters"]["count"] is not None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{folder / 'run.json'} is damaged; run `fast-diff run` again, which rewrites it") from error
    if metric not in METRICS:
        raise ConfigError(
            f"{folder}: verify expected a run with pairs.metric {', '.join(METRICS)}, got {metric}; the distances of a "
            "function of your own can't be computed independently of the function"
        )
    if failed or unfinished or not counted:
        raise ConfigError(f"{folder} is not finished; run `fast-diff run` to its end first")
    return summary
