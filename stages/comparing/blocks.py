"""Prepare one block for comparing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.stage import Artifact, Job, Settings
from stages.comparing.comparison import Comparison
from stages.comparing.folders import rule_folders
from stages.comparing.index_columns import coarse_vectors, groups_turned, hash_columns, identity_columns
from stages.comparing.metrics.compared import BlockImages, Compared
from stages.comparing.metrics.embedding import VECTOR_IDENTITY
from stages.comparing.metrics.kinds import Kind, kind_of
from stages.comparing.references import are_references
from stages.comparing.thumbnails import BlockThumbnails, thumbnail_shape
from stages.kernels.bounds.coarse import Shape
from stages.kernels.bounds.keys import BlockName
from stages.kernels.graph import groups
from stages.kernels.measure.metric import Side
from stages.kernels.measure.turns import COMPARED, OF_SYMMETRY

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class Block:
    """The images of one block, with the numbers that decide which of them are compared.

    table           rows of the index, in path order
    settled         reference images, no two of which are compared, bool (n,); None: no such images
    kind            only images of equal kind are compared, int64 (n,)
    folder          only images of different folders are compared, int64 (n,); None: the rules ignore folders
    hashes          numbers of the hashes in each turn, int64 (n, 4), or (n, 8) with the mirror; None: the rules ignore
                    hashes
    representative  position of the representative of each image, int64 (n,)
    turn            turn to the group's common form, int64 (n,)
    unchanged       bit mask of the turns that leave the image unchanged, uint8 (n,)"""

    def __init__(
        self, table: pa.Table, comparison: Comparison, numbers: Mapping[str, Ints], references: Sequence[str]
    ) -> None:
        self.table, self.comparison = table, comparison
        self.settled = None
        if comparison.references == "skip" and references:
            self.settled = np.asarray(are_references(table["path"], references).to_numpy(), bool)
        zeros = np.zeros(len(table), np.int64)
        self.kind = numbers.get("kind", zeros)
        self.folder = numbers.get("folder") if comparison.folders == "across" else None
        self.hashes = numbers["hashes"] if comparison.same_hash != "compare" else None
        self.representative = np.arange(len(table))
        if comparison.identical == "group":
            keys = [numbers["identity"], self.kind, *(self.hashes.T if self.hashes is not None else ())]
            keys += [] if self.settled is None else [self.settled.astype(np.int64)]
            keys += [] if self.folder is None else [self.folder]
            self.representative = groups.representatives(np.stack(keys, axis=1))
        self.turn, self.unchanged = zeros, np.ones(len(table), np.uint8)
        if groups_turned(comparison) and comparison.identical == "group":
            self.turn, kept = self.ints("turn"), self.ints(identity_columns(comparison)[-1])
            self.unchanged = kept.astype(np.uint8) if comparison.mirror else OF_SYMMETRY[kept]

    def ungroup(self) -> Ints:
        """Make every image its own representative; return the previous representatives.

        A distance that is not symmetric depends on which image comes first, so no image can represent another image."""
        before, self.representative = self.representative, np.arange(len(self.table))
        return before

    def ints(self, name: str) -> Ints:
        """Return a column as int64."""
        return np.asarray(self.table[name].to_numpy(), np.int64)

    @property
    def representatives(self) -> Ints:
        """Return the positions of the representatives, int64."""
        return np.flatnonzero(self.representative == np.arange(len(self.table)))

    def side(self, job: Job, index: Artifact, kind: Kind, idle: bool = False) -> Side:
        """Return the representatives as one side of a block pair, for the kernels.

        idle  whether no pair is compared; then neither thumbnails nor vectors are read"""
        chosen, shape = self.representatives, thumbnail_shape(job.settings)
        everyone = len(chosen) == len(self.table)
        rows = self.table if everyone else self.table.take(pa.array(chosen))
        partition, row = (np.asarray(rows[name].to_numpy(), np.int32) for name in ("partition", "row"))
        thumbnails = BlockThumbnails(job, shape, index.summary["parts"], partition, row, rows["identity"])

        def vectors() -> Floats:
            whole = coarse_vectors(index, shape, self.comparison.exposure == "ignore")
            return whole if everyone else whole[chosen]

        def column(name: str) -> pa.ChunkedArray:
            whole = index.table([name])[name]
            return whole if everyone else whole.take(pa.array(chosen))

        name = self._name(index, shape)
        if idle:
            compared = Compared(np.empty((len(chosen), 0), np.float32), thumbnails)
        else:
            compared = kind.compared(BlockImages(rows, thumbnails, vectors, column, name))
        self.table = self.table.select(["path"])  # the other columns are large and not needed again
        return Side(
            compared.vectors,
            np.bincount(self.representative, minlength=len(self.table))[chosen],
            self.kind[chosen],
            None if self.hashes is None else self.hashes[chosen][:, COMPARED[self.comparison.turns]],
            compared.points,
            None if self.settled is None else self.settled[chosen],
            None if self.folder is None else self.folder[chosen],
            name,
        )

    def _name(self, index: Artifact, shape: Shape) -> BlockName:
        """Return a name of the vectors of the block's representatives."""
        read = tuple(index.content[name] for name in kind_of(self.comparison).columns(self.comparison))
        chosen = hashlib.blake2b(self.representatives.tobytes(), digest_size=16).digest()
        return BlockName((self.comparison, shape), (read, chosen))


