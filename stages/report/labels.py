"""Compute the recall at each threshold, from labels of known duplicates.

Labels are a CSV or Parquet file with the columns `path` and `label`, or a column of the scan. Images with equal labels
are duplicates of each other. Paths in a file may be relative to the folder of the file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.stage import Inputs, Settings
from stages.clustering.matches import Graph
from stages.comparing.user_tables import read_rows, read_unchanged
from stages.listing.urls import is_url
from stages.report.reads import label_column

COLUMNS = ("path", "label")
Doubles = NDArray[np.float64]


class Recall(NamedTuple):
    """The recall of a run.

    pairs      number of pairs of images with equal labels
    distances  distances at which the recall rises, float64 (n,), ascending
    share      recall up to each distance, 0 to 1, float64 (n,)
    false      number of matches of images with different labels
    unknown    number of labelled paths without a readable image"""

    pairs: int
    distances: Doubles
    share: Doubles
    false: int
    unknown: int


def read(file: str) -> dict[str, str]:
    """Return labels by absolute path.

    Raises:
        ValueError: the file is not CSV or Parquet, or lacks a column.
        OSError: the file can't be read."""
    path = Path(file)
    rows = read_rows(path, COLUMNS)
    return {_absolute(path.parent, name): label for name, label in rows if name and label}


def problems(source: str | None, settings: Settings) -> Iterator[str]:
    """Yield a message if labels can't be read.

    source  value of `plot.labels`"""
    name = label_column(source)
    if name is not None and name not in settings("scan.columns"):
        yield f"plot.labels: {name} is not in scan.columns; add it there, or name a file"
    try:
        read(source) if source and name is None else None
    except OSError as error:
        yield f"plot.labels: {source} can't be read ({error.strerror})"
    except ValueError as error:
        yield f"plot.labels: {error}"


def of_column(inputs: Inputs, name: str) -> dict[str, str]:
    """Return labels by path from a column of the scan; images without a label are left out."""
    found: dict[str, str] = {}
    for artifact in inputs.of("scan"):
        rows = artifact.table(["path", name])
        pairs = zip(rows["path"].to_pylist(), rows[name].to_pylist(), strict=True)
        found |= {path: label for path, label in pairs if label}
    return found


def _absolute(folder: Path, name: str) -> str:
    return name if is_url(name) else os.path.normpath(folder / name)


def digest_of(labels: Mapping[str, str]) -> str:
    """Return a digest of labels that does not depend on their order."""
    return hashlib.sha256(repr(sorted(labels.items())).encode()).hexdigest()


def unchanged(file: str, expected: object) -> dict[str, str]:
    """Return the labels in a file, if the labels are unchanged since the run was planned.

    expected  digest of the labels in the task's spec

    Raises:
        TaskError: the labels changed, or can't be read."""
    return read_unchanged("plot.labels", lambda: read(file), digest_of, expected)


def sets(inputs: Inputs, known: Mapping[str, str]) -> tuple[dict[str, str], bool]:
    """Return the set of each readable labelled image, and whether there are two sets."""
    found: dict[str, str] = {}
    names: set[str] = set()
    for artifact in inputs.of("thumbnail"):
        rows = artifact.table(["path", "set", "error"])
        rows = rows.filter(pc.is_null(rows["error"]))
        names.update(pc.unique(rows["set"]).to_pylist())
        pairs = zip(rows["path"].to_pylist(), rows["set"].to_pylist(), strict=True)
        found |= {path: name for path, name in pairs if path in known}
    return found, names == {"a", "b"}


def recall(graph: Graph, labels: Mapping[str, str], sets: Mapping[str, str], two: bool) -> Recall:
    """Return the recall of the matches in `graph`.

    sets  the set of each readable labelled image, by path
    two   whether the run has two sets, so that only pairs across sets are compared"""
    from scipy.sparse import csr_array

    known = [path for path in labels if path in sets]
    encoded = pa.array([labels[path] for path in known], pa.string()).dictionary_encode()
    kinds, kind = encoded.dictionary, encoded.indices.to_numpy()
    groups = graph.groups({})
    node = {path: number for number, path in enumerate(graph.paths.to_pylist())}
    alone = len(node)  # images without a match are separate nodes
    nodes = [int(groups.representative[node[path]]) if path in node else alone + n for n, path in enumerate(known)]
    second = np.array([sets[path] == "b" for path in known], bool)
    shape = (alone + len(known), max(1, len(kinds)))

    def counted(rows: NDArray[np.bool_]) -> csr_array:
        """Return the number of images that each node represents, by label, among the labelled images `rows`."""
        places = (np.array(nodes, np.int64)[rows], kind[rows])
        return csr_array((np.ones(int(rows.sum())), places), shape=shape)

    first, other = (counted(~second), counted(second)) if two else (counted(np.ones(len(known), bool)),) * 2

    def between(a: NDArray[np.int64], b: NDArray[np.int64]) -> tuple[Doubles, Doubles]:
        """Return, for each pair of nodes, the number of image pairs with equal labels and the number of image pairs."""
        ways = [(a, b), (b, a)] if two else [(a, b)]
        same = sum(np.asarray(first[x].multiply(other[y]).sum(axis=1)).ravel() for x, y in ways)
        all_ = sum(np.asarray(first[x].sum(axis=1) * other[y].sum(axis=1)).ravel() for x, y in ways)
        return np.asarray(same, float), np.asarray(all_, float)

    inside = np.unique(groups.representative)
    same_in, all_in = between(inside, inside)
    if two:
        same_in, all_in = same_in / 2, all_in / 2
    else:
        images = np.asarray(first[inside].sum(axis=1)).ravel()
        same_in, all_in = (same_in - images) / 2, (all_in - images) / 2
    same, all_ = between(groups.a, groups.b)
    per_label = [np.asarray(each.sum(axis=0)).ravel() for each in (first, other)]
    total = int((per_label[0] * per_label[1]).sum() if two else (per_label[0] * (per_label[0] - 1)).sum() / 2)
    at = np.concatenate([np.zeros(len(inside)), groups.distance])
    found = np.concatenate([same_in, same])
    distances, place = np.unique(at[found > 0], return_inverse=True)
    steps = np.bincount(place, weights=found[found > 0], minlength=len(distances))
    false = int(all_in.sum() + all_.sum() - found.sum())
    return Recall(total, distances, np.cumsum(steps) / max(1, total), false, len(labels) - len(known))
