"""One block as the pairs stage sees it: the rules' classes, numbers for hashes, and who stands for whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.stage import Artifact, Job
from stages.comparing.comparison import Comparison
from stages.comparing.kept import Kept
from stages.comparing.metrics.compared import Images
from stages.comparing.metrics.hamming import HASHES
from stages.comparing.metrics.kinds import Kind, kind_of
from stages.comparing.references import are_references
from stages.comparing.thumbnails import BlockThumbnails, thumbnail_shape
from stages.kernels.bounds import coarse
from stages.kernels.bounds.coarse import Shape
from stages.kernels.graph import groups
from stages.kernels.measure.metric import Side

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

INDEXES = 128 << 20
"""Bytes that a process keeps of the indexes of the blocks compared last: tables, and vectors made of coarse sums."""
COARSE = "coarse"

_kept: Kept[Any] = Kept(INDEXES)
"""By what tells them: names of columns and the digests of their content."""


def index_table(artifact: Artifact, comparison: Comparison) -> pa.Table:
    """The columns of a block's index that these parameters need, but for the coarse sums; read anew only if another
    block came between."""
    columns, content = [name for name in index_columns(comparison) if name != COARSE], artifact.content
    told = tuple((name, content[name]) for name in columns)
    table = _kept.get(told)
    if table is None:
        table = artifact.table(columns)
        _kept.put(told, table, table.nbytes)
    return table


def coarse_vectors(artifact: Artifact, shape: Shape) -> Floats:
    """Vectors of a block's coarse sums, float32 (n, d); made anew only if another block came between."""
    told = COARSE, artifact.content[COARSE], shape
    vectors = _kept.get(told)
    if vectors is None:
        sums = artifact.table([COARSE])[COARSE].combine_chunks().flatten().to_numpy()
        vectors = coarse.vectors(sums.reshape(-1, coarse.length(shape)), shape)
        _kept.put(told, vectors, vectors.nbytes)
    return vectors


def index_columns(comparison: Comparison) -> list[str]:
    """Columns of the index that these parameters need."""
    wanted = ["path", "partition", "row", "identity", *kind_of(comparison).columns(comparison)]
    wanted += ["width", "height"] if comparison.same != "any" else []
    wanted += HASHES if comparison.same_hash != "compare" else ()
    wanted += [*_identity(comparison)] if comparison.identical == "group" else ()
    return list(dict.fromkeys(wanted))


def _turned_alike(comparison: Comparison) -> bool:
    """Whether one image may stand for turned copies of itself."""
    return comparison.rotations and kind_of(comparison).turns_alike


def _identity(comparison: Comparison) -> tuple[str, ...]:
    return ("identity_turned", "turn", "symmetry") if _turned_alike(comparison) else ("identity",)


class Block:
    """One block: its table, the numbers of its hashes, its rules' classes and its groups."""

    def __init__(
        self, table: pa.Table, comparison: Comparison, numbers: Mapping[str, Ints], references: Sequence[str]
    ) -> None:
        self.table, self.comparison = table, comparison
        self.settled = None
        if comparison.references == "skip" and references:
            self.settled = np.asarray(are_references(table["path"], references).to_numpy(), bool)
        zeros = np.zeros(len(table), np.int64)
        self.kind = zeros
        if comparison.same != "any":
            self.kind = groups.aspect_classes(
                self.ints("width"), self.ints("height"), comparison.same, comparison.rotations
            )
        self.hashes = numbers["hashes"] if comparison.same_hash != "compare" else None
        self.representative = np.arange(len(table))
        if comparison.identical == "group":
            keys = [numbers["identity"], self.kind, *(self.hashes.T if self.hashes is not None else ())]
            keys += [] if self.settled is None else [self.settled.astype(np.int64)]
            self.representative = groups.representatives(np.stack(keys, axis=1))
        turned = _turned_alike(comparison) and comparison.identical == "group"
        self.turn = self.ints("turn") if turned else zeros
        self.symmetry = self.ints("symmetry") if turned else zeros + 1

    def apart(self) -> Ints:
        """Let every image stand for itself, since a and b may be further apart than b and a, and who comes first in a
        pair then matters; returns who stood for it."""
        stood, self.representative = self.representative, np.arange(len(self.table))
        return stood

    def ints(self, name: str) -> Ints:
        """A column as int64."""
        return np.asarray(self.table[name].to_numpy(), np.int64)

    @property
    def standing(self) -> Ints:
        """Positions of the representatives."""
        return np.flatnonzero(self.representative == np.arange(len(self.table)))

    def side(self, job: Job, index: Artifact, kind: Kind) -> Side:
        """What the kernel compares: the representatives."""
        standing, shape = self.standing, thumbnail_shape(job.settings)
        everyone = len(standing) == len(self.table)
        rows = self.table if everyone else self.table.take(pa.array(standing))
        partition, row = (np.asarray(rows[name].to_numpy(), np.int32) for name in ("partition", "row"))
        thumbnails = BlockThumbnails(job, shape, index.summary["parts"], partition, row, rows["identity"])

        def vectors() -> Floats:
            whole = coarse_vectors(index, shape)
            return whole if everyone else whole[standing]

        compared = kind.compared(Images(rows, thumbnails, vectors))
        self.table = self.table.select(["path"])  # the rest is large, and not needed again
        return Side(
            compared.vectors,
            np.bincount(self.representative, minlength=len(self.table))[standing],
            self.kind[standing],
            None if self.hashes is None else self.hashes[standing],
            compared.points,
            None if self.settled is None else self.settled[standing],
        )


def read_blocks(tables: Sequence[pa.Table], comparison: Comparison, references: Sequence[str] = ()) -> list[Block]:
    """Blocks of index tables, with strings numbered alike in all of them; `references`: `inputs.reference`."""
    numbered: list[dict[str, Ints]] = [{} for _ in tables]
    if comparison.identical == "group":
        for numbers, codes in zip(numbered, _codes(tables, [_identity(comparison)[0]]), strict=True):
            numbers["identity"] = codes[:, 0]
    if comparison.same_hash != "compare":
        for numbers, codes in zip(numbered, _codes(tables, HASHES), strict=True):
            numbers["hashes"] = codes
    return [Block(table, comparison, numbers, references) for table, numbers in zip(tables, numbered, strict=True)]


def _codes(tables: Sequence[pa.Table], names: Sequence[str]) -> list[Ints]:
    """Numbers for strings, equal where these are, int64 (rows, names) for each table."""
    chunks = [table[name].combine_chunks() for table in tables for name in names]
    flat = np.asarray(pa.concat_arrays(chunks).dictionary_encode().indices.to_numpy(), np.int64)
    ends = np.cumsum([len(chunk) for chunk in chunks])
    pieces = np.split(flat, ends[:-1])
    width = len(names)
    return [np.stack(pieces[n * width : (n + 1) * width], axis=1) for n in range(len(tables))]
