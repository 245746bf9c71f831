"""The results of a run as pandas DataFrames: `from pipeline import load_run`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import TypeAdapter

from pipeline.messages.errors import ArtifactDamaged, ConfigError
from pipeline.store.artifact import StoredArtifact
from pipeline.store.backends.locations import Place, canonical, protocol_of
from pipeline.store.backends.storage import exists, read_bytes
from pipeline.store.store import Store
from stages import pairs as pairs_stage
from stages.cluster import FILENAME
from stages.commands.results.expand import expanded
from stages.comparing.blocks import index_columns, read_blocks
from stages.comparing.comparison import Comparison
from stages.comparing.metrics.hamming import HASHES
from stages.comparing.text import one_line
from stages.kernels.graph import components, groups
from stages.kernels.measure import turns
from stages.listing.files import show

T = TypeVar("T")
SECTIONS = {"inputs", "thumbnail", "pairs", "cluster"}
"""Sections of the config that commands read."""

FACTS = (
    *("path", "path_bytes", "set", "width", "height", "bytes", "format", "mode", "digest", "contrast", "alpha"),
    *("frames", "taken", "camera", "software", "gps", "orientation", "quality", "tables", "subsampling", "progressive"),
    *("was_jpeg", "scale", "decoder", "note", "error", "error_detail"),
)


def load_run(folder: Place) -> Results:
    """The results in a run's folder. Raises ConfigError where that is no run, or can't be read."""
    try:
        there = exists(folder / "run.json")
    except OSError as error:
        raise ConfigError(f"{folder} can't be read ({error.strerror or error}); see its endpoint and keys") from error
    if not there:
        raise ConfigError(f"{folder} is not a run folder: it has no run.json; expected one such as outputs/demo")
    return Results(folder)


@dataclass(frozen=True)
class Results:
    """One run. Each method reads the run's Parquet anew, and verifies its checksums; what is damaged, or has not been
    run yet, raises ConfigError."""

    folder: Place

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The content of run.json: counts, times, and the config as resolved. Raises ConfigError."""
        path = self.folder / "run.json"
        try:
            summary = dict(json.loads(read_bytes(path)))
            config = summary["config"] = dict(summary["config"])
            config |= {name: dict(config[name]) for name in SECTIONS & config.keys()}
            TypeAdapter(pairs_stage.Params).validate_json(json.dumps(config["pairs"]))
            return summary
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ConfigError(f"{path} is damaged; run the same command again, which writes it anew") from error

    @property
    def report(self) -> Place:
        """The page to look at."""
        return self.folder / "report" / "index.html"

    def images(self) -> pd.DataFrame:
        """Every image that was scanned, by path.

        Columns: path, path_bytes (the true name where that is no UTF-8, else null), set, width and height (pixels, as
        it is to be looked at), bytes, format, mode, digest (SHA-256 of the file), contrast (standard deviation of the
        thumbnail's values), alpha (share that is transparent, 0 to 1), frames, taken (by the camera's clock), camera
        (make and model), software (what wrote the file), gps (it says where), orientation (EXIF's), quality (of a JPEG,
        in libjpeg's terms), tables (standard or own), subsampling, progressive, was_jpeg (a lossless image has the
        pixels of a decoded JPEG), scale (it was decoded at one part in so many of its width), decoder, note (what was
        odd about it), error and error_detail (null where it could be read), root, mtime_ns, partition."""
        images = self._read("thumbnail", FACTS)
        scanned = self._read("scan", ("path", "root", "mtime_ns", "partition"))
        return images.merge(scanned, on="path", validate="one_to_one").sort_values("path", ignore_index=True)

    def name_of(self, typed: str) -> str:
        """Return the path of an image that a person names: by a relative path, a path from ~, a URL, or the name that
        `fast-diff show` prints, which escapes control characters. Raises ConfigError."""
        text = show(os.fsencode(typed))
        home = os.path.expanduser(text)  # noqa: PTH111  # as shells do: ~ is a name where there is no such user
        wanted = text if protocol_of(text) else os.path.normpath(Path.cwd() / home)
        names = (wanted, text, canonical(text))
        known = [path for table in self.tables("thumbnail", ("path",)) for path in table["path"].to_pylist()]
        found = set(known).intersection(names)
        name = next((name for name in names if name in found), None)
        name = name or next((path for path in known if one_line(path) == text), None)  # as `show` prints it
        if name is None:
            said = "is not an image of this run; expected a path as `fast-diff show RUN` prints it"
            raise ConfigError(f"{one_line(typed)} {said}")
        return name

    def sets(self) -> dict[str, str]:
        """Return the set of each image, `a` or `b`, by path; nothing where the run has one set."""
        if not self.summary["config"]["inputs"]["b"]:
            return {}
        tables = self.tables("thumbnail", ("path", "set"))
        return {path: name for table in tables for path, name in zip(*table.to_pydict().values(), strict=True)}

    def pairs(self, expand: bool = False) -> pd.DataFrame:
        """The matches, nearest first: path_a, path_b, mse (`distance` where pairs.metric is another one), rotation
        (degrees that b is turned by, counter-clockwise), turns (bit k set: k quarter turns attain this figure),
        measured (false: recorded unseen, `pairs.same_hash: zero`), borderline (so near to the threshold that
        `thumbnail.decode: exact` might decide otherwise).

        `expand` gives each pair of images its row where one of several identical thumbnails stood for all of them."""
        rows = self._expanded() if expand else self._read("pairs", self._columns)
        return rows.sort_values([self.comparison.column, "path_a", "path_b"], ignore_index=True)

    def clusters(self) -> pd.DataFrame:
        """Images in a cluster, keeper first: cluster, path, keeper, rank (by the keeper rules, from 0), reason (of a
        keeper: why it comes before the next), reference and dismissed (two more reasons to stay), mse_to_keeper (of the
        thumbnails, under every pairs.metric), width, height, bytes; size (images) and diameter (largest MSE of two
        images) are the cluster's."""
        return self._read("cluster", None)

    def hashes(self) -> pd.DataFrame:
        """Hashes of the readable images: path, set, hash_0, hash_90, hash_180 and hash_270 (of the shifted thumbnail
        turned likewise), identity (digest of the thumbnail), identity_turned (the least over its turns)."""
        return self._read("hash", ("path", "set", *HASHES, "identity", "identity_turned")).sort_values(
            "path", ignore_index=True
        )

    def hash_clusters(self) -> pd.DataFrame:
        """Duplicates by hash alone: cluster, path, hash_0.

        Two images are joined if hash_0 of one is among the turns of the other (without rotations: hash_0 only)."""
        hashes = self._read("hash", ("path", *HASHES)).sort_values("path", ignore_index=True)
        turned = self.comparison.turns
        columns = [hashes[name] for name in HASHES[:turned]]
        numbers, _ = pd.factorize(pd.concat(columns, ignore_index=True))
        codes = numbers.astype(np.int64).reshape(turned, len(hashes))
        wanted = np.isin(codes, codes[0])  # a hash joins only where it is some image's hash_0
        forest = components.Forest()
        image = np.broadcast_to(np.arange(len(hashes)), codes.shape)
        forest.join(image[wanted], codes[wanted] + len(hashes))
        labels = forest.labels(len(hashes) + codes.max(initial=-1) + 1)[: len(hashes)]
        hashes["cluster"] = pd.factorize(labels)[0]
        sizes = hashes.groupby("cluster")["path"].transform("size")
        found = hashes.loc[sizes > 1, ["cluster", "path", "hash_0"]]
        return found.assign(cluster=pd.factorize(found["cluster"])[0]).sort_values(
            ["cluster", "path"], ignore_index=True
        )

    def ledger(self) -> pd.DataFrame:
        """What became of each pair of images, per block pair: block_a, block_b, pairs_total, decided, skipped_by_rule,
        identical, matches."""
        rows = []
        for artifact in self.artifacts("pairs"):
            first, _, second = artifact.key.partition(".")
            rows.append({"block_a": first, "block_b": second, **_whole(artifact, lambda artifact: artifact.summary)})
        columns = ["block_a", "block_b", "pairs_total", "decided", "skipped_by_rule", "identical", "matches"]
        return pd.DataFrame(rows, columns=columns).sort_values(["block_a", "block_b"], ignore_index=True)

    def failures(self) -> pd.DataFrame:
        """Images that could not be read: path, path_bytes, set, error (a code), error_detail."""
        rows = self._read("thumbnail", ("path", "path_bytes", "set", "error", "error_detail"))
        return rows[rows["error"].notna()].sort_values("path", ignore_index=True)

    @property
    def comparison(self) -> Comparison:
        """How pairs were compared."""
        text = json.dumps(self.summary["config"]["pairs"])
        return TypeAdapter(pairs_stage.Params).validate_json(text).comparison

    @property
    def _columns(self) -> list[str]:
        return ["path_a", "path_b", self.comparison.column, "rotation", "turns", "measured", "borderline"]

    def artifacts(self, stage: str) -> list[StoredArtifact]:
        """A stage's artifacts, by name; each raises ArtifactDamaged where it can't be read. Raises ConfigError."""
        names = [name for name in Store(self.folder).names(stage) if stage != "cluster" or name == FILENAME]
        if not names:
            raise ConfigError(f"{self.folder} has no {stage} yet; run `fast-diff run` to its end first")
        return [StoredArtifact(stage, _key(name), self.folder / stage / name) for name in names]

    def tables(
        self, stage: str, columns: Sequence[str] | None = None, keys: Collection[str] | None = None
    ) -> Iterator[pa.Table]:
        """Columns of a stage's artifacts (all: None; `keys`: of these alone), one after the other. Raises
        ConfigError."""
        for artifact in self.artifacts(stage):
            if keys is None or artifact.key in keys:
                table = _whole(artifact, lambda artifact: artifact.table(columns))
                if columns and table.column_names != list(columns):
                    raise _damaged(artifact)
                yield table

    def _read(self, stage: str, columns: tuple[str, ...] | list[str] | None) -> pd.DataFrame:
        frame: pd.DataFrame = pa.concat_tables(self.tables(stage, columns)).to_pandas()
        return frame

    def _expanded(self) -> pd.DataFrame:
        """Rows of `identical: group` as rows of `identical: all`; see `stages/kernels/graph/groups.py`."""
        comparison = self.comparison
        if comparison.identical == "all":
            return self._read("pairs", self._columns)
        found = zip(self.artifacts("pairs"), self.tables("pairs", self._columns), strict=True)
        parts = {artifact.key: table for artifact, table in found if len(table)}
        if not parts:
            return self._read("pairs", self._columns)
        blocks_with_rows = {key for pair in parts for key in pair.split(".")}
        tables = list(self.tables("index", index_columns(comparison), blocks_with_rows))
        tables.sort(key=lambda table: table["path"][:1].to_pylist())
        blocks = read_blocks(tables, comparison, self.summary["config"]["inputs"].get("reference", ()))
        paths = pa.concat_arrays([table["path"].combine_chunks() for table in tables])
        known = pd.Index(paths.to_pandas())
        thumbnail = self.summary["config"]["thumbnail"]
        rows = pa.concat_tables(parts.values()).to_pandas()
        whole = expanded(
            groups.PairArrays(
                known.get_indexer(rows["path_a"]).astype(np.int64),
                known.get_indexer(rows["path_b"]).astype(np.int64),
                rows[comparison.column].to_numpy(),
                rows["turns"].to_numpy(),
                rows["measured"].to_numpy(),
            ),
            blocks,
            comparison,
            swap=not self.summary["config"]["inputs"]["b"],
        )
        return pd.DataFrame(
            {
                "path_a": known[whole.a],
                "path_b": known[whole.b],
                comparison.column: whole.mse,
                "rotation": turns.SMALLEST[whole.turns] * np.int16(90),
                "turns": whole.turns,
                "measured": whole.measured,
                "borderline": comparison.borderline(whole.mse, thumbnail["decode"], thumbnail["channels"]),
            }
        )


def _key(name: str) -> str:
    """The key of the task that made an artifact, by the artifact's name."""
    return name.rpartition("-")[0] or name.removesuffix(".parquet")


def _whole(artifact: StoredArtifact, read: Callable[[StoredArtifact], T]) -> T:
    """What `read` returns. Raises ConfigError where the artifact can't be read."""
    try:
        return read(artifact)
    except ArtifactDamaged as error:
        raise _damaged(artifact) from error


def _damaged(artifact: StoredArtifact) -> ConfigError:
    return ConfigError(f"{artifact.path} is damaged; delete it, and the next run makes it again")
