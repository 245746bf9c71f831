"""List the images of a run to remove as a table, images in containers included.

Without options, the table has all images of clusters but keepers, references and dismissed images; with a plan, the
images that the plan removes; with `leak_from`, the images of one set that match an image of the other set. References
are never removed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.messages.errors import ConfigError
from stages.clustering import dismissed
from stages.clustering.keepers import STAYS
from stages.commands.plan.plan_file import read_plan
from stages.commands.plan.proposal import check_finished
from stages.commands.results.tables import Results
from stages.comparing.paths import are_among
from stages.comparing.references import are_references
from stages.comparing.text import one_line
from stages.decoding.location import ARROWS, PARQUETS, location_of
from stages.decoding.recheck import names_of
from stages.listing.path_text import show
from stages.listing.values import split

SETS = ("a", "b")
SCHEMA = pa.schema(
    [
        ("container", pa.string()),
        ("member", pa.string()),
        ("row", pa.int64()),
        ("key", pa.string()),
        ("path", pa.string()),
        ("cluster", pa.int64()),
        ("keeper", pa.string()),
        ("distance", pa.float64()),
        ("reason", pa.string()),
    ]
)
"""Columns of the table.

container  path of the container; null for an image in a file of its own
member     name of a member of a tar or zip, as in `path`
row        number of a row in a Parquet or Arrow file, from 0
key        key of a WebDataset sample, or of a row
cluster    number of the image's cluster; null for an image in no cluster
keeper     path of the kept image; with `leak_from`, of the nearest match in the other set
distance   MSE of the thumbnails of image and keeper; with `leak_from`, their distance by `pairs.metric`
reason     why the image is removed"""
ROW = re.compile(r"#(\d+)(?::(.*))?", re.DOTALL)


def removals(results: Results, leak_from: str | None = None, plan: Path | None = None) -> pa.Table:
    """Return the images to remove, sorted by path; see SCHEMA. Raises ConfigError."""
    check_finished(results)
    if leak_from is not None and plan is not None:
        raise ConfigError("--leak-from: expected only one of --leak-from and --plan; leave one out")
    if leak_from is not None:
        found = _leaks(results, leak_from)
    else:
        found = _planned(results, plan) if plan is not None else _duplicates(results)
    rows = found.sort_values("path", ignore_index=True)
    paths = pa.chunked_array([rows["path"].tolist()], pa.string())
    references = are_references(paths, results.summary["config"]["inputs"].get("reference", []))
    rows = rows[~references.to_numpy().astype(bool)]
    names = rows["path"].tolist()
    places = dict(_places(results, set(names)))
    if lost := set(names) - places.keys():
        raise ConfigError(f"{results.folder}: {one_line(min(lost))} is not an image of this run; run it again first")
    columns = {name: pa.array(rows[name], SCHEMA.field(name).type, from_pandas=True) for name in rows.columns}
    for name in ("container", "member", "row", "key"):
        columns[name] = pa.array([places[path].get(name) for path in names], SCHEMA.field(name).type)
    return pa.table({name: columns[name] for name in SCHEMA.names}, SCHEMA)


def _duplicates(results: Results) -> pd.DataFrame:
    """Return all images of clusters but keepers, references and dismissed images."""
    members = results.clusters()
    first = members.groupby("cluster")[["path", "reason"]].first()
    rows = members[~members[list(STAYS)].any(axis=1)]
    return pd.DataFrame(
        {
            "path": rows["path"],
            "cluster": rows["cluster"],
            "keeper": first["path"].reindex(rows["cluster"]).to_numpy(),
            "distance": rows["mse_to_keeper"],
            "reason": [_reason_text(reason) for reason in first["reason"].reindex(rows["cluster"])],
        }
    )


def _reason_text(reason: Any) -> str:
    return f"duplicate; keeper: {reason}" if isinstance(reason, str) else "duplicate"


def _planned(results: Results, file: Path) -> pd.DataFrame:
    """Return the images that a plan removes.

    Raises:
        ConfigError: the plan names an image that is not in the run, or has changed."""
    plan = read_plan(file)
    digests = _column(results, "digest", {each.path for each, _ in plan.removed})
    to_keeper = results.clusters().set_index("path")
    keepers = to_keeper.loc[to_keeper["keeper"], "cluster"].to_dict()
    rows = []
    for each, group in plan.removed:
        if digests.get(each.path) != each.digest:
            raise ConfigError(
                f"{file}: {one_line(each.path)} is not an image of {results.folder}, or has changed since; "
                "expected a plan of this run. Write a new plan with `fast-diff plan`"
            )
        keeper = group.keep[0].path
        known = keeper in keepers and each.path in to_keeper.index
        same = known and keepers[keeper] == to_keeper.loc[each.path, "cluster"]
        distance = to_keeper.loc[each.path, "mse_to_keeper"] if same else None
        rows.append((each.path, group.cluster, keeper, distance, _reason_text(group.reason)))
    return pd.DataFrame(rows, columns=["path", "cluster", "keeper", "distance", "reason"])


def _leaks(results: Results, name: str) -> pd.DataFrame:
    """Return the images of a set that match an image of the other set, each with its nearest match."""
    config = results.summary["config"]
    if not config["inputs"]["b"]:
        raise ConfigError("--leak-from: this run has one set of images; expected a run with inputs.a and inputs.b")
    figure, other = results.comparison.column, SETS[1 - SETS.index(name)]
    rows = results.pairs(expand=True)[["path_a", "path_b", figure]]
    if config["pairs"]["threshold"] is None:
        rows = rows[rows[figure] <= config["cluster"]["threshold"]]
    rows = rows[_counts(results, rows)]
    rows = rows.sort_values([f"path_{name}", figure, f"path_{other}"]).drop_duplicates(f"path_{name}")
    clusters = results.clusters().set_index("path")["cluster"]
    return pd.DataFrame(
        {
            "path": rows[f"path_{name}"],
            "cluster": clusters.reindex(rows[f"path_{name}"]).astype("Int64").to_numpy(),
            "keeper": rows[f"path_{other}"],
            "distance": rows[figure],
            "reason": f"leak: matches an image of inputs.{other}",
        }
    )


def _counts(results: Results, rows: pd.DataFrame) -> pd.Series:
    """Return which pairs count as matches: pairs without a flat image that are not dismissed. Raises ConfigError."""
    cluster = results.summary["config"]["cluster"]
    counts = pd.Series(True, index=rows.index)
    paths = {*rows["path_a"], *rows["path_b"]}
    if least := cluster.get("min_contrast"):
        contrast = _column(results, "contrast", paths)
        for side in ("path_a", "path_b"):
            counts &= rows[side].map(contrast) >= least
    if cluster.get("dismissed"):
        try:
            pairs = dismissed.read(cluster["dismissed"])
        except (ValueError, OSError) as error:
            raise ConfigError(f"cluster.dismissed: {error}; bring the file back, or run without it") from error
        digests = _column(results, "digest", paths)
        both = zip(rows["path_a"].map(digests), rows["path_b"].map(digests), strict=True)
        counts &= np.array([(min(pair), max(pair)) not in pairs for pair in both], bool)
    return counts


def _column(results: Results, name: str, paths: set[str]) -> dict[str, Any]:
    """Return the values of a column of the thumbnail stage, by path."""
    found: dict[str, Any] = {}
    for table in results.tables("thumbnail", ("path", name)):
        some = table.filter(are_among(table["path"], paths))
        found |= zip(some["path"].to_pylist(), some[name].to_pylist(), strict=True)
    return found


def _places(results: Results, paths: set[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the path of each image, and the columns of SCHEMA that locate the image in a container."""
    for table in results.tables("scan", ("path", "path_bytes", "location")):
        some = table.filter(are_among(table["path"], paths))
        for path, true, location in zip(
            some["path"].to_pylist(), names_of(some), some["location"].to_pylist(), strict=True
        ):
            yield path, _place(true, location)


def _place(path: bytes, location: str | None) -> Mapping[str, Any]:
    if location is None:
        return {}
    container = location_of(path, location).container
    name = path[len(container) + 2 :]
    row = ROW.fullmatch(show(name)) if _is_table(container) else None
    if row is None:
        return {"container": show(container), "member": show(name), "key": show(split(name)[0])}
    return {"container": show(container), "row": int(row[1]), "key": row[2]}


def _is_table(container: bytes) -> bool:
    return container.lower().endswith((*PARQUETS, *ARROWS))
