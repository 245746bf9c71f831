"""Read the results of a run as pandas DataFrames.

Use `from pipeline import load_run`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from pipeline.messages.errors import ConfigError
from pipeline.store.backends.locations import Place
from pipeline.store.backends.storage import exists, read_bytes
from pipeline.store.store import Store
from stages import pairs as pairs_stage
from stages.commands.results.expand import expanded_rows
from stages.commands.results.names import image_named
from stages.commands.results.run_files import RunFiles, read_whole
from stages.comparing.comparison import Comparison
from stages.comparing.index_columns import index_columns
from stages.comparing.match_rows import match_schema
from stages.comparing.metrics.hamming import HASHES, MIRRORED_HASHES, compared_hashes
from stages.comparing.rows import BOX
from stages.decoding.location import container_of
from stages.kernels.graph import components
from stages.listing.path_text import show
from stages.report.folders import FILENAME as FOLDERS

FACTS = (
    *("path", "path_bytes", "set", "width", "height", "bytes", "format", "mode", "digest", "contrast", "alpha"),
    *("frames", "taken", "camera", "software", "gps", "orientation", "quality", "tables", "subsampling", "progressive"),
    *("was_jpeg", "annotations", "scale", "decoder", "note", "error", "error_detail"),
)
HASH_COLUMNS = ("path", "set", *HASHES, "identity", "identity_turned")


def load_run(folder: Place) -> Results:
    """Return the results in a run's folder.

    Raises ConfigError where the folder is not a run, or can't be read."""
    try:
        there = exists(folder / "run.json")
    except OSError as error:
        raise ConfigError(f"{folder} can't be read ({error.strerror or error}); check endpoint and keys") from error
    if not there:
        raise ConfigError(f"{folder} is not a run folder: it has no run.json; expected one such as outputs/demo")
    return Results(folder)


