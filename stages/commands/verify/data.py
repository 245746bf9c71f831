"""Read the artifacts of a run as plain arrays for `verify`.

No code of the stages or their kernels is used: the Parquet files are read as any user can read them. Distances are
computed with NumPy, for thumbnails on 64-bit integers and for vectors in float64. So `verify` can't repeat an error of
the stages or kernels."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.messages.errors import ConfigError
from pipeline.store.backends.locations import Place
from stages.commands.verify.distances import (
    Bytes,
    Ints,
    Rules,
    below,
    digests,
    folder_of,
    identities,
    kinds,
    sums_of_squares,
)
from stages.commands.verify.files import STAGES, ArtifactFile, damaged, files_of, read_summary
from stages.commands.verify.tables import Images, Rows
from stages.commands.verify.vectors import HASHES, Vectors, embedded, hashed

GATHER = 128 << 20
"""Bytes of thumbnails in memory for a batch of pairs; the cache of partitions holds about as many bytes."""


class Recorded:
    """The artifacts of a finished run.

    step  is called with the name of each finished step, for progress

    Raises:
        ConfigError: artifacts are damaged, missing, or left over from another run."""

    def __init__(self, folder: Place, step: Callable[[str], None]) -> None:
        self.folder, self.step = folder, step
        self.summary = read_summary(folder)
        self.config: dict[str, Any] = self.summary["config"]
        self.two_sets = bool(self.config["inputs"]["b"])
        files = {stage: files_of(folder, stage) for stage in STAGES}
        self.scans, self._hash_files = list(files["scan"].values()), files["hash"]
        self.metric = self.config["pairs"]["metric"]
        self._vector_files = list(files_of(folder, "embed").values()) if self.metric == "embedding" else []
        self.vectors: Vectors | None = None  # set with `images`, except for metric mse
        (self.clusters,) = files["cluster"].values()
        for stage in ("thumbnail", "hash"):
            self._same_keys(stage, files["scan"].keys(), files[stage].keys())
        thumbnails = files["thumbnail"].items()
        first = {key: next(file.batches(["path"], 1)).column(0)[0].as_py().encode() for key, file in thumbnails}
        self.parts = [file for _, file in sorted(thumbnails, key=lambda item: (item[0][:2], first[item[0]]))]
        self.blocks = [part.key for part in self.parts if part.key in files["index"]]
        self._same_keys("index", self.blocks, files["index"].keys())
        self.pairs = self._block_pairs(files["pairs"])

    def _same_keys(self, stage: str, expected: Collection[str], found: Collection[str]) -> None:
        odd = sorted(set(expected) ^ set(found))
        if odd:
            raise ConfigError(f"{self.folder}: {stage}/{odd[0]} is missing, or left over; run `fast-diff run` again")

    def _block_pairs(self, files: Mapping[str, ArtifactFile]) -> dict[tuple[int, int], ArtifactFile]:
        a = [number for number, key in enumerate(self.blocks) if key.startswith("a-")]
        b = [number for number, key in enumerate(self.blocks) if key.startswith("b-")]
        wanted = [(i, j) for i in a for j in b] if self.two_sets else [(i, j) for i in a for j in a if i <= j]
        keys = {f"{self.blocks[i]}.{self.blocks[j]}": (i, j) for i, j in wanted}
        self._same_keys("pairs", keys, files.keys())
        return {place: files[key] for key, place in keys.items()}

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Return the height, width and channels of a thumbnail."""
        width, height = self.config["thumbnail"]["size"]
        size = next(self.parts[0].batches(["thumbnail"], 1)).schema.field(0).type.byte_width
        return height, width, size // (height * width)

    @property
    def zero_mean(self) -> bool:
        """Return whether `pairs.exposure` is ignore."""
        return bool(self.config["pairs"].get("exposure") == "ignore")

    @property
    def mse_divisor(self) -> int:
        """Return the number by which a result of `sums_of_squares` is divided to give an MSE."""
        height, width, channels = self.shape
        pixels = height * width
        divisor = pixels * channels if self.config["pairs"]["normalize"] == "value" else pixels
        return divisor * pixels if self.zero_mean else divisor

    @cached_property
    def rules(self) -> Rules:
        """Return the rules by which pairs were compared."""
        pairs = self.config["pairs"]
        turns: tuple[int, ...] = (0, 1, 2, 3) if pairs["rotations"] else (0,)
        turns += tuple(turn + 4 for turn in turns if pairs.get("mirror"))
        return Rules(
            pairs["threshold"],
            turns,
            self.mse_divisor if self.metric == "mse" else 1,
            pairs["same"],
            pairs["same_hash"],
            pairs["identical"] == "group",
            self.metric != "mse" and len(turns) > 1,
            tuple(self.config["inputs"]["reference"]) if pairs.get("references") == "skip" else (),
            pairs.get("folders", "any"),
            pairs.get("folder_depth", 1),
            (*self.config["inputs"]["a"], *self.config["inputs"]["b"]),
        )

    @cached_property
    def images(self) -> Images:
        """Return all readable images; the first access reads every partition of thumbnails."""
        tables: list[pa.Table] = []
        digested: list[NDArray[np.uint64]] = []
        identity: list[NDArray[np.uint64]] = []
        for number, part in enumerate(self.parts):
            table = part.table(["path", "width", "height", "bytes", "error"])
            table = table.filter(pc.is_null(table["error"]))
            names = HASHES if self.config["pairs"].get("mirror") else HASHES[:4]
            hashes = self._hash_files[part.key].table(["path", *names])
            if table["path"].to_pylist() != hashes["path"].to_pylist():
                raise ConfigError(f"thumbnail/{part.key} and hash/{part.key} have different images; delete both")
            if self.rules.same_hash == "compare":
                digested.append(np.zeros((len(table), len(names)), np.uint64))
            else:
                texts = ((text.encode() for text in hashes[name].to_pylist()) for name in names)
                digested.append(np.stack([digests(each) for each in texts], axis=1))
            tables.append(table.append_column("partition", pa.array(np.full(len(table), number))))
            if self.rules.grouped and self.metric != "embedding":
                turns = self.rules.turns if self.metric == "mse" else (0,)
                identity.append(identities(self.thumbnails_of(number), turns))
            self.step("images")
        table, hashes = pa.concat_tables(tables), np.concatenate(digested)
        return self._images(table, hashes, np.concatenate(identity) if identity else np.arange(len(table)))

    def _images(self, table: pa.Table, hashes: NDArray[np.uint64], identity: NDArray[Any]) -> Images:
        paths = table["path"].combine_chunks()
        width, height, file_size, partition = (
            np.asarray(table[name].to_numpy(), np.int64) for name in ("width", "height", "bytes", "partition")
        )
        in_b = np.array([part.key.startswith("b-") for part in self.parts])[partition]
        closes = np.array([part.key in self.blocks for part in self.parts])
        block = (np.cumsum(closes) - closes)[partition]
        kind = kinds(width, height, self.rules)
        if self.metric == "embedding":
            cosine = self.config["pairs"]["embedding_distance"] == "cosine"
            self.vectors = embedded(self._vector_files, paths, self.rules.turns, cosine)
            identity = self.vectors.identity if self.rules.grouped else identity
        elif self.metric == "hamming":
            self.vectors = hashed([self._hash_files[part.key] for part in self.parts], self.rules.turns)
        settled = np.array([below(path, self.rules.settled) for path in paths.to_pylist()], np.bool_)
        folder = np.full(len(table), -1)
        if self.rules.folders != "any":
            folder = pd.factorize(np.array([folder_of(path, self.rules) for path in paths.to_pylist()], object))[0]
        if self.rules.folders == "within":
            kind = np.unique(np.stack([kind, folder]), axis=1, return_inverse=True)[1].reshape(-1)
            folder = np.full(len(table), -1)
        if self.vectors is not None:  # an image without a vector is compared with no image
            kind = np.where(self.vectors.present, kind, -1 - np.arange(len(table)))
        alike = pd.DataFrame(hashes).assign(block=block, identity=identity, kind=kind, settled=settled, folder=folder)
        groups = pd.Series(np.arange(len(table))).groupby([alike[name] for name in alike], sort=False)
        first, place = (np.asarray(values, np.int64) for values in (groups.transform("min"), groups.cumcount()))
        sizes = np.bincount(first, minlength=len(table))[first]
        return Images(
            paths, width, height, file_size, in_b, partition, block, kind, settled, folder, hashes, first, place, sizes
        )

    def numbers_of(self, part: int) -> Ints:
        """Return the numbers of the images of a partition, which are consecutive."""
        return np.arange(*np.searchsorted(self.images.partition, [part, part + 1]))

    def block(self, number: int) -> Ints:
        """Return the numbers of the images of a block, which are consecutive."""
        return np.arange(*np.searchsorted(self.images.block, [number, number + 1]))

    @cached_property
    def thumbnails_of(self) -> Callable[[int], Bytes]:
        """Return a cached function from a partition's number to the partition's thumbnails, uint8 (m, H, W, C)."""
        size = int(np.prod(self.shape)) * max(part.rows for part in self.parts)
        return lru_cache(maxsize=max(1, GATHER // size))(self._read_thumbnails)

    def _read_thumbnails(self, number: int) -> Bytes:
        table = self.parts[number].table(["thumbnail", "error"])
        values = table.filter(pc.is_null(table["error"]))["thumbnail"].to_pylist()
        if None in values:
            raise damaged(self.parts[number].path)
        return np.frombuffer(b"".join(values), np.uint8).reshape(-1, *self.shape)

    def thumbnails(self, numbers: Ints) -> Bytes:
        """Return the thumbnails of images, uint8 (m, H, W, C).

        numbers  numbers of the images, int64 (m,)"""
        out = np.empty((len(numbers), *self.shape), np.uint8)
        partition = self.images.partition[numbers]
        for part in np.unique(partition).tolist():
            wanted = partition == part
            out[wanted] = self.thumbnails_of(part)[numbers[wanted] - self.numbers_of(part)[0]]
        return out

    @property
    def pairs_at_once(self) -> int:
        """Return the number of pairs whose thumbnails are in memory at the same time."""
        return max(1, GATHER // (2 * int(np.prod(self.shape))))

    def measure(self, a: Ints, b: Ints) -> tuple[NDArray[Any], Ints]:
        """Return the least distance of each pair, times `Rules.divisor`, and the turns that attain it, as bits."""
        return self.measure_thumbnails(a, b) if self.vectors is None else self.vectors.least(a, b)

    def measure_thumbnails(self, a: Ints, b: Ints) -> tuple[Ints, Ints]:
        """Return the least sum of squares of each pair over turns of b, and the turns that attain it, as bits."""
        least, bits = np.empty(len(a), np.int64), np.empty(len(a), np.int64)
        for start in range(0, len(a), self.pairs_at_once):
            part = slice(start, start + self.pairs_at_once)
            numbers, places = np.unique(np.concatenate([a[part], b[part]]), return_inverse=True)
            held = self.thumbnails(numbers)
            of_a, of_b = np.split(places.reshape(-1), 2)
            sums = {turn: sums_of_squares(held, of_a, of_b, turn, self.zero_mean) for turn in self.rules.turns}
            least[part] = np.min(list(sums.values()), axis=0)
            bits[part] = sum((each == least[part]).astype(np.int64) << turn for turn, each in sums.items())
        return least, bits

    def rows(self, place: tuple[int, int]) -> Iterator[Rows]:
        """Yield the rows of a block pair's artifact in batches."""
        column = "mse" if self.metric == "mse" else "distance"
        columns = ["path_a", "path_b", column, "rotation", "turns", "measured"]
        columns += ["mirrored"] if self.config["pairs"].get("mirror") else []
        for batch in self.pairs[place].batches(columns, self.pairs_at_once, whole=True):
            if batch.num_rows:
                a = self._numbers(place[0], batch.column("path_a"))
                b = self._numbers(place[1], batch.column("path_b"))
                mse, measured = (batch.column(name).to_numpy(zero_copy_only=False) for name in (column, "measured"))
                yield Rows(batch, a, b, mse, measured)

    def _numbers(self, block: int, paths: pa.Array) -> Ints:
        """Return the number of the image with each path in a block; -1 for a path that is not in the block."""
        first, end = np.searchsorted(self.images.block, [block, block + 1]).tolist()
        found = pc.index_in(paths, value_set=self.images.paths[first:end])
        return np.asarray(pc.add(found, first).fill_null(-1).to_numpy(zero_copy_only=False), np.int64)

    def find(self, a: Ints, b: Ints) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the recorded distance of pairs of representatives, and which distances were measured.

        The distance of a pair without a row is nan."""
        wanted, inverse = np.unique(a * len(self.images) + b, return_inverse=True)
        mse, measured = np.full(len(wanted), np.nan), np.zeros(len(wanted), bool)
        blocks = np.stack([self.images.block[a], self.images.block[b]], axis=1)
        for i, j in np.unique(blocks, axis=0).tolist():
            for rows in self.rows((i, j)) if (i, j) in self.pairs else ():
                keys = rows.a * len(self.images) + rows.b
                known = np.isin(keys, wanted) & (rows.a >= 0) & (rows.b >= 0)
                places = np.searchsorted(wanted, keys[known])
                mse[places], measured[places] = rows.mse[known], rows.measured[known]
        return mse[inverse.reshape(-1)], measured[inverse.reshape(-1)]