def rule_inputs(comparison: Comparison, settings: Settings) -> tuple[Sequence[str], Sequence[str]]:
    """Return the inputs that the rules read: roots of reference images, and roots of all images.

    Roots that no rule reads are left out."""
    references = settings("inputs.reference") if comparison.references == "skip" else ()
    return references, (*settings("inputs.a"), *settings("inputs.b")) if comparison.folders != "any" else ()


def ruled_out(a: Block, b: Block) -> bool:
    """Return whether the rules exclude every pair of an image of a with an image of b."""
    if a.settled is not None and b.settled is not None and a.settled.all() and b.settled.all():
        return True
    if a.folder is not None and b.folder is not None and len(np.union1d(a.folder, b.folder)) < 2:
        return True
    return not len(np.intersect1d(a.kind, b.kind))


def read_blocks(
    tables: Sequence[pa.Table], comparison: Comparison, references: Sequence[str] = (), roots: Sequence[str] = ()
) -> list[Block]:
    """Return the blocks of index tables; equal strings get equal numbers in all blocks.

    references  roots of `inputs.reference`
    roots       roots of all images, for `pairs.folders`"""
    numbered: list[dict[str, Ints]] = [{} for _ in tables]
    if comparison.same != "any":
        for numbers, table in zip(numbered, tables, strict=True):
            width, height = (np.asarray(table[name].to_numpy(), np.int64) for name in ("width", "height"))
            numbers["kind"] = groups.aspect_classes(width, height, comparison.same, comparison.rotations)
    if comparison.folders != "any":
        folders = [rule_folders(table["path"], roots, comparison.folder_depth) for table in tables]
        for numbers, codes in zip(
            numbered, _codes([pa.table({"folder": each}) for each in folders], ["folder"]), strict=True
        ):
            numbers["folder"] = codes[:, 0]
    if comparison.folders == "within":
        rows = [np.stack([each.get("kind", each["folder"]), each["folder"]], axis=1) for each in numbered]
        _, kinds = np.unique(np.concatenate(rows), axis=0, return_inverse=True)
        ends = np.cumsum([len(each) for each in rows])[:-1]
        for numbers, kind in zip(numbered, np.split(kinds.reshape(-1).astype(np.int64), ends), strict=True):
            numbers["kind"] = kind
    if comparison.metric == "embedding":
        _exclude_without_vector(numbered, tables)
    if comparison.identical == "group":
        for numbers, table in zip(numbered, tables, strict=True):  # groups never span blocks
            numbers["identity"] = _codes_within(table[identity_columns(comparison)[0]])
    if comparison.same_hash != "compare":
        for numbers, codes in zip(numbered, _codes(tables, hash_columns(comparison)), strict=True):
            numbers["hashes"] = codes
    return [Block(table, comparison, numbers, references) for table, numbers in zip(tables, numbered, strict=True)]


def _exclude_without_vector(numbered: Sequence[dict[str, Ints]], tables: Sequence[pa.Table]) -> None:
    """Give each image without a vector its own kind: such an image is not compared."""
    excluded = 0
    for numbers, table in zip(numbered, tables, strict=True):
        missing = np.flatnonzero(np.asarray(pc.equal(table[VECTOR_IDENTITY], "").to_numpy(), np.bool_))
        if len(missing):
            kind = numbers.get("kind", np.zeros(len(table), np.int64)).copy()
            kind[missing] = -1 - excluded - np.arange(len(missing))
            numbers["kind"] = kind
            excluded += len(missing)


def _codes_within(strings: pa.ChunkedArray) -> Ints:
    """Return a number for each string, equal for equal strings of one column, int64 (n,)."""
    column = strings.combine_chunks()
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    return np.asarray(encoded.indices.to_numpy(), np.int64)


def _codes(tables: Sequence[pa.Table], names: Sequence[str]) -> list[Ints]:
    """Number the strings of the columns `names`: int64 (rows, names) for each table.

    Equal strings have equal numbers, across columns and tables."""
    chunks = [table[name].combine_chunks() for table in tables for name in names]
    flat = np.asarray(pa.concat_arrays(chunks).dictionary_encode().indices.to_numpy(), np.int64)
    ends = np.cumsum([len(chunk) for chunk in chunks])
    pieces = np.split(flat, ends[:-1])
    width = len(names)
    return [np.stack(pieces[n * width : (n + 1) * width], axis=1) for n in range(len(tables))]