@dataclass(frozen=True)
class Results(RunFiles):
    """The results of a run.

    Each method reads Parquet files and verifies their checksums.

    Raises ConfigError where a file is damaged, or a stage has not run yet."""

    @property
    def report(self) -> Place:
        """Path of the report's page."""
        return self.folder / "report" / "index.html"

    def images(self) -> pd.DataFrame:
        """Return every scanned image, by path.

        Columns: path, path_bytes (the true name if it is not UTF-8, else null), set, width and height (pixels, after
        EXIF orientation), bytes, format, mode, digest (SHA-256 of the file), contrast (standard deviation of the
        thumbnail's values), alpha (transparent share, 0 to 1), frames, taken (by the camera's clock), camera (make and
        model), software (that wrote the file), gps (whether EXIF or XMP has a position), orientation (EXIF), quality
        (of a JPEG, on libjpeg's scale), tables (standard or own), subsampling, progressive, was_jpeg (a lossless image
        has the pixels of a decoded JPEG), annotations (which of caption, keywords, people and rating there are),
        box_left, box_top, box_right and box_bottom (with thumbnail.trim only: what is left without borders, in pixels),
        scale (decoded at 1/scale of the width), decoder, note (on oddities of the file), error and error_detail (null
        for a readable image), root, mtime_ns (of the container for an image inside one), companions (names of the files
        that belong to the image, separated by slashes), partition, container (the file that the image is inside of;
        null for a file of its own), and the columns of `scan.columns`."""
        images = self._read("thumbnail", self.facts)
        columns = self.summary["config"].get("scan", {}).get("columns", [])
        read = ("path", "root", "mtime_ns", "companions", "partition", "location", *columns)
        scanned = self._read("scan", read)
        found = images.merge(scanned, on="path", validate="one_to_one").sort_values("path", ignore_index=True)
        names = found["path_bytes"].where(found["path_bytes"].notna(), found["path"].str.encode("utf-8"))
        places = found.pop("location").astype(object).where(lambda each: each.notna(), None)
        inside = (container_of(name, place) for name, place in zip(names, places, strict=True))
        return found.assign(container=pd.Series([show(name) if name else None for name in inside], dtype=object))

    def name_of(self, typed: str) -> str:
        """Return the path of an image from what a user typed; see `image_named`.

        Raises ConfigError."""
        known = [path for table in self.tables("thumbnail", ("path",)) for path in table["path"].to_pylist()]
        return image_named(typed, known)

    def sets(self) -> dict[str, str]:
        """Return each image's set, `a` or `b`, by path; an empty dict for a single set."""
        if not self.summary["config"]["inputs"]["b"]:
            return {}
        tables = self.tables("thumbnail", ("path", "set"))
        return {path: name for table in tables for path, name in zip(*table.to_pydict().values(), strict=True)}

    def pairs(self, expand: bool = False) -> pd.DataFrame:
        """Return the matches, nearest first.

        Columns: path_a, path_b, mse (`distance` with another pairs.metric), rotation (degrees by which b is turned,
        counter-clockwise), mirrored (only with pairs.mirror: b is mirrored left-right before it is turned), turns (bit
        k: k quarter turns attain the distance; bit 4 + k: mirrored first), measured (false: recorded without measuring,
        by `pairs.same_hash: zero`), borderline (so near to the threshold that `thumbnail.decode: exact` might decide
        otherwise). `expand`: return a row for each pair of images, pairs of represented identical images included."""
        rows = self._expanded() if expand else self._read("pairs", self._columns)
        return rows.sort_values([self.comparison.column, "path_a", "path_b"], ignore_index=True)

    def clusters(self) -> pd.DataFrame:
        """Return the images in clusters, keeper first.

        Columns: cluster, path, keeper, rank (by the keeper rules, from 0), reason (why the keeper precedes the next
        image), reference and dismissed (two more reasons to stay), mse_to_keeper (of thumbnails, under every metric),
        width, height, bytes; of the cluster: size (images) and diameter (largest MSE of two images)."""
        return self._read("cluster", None)

    def folders(self) -> pd.DataFrame:
        """Return the pairs of folders that share images.

        `stages.report.folders.SCHEMA` explains the columns."""
        path = self.folder / FOLDERS
        try:
            data = read_bytes(path)
        except FileNotFoundError as error:
            raise ConfigError(f"{self.folder} has no {FOLDERS} yet; run `fast-diff run` again first") from error
        mark = hashlib.sha256(data).hexdigest()
        for artifact in self.artifacts("plot"):
            if mark not in read_whole(artifact, lambda artifact: artifact.record.files.get(FOLDERS, ())):
                raise ConfigError(f"{path} is damaged; delete it, and the next run makes it again")
        table: pd.DataFrame = pq.read_table(pa.BufferReader(data)).to_pandas()
        return table

    def hashes(self) -> pd.DataFrame:
        """Return the hashes of readable images: path, set, hash_0, hash_90, hash_180 and hash_270 (of the shifted and
        turned thumbnail; with pairs.mirror also hash_mirrored_0 and so on, mirrored before), identity (digest of the
        thumbnail), identity_turned (least digest over its turns)."""
        return self._read("hash", self.hash_columns).sort_values("path", ignore_index=True)

    def hash_clusters(self) -> pd.DataFrame:
        """Return the duplicates by hash alone: cluster, path, hash_0.

        Two images are joined if hash_0 of one is a hash of the other in a turn that the run compares."""
        names = compared_hashes(turned := self.comparison.turns)
        hashes = self._read("hash", ("path", *names)).sort_values("path", ignore_index=True)
        columns = [hashes[name] for name in names]
        numbers, _ = pd.factorize(pd.concat(columns, ignore_index=True))
        codes = numbers.astype(np.int64).reshape(turned, len(hashes))
        wanted = np.isin(codes, codes[0])  # a hash joins images only if it is hash_0 of an image
        forest = components.Forest()
        image = np.broadcast_to(np.arange(len(hashes)), codes.shape)
        forest.join(image[wanted], codes[wanted] + len(hashes))
        labels = forest.labels(len(hashes) + codes.max(initial=-1) + 1)[: len(hashes)]
        hashes["cluster"] = pd.factorize(labels)[0]
        sizes = hashes.groupby("cluster")["path"].transform("size")
        found = hashes.loc[sizes > 1, ["cluster", "path", "hash_0"]]
        found["cluster"] = pd.factorize(found["cluster"])[0]
        return found.sort_values(["cluster", "path"], ignore_index=True)

    def ledger(self) -> pd.DataFrame:
        """Return the ledger of each block pair: block_a, block_b, pairs_total, decided, skipped_by_rule, identical,
        matches."""
        rows = []
        for artifact in self.artifacts("pairs"):
            first, _, second = artifact.key.partition(".")
            rows.append(
                {"block_a": first, "block_b": second, **read_whole(artifact, lambda artifact: artifact.summary)}
            )
        columns = ["block_a", "block_b", "pairs_total", "decided", "skipped_by_rule", "identical", "matches"]
        return pd.DataFrame(rows, columns=columns).sort_values(["block_a", "block_b"], ignore_index=True)

    def failures(self) -> pd.DataFrame:
        """Return the images that could not be read, or have no vector.

        The columns are path, path_bytes, set, error and error_detail.

        `error` is a code."""
        rows = self._read("thumbnail", ("path", "path_bytes", "set", "error", "error_detail"))
        failed = rows[rows["error"].notna()]
        if Store(self.folder).names("embed"):
            vectors = self._read("embed", ("path", "error", "error_detail"))
            without = vectors[vectors["error"].notna()]
            failed = pd.concat([failed, rows[["path", "path_bytes", "set"]].merge(without, on="path")])
        return failed.sort_values("path", ignore_index=True)

    @property
    def comparison(self) -> Comparison:
        """Return the settings by which pairs were compared."""
        text = json.dumps(self.summary["config"]["pairs"])
        return TypeAdapter(pairs_stage.Params).validate_json(text).comparison

    @property
    def _columns(self) -> list[str]:
        return list(match_schema(self.comparison).names)

    @property
    def facts(self) -> tuple[str, ...]:
        """Return the columns of the thumbnail stage that `images` has."""
        return (*FACTS, *BOX) if self.summary["config"]["thumbnail"].get("trim") == "borders" else FACTS

    @property
    def hash_columns(self) -> tuple[str, ...]:
        """Return the columns of the hash stage that `hashes` has."""
        return (*HASH_COLUMNS[:2], *self._hash_columns, *HASH_COLUMNS[-2:])

    @property
    def _hash_columns(self) -> tuple[str, ...]:
        return HASHES + MIRRORED_HASHES if self.comparison.mirror else HASHES

    def _read(self, stage: str, columns: tuple[str, ...] | list[str] | None) -> pd.DataFrame:
        frame: pd.DataFrame = pa.concat_tables(self.tables(stage, columns)).to_pandas()
        return frame

    def _expanded(self) -> pd.DataFrame:
        """Return a row for each pair, including pairs of represented identical images."""
        comparison, config = self.comparison, self.summary["config"]
        if comparison.identical == "all":
            return self._read("pairs", self._columns)
        found = zip(self.artifacts("pairs"), self.tables("pairs", self._columns), strict=True)
        parts = {artifact.key: table for artifact, table in found if len(table)}
        if not parts:
            return self._read("pairs", self._columns)
        blocks_with_rows = {key for pair in parts for key in pair.split(".")}
        tables = list(self.tables("index", index_columns(comparison), blocks_with_rows))
        tables.sort(key=lambda table: table["path"][:1].to_pylist())
        rows = pa.concat_tables(parts.values()).to_pandas()
        inputs = {f"inputs.{name}": value for name, value in config["inputs"].items()}
        whole = expanded_rows(rows, tables, comparison, lambda key: inputs.get(key, ()), not inputs["inputs.b"])
        distances, thumbnail = whole[comparison.column].to_numpy(), config["thumbnail"]
        return whole.assign(borderline=comparison.borderline(distances, thumbnail["decode"], thumbnail["channels"]))
