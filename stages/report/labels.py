"""How many of the pairs that are known to be duplicates were found, at each threshold.

Labels are a CSV or Parquet file with the columns `path` and `label`: images of one label are duplicates of each other.
Paths may be relative to that file's folder."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.messages.errors import TaskError
from pipeline.stage import Inputs
from stages.clustering.matches import Graph
from stages.listing.urls import is_url

COLUMNS = ("path", "label")
Doubles = NDArray[np.float64]


class Recall(NamedTuple):
    """Of `pairs` that should match, the share that does at `distances`, float64 (n,), ascending, and beyond each up to
    the next. `false`: matches of images that have different labels; `unknown`: labelled paths of no image."""

    pairs: int
    distances: Doubles
    share: Doubles
    false: int
    unknown: int


def read(file: str) -> dict[str, str]:
    """Labels by absolute path. Raises ValueError, OSError."""
    path = Path(file)
    try:
        if path.suffix == ".parquet":
            with path.open("rb") as opened:
                table = pq.read_table(opened, columns=list(COLUMNS))
            rows = list(zip(*(table[name].cast(pa.string()).to_pylist() for name in COLUMNS), strict=True))
        else:
            with path.open(encoding="utf-8-sig", newline="") as text:
                reader = csv.DictReader(text, strict=True)
                if not set(COLUMNS) <= set(reader.fieldnames or ()):
                    raise KeyError("columns")
                rows = [(row[COLUMNS[0]], row[COLUMNS[1]]) for row in reader]
    except (KeyError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise ValueError(f"{path}: expected CSV or Parquet with the columns {', '.join(COLUMNS)}") from error
    return {_absolute(path.parent, name): label for name, label in rows if name and label}


def _absolute(folder: Path, name: str) -> str:
    return name if is_url(name) else os.path.normpath(folder / name)


def mark(labels: Mapping[str, str]) -> str:
    """A digest of them, which their order does not change."""
    return hashlib.sha256(repr(sorted(labels.items())).encode()).hexdigest()


def unchanged(file: str, told: object) -> dict[str, str]:
    """The labels in a file, which are those that a task was told of. Raises TaskError where they are not."""
    try:
        found = read(file)
    except (ValueError, OSError) as error:
        raise TaskError(f"plot.labels: {error}") from error
    if mark(found) != told:
        raise TaskError("plot.labels: the file was changed while the run was under way; run the same command again")
    return found


def sets(inputs: Inputs, known: Mapping[str, str]) -> tuple[dict[str, str], bool]:
    """The set of each readable image of `known` paths, and whether the run has two sets."""
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
    """Of the matches in `graph`. `sets`: the set of each labelled image that could be read, by path; of `two` sets only
    pairs of one image each are compared."""
    from scipy.sparse import csr_array

    known = [path for path in labels if path in sets]
    encoded = pa.array([labels[path] for path in known], pa.string()).dictionary_encode()
    kinds, kind = encoded.dictionary, encoded.indices.to_numpy()
    groups = graph.groups({})
    node = {path: number for number, path in enumerate(graph.paths.to_pylist())}
    alone = len(node)  # images without a match are nodes of their own
    stands = [int(groups.stands[node[path]]) if path in node else alone + n for n, path in enumerate(known)]
    second = np.array([sets[path] == "b" for path in known], bool)
    shape = (alone + len(known), max(1, len(kinds)))

    def counted(rows: NDArray[np.bool_]) -> csr_array:
        """How many images of each label a node stands for."""
        places = (np.array(stands, np.int64)[rows], kind[rows])
        return csr_array((np.ones(int(rows.sum())), places), shape=shape)

    first, other = (counted(~second), counted(second)) if two else (counted(np.ones(len(known), bool)),) * 2

    def between(a: NDArray[np.int64], b: NDArray[np.int64]) -> tuple[Doubles, Doubles]:
        """Pairs of labelled images for which each pair of nodes stands: of one label, and of any."""
        ways = [(a, b), (b, a)] if two else [(a, b)]
        same = sum(np.asarray(first[x].multiply(other[y]).sum(axis=1)).ravel() for x, y in ways)
        all_ = sum(np.asarray(first[x].sum(axis=1) * other[y].sum(axis=1)).ravel() for x, y in ways)
        return np.asarray(same, float), np.asarray(all_, float)

    inside = np.unique(groups.stands)
    same_in, all_in = between(inside, inside)
    if two:
        same_in, all_in = same_in / 2, all_in / 2
    else:
        images = np.asarray(first[inside].sum(axis=1)).ravel()
        same_in, all_in = (same_in - images) / 2, (all_in - images) / 2
    same, all_ = between(groups.a, groups.b)
    per_label = [np.asarray(each.sum(axis=0)).ravel() for each in (first, other)]
    total = int((per_label[0] * per_label[1]).sum() if two else (per_label[0] * (per_label[0] - 1)).sum() / 2)
    far = np.concatenate([np.zeros(len(inside)), groups.distance])
    found = np.concatenate([same_in, same])
    distances, place = np.unique(far[found > 0], return_inverse=True)
    steps = np.bincount(place, weights=found[found > 0], minlength=len(distances))
    false = int(all_in.sum() + all_.sum() - found.sum())
    return Recall(total, distances, np.cumsum(steps) / max(1, total), false, len(labels) - len(known))
