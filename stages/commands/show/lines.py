"""Format the clusters of a run, and all matches of one image, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from pipeline.messages.errors import ConfigError
from pipeline.messages.words import counted
from stages.clustering import dismissed
from stages.clustering.keepers import STAYS
from stages.commands.results.by_folder import by_folder, folder_lines, images_per_folder
from stages.commands.results.tables import Results
from stages.comparing.text import human_bytes, human_mse, human_number, human_turn, one_line
from stages.kernels.measure.turns import MIRRORED


def cluster_lines(clusters: pd.DataFrame, sets: Mapping[str, str]) -> Iterator[str]:
    """Yield each cluster with its images, the keeper first, as text.

    `clusters`: see `Results.clusters`; `sets`: see `Results.sets`."""
    if clusters.empty:
        yield "no two images match"
    for number, members in clusters.groupby("cluster", sort=True):
        first = members.iloc[0]
        diameter = f", MSE at most {human_mse(first['diameter'])}" if pd.notna(first["diameter"]) else ""
        yield f"cluster {number}: {counted(len(members), 'image')}{diameter}"
        for row in members.to_dict("records"):
            kept = next((reason for reason in STAYS if row[reason]), "")
            distance = "" if row["keeper"] else f"  MSE {human_mse(row['mse_to_keeper'])}"
            size = f"{row['width']}x{row['height']}  {human_bytes(row['bytes'])}"
            why = f"  {one_line(row['reason'])}" if row["keeper"] and pd.notna(row["reason"]) else ""
            yield f"  {kept:<9}  {of_set(sets, row['path'])}{one_line(row['path'])}  {size}{distance}{why}"


def summary_lines(results: Results, clusters: pd.DataFrame) -> Iterator[str]:
    """Yield how many images of each folder would be removed, and totals.

    `clusters`: see `Results.clusters`."""
    if clusters.empty:
        yield "no two images match"
        return
    removed = clusters[~clusters[list(STAYS)].any(axis=1)]
    count, images = clusters["cluster"].nunique(), counted(len(clusters), "image")
    yield f"clusters    {count:,}, of {images}"
    yield f"removable   {counted(len(removed), 'image')}, {human_bytes(int(removed['bytes'].sum()))}"
    found = by_folder(zip(removed["path"], removed["bytes"].tolist(), strict=True), images_per_folder(results))
    yield from folder_lines(found, "would be removed")
    yield "details     --verbose lists the clusters; fast-diff plan writes the images to remove to a file"


def as_records(found: pd.DataFrame, sets: Mapping[str, str]) -> pd.DataFrame:
    """Return rows for JSON; with two sets, the column `set` is the set of each image."""
    return found.assign(set=found["path"].map(sets)) if sets else found


def matches_of(results: Results, path: str) -> pd.DataFrame:
    """Return all matches of one image, nearest first.

    Columns: path, the distance, rotation (degrees by which the other image is turned, counter-clockwise), mirrored
    (with pairs.mirror: the other image is mirrored first), measured (see `Results.pairs`), dismissed (the pair is
    marked as not duplicates). Raises ConfigError where the run has no such image, or the files of `cluster.dismissed`
    can no longer be read."""
    name = results.name_of(path)
    rows = results.pairs(expand=True)
    figure = results.comparison.column
    first, second = rows[rows["path_a"] == name], rows[rows["path_b"] == name]
    mirrored = ["mirrored"] if "mirrored" in rows else []
    turned = (360 - second["rotation"]) % 360
    if mirrored:  # a turn after a mirror is its own inverse
        turned = turned.where(~second["mirrored"], second["rotation"])
    parts = [
        first[["path_b", figure, "rotation", *mirrored, "measured"]].rename(columns={"path_b": "path"}),
        second[["path_a", figure, *mirrored, "measured"]].rename(columns={"path_a": "path"}).assign(rotation=turned),
    ]
    found = pd.concat(parts).sort_values([figure, "path"], ignore_index=True)
    return found.assign(dismissed=_dismissed(results, name, found["path"]))


def _dismissed(results: Results, name: str, others: pd.Series[str]) -> list[bool]:
    files = results.summary["config"]["cluster"]["dismissed"]
    if not files:
        return [False] * len(others)
    try:
        pairs = dismissed.read(files)
    except (ValueError, OSError) as error:
        raise ConfigError(f"cluster.dismissed: {error}; bring the file back, or run without it") from error
    digests = results.images().set_index("path")["digest"]
    mine = digests[name]
    return [(min(mine, other), max(mine, other)) in pairs for other in digests[others]]


def match_lines(results: Results, path: str, matches: pd.DataFrame) -> Iterator[str]:
    """Yield the rows of `matches_of` as text."""
    figure, sets = results.comparison.column, results.sets()
    other = {"a": "b", "b": "a"}.get(sets.get(results.name_of(path), ""))
    yield f"{one_line(path)}: {counted(len(matches), 'match', 'matches')}" + (f" in inputs.{other}" if other else "")
    for row in matches.to_dict("records"):
        mark = "  dismissed" if row["dismissed"] else ""
        yield f"  {distance(row, figure, 7)}{turn(row)}{mark}  {one_line(row['path'])}"


def of_set(sets: Mapping[str, str], path: str) -> str:
    """Return the set of an image as a prefix of its name; empty for a single set."""
    return f"{sets[path]}  " if sets else ""


def distance(row: Mapping[Any, Any], figure: str, width: int = 0) -> str:
    """Return the distance of a match as text, if it was measured."""
    if not row["measured"]:
        return f"{figure} not measured"
    value = row[figure]
    return f"{figure} {human_number(value) if value == int(value) else human_mse(value):>{width}}"


def turn(row: dict[Any, Any]) -> str:
    """Return the turn of the other image as text.

    Returns an empty text for an image that is not turned."""
    text = human_turn(row["rotation"] // 90 + MIRRORED * bool(row.get("mirrored", False)))
    return f"  {text}" if text else ""


def hash_lines(found: pd.DataFrame, sets: Mapping[str, str]) -> Iterator[str]:
    """Yield the rows of `Results.hash_clusters`, cluster by cluster, as text."""
    if found.empty:
        yield "no two hashes agree"
    for number, members in found.groupby("cluster", sort=True):
        yield f"cluster {number}: {len(members):,} images, hash {members['hash_0'].iloc[0][:16]}"
        for path in members["path"]:
            yield f"  {of_set(sets, path)}{one_line(path)}"
