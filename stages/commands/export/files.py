"""Write a run's tables in formats that other programs read.

csv, json, jsonl   one table: matches, or --table images, hashes, clusters
difpy              the three files that difPy writes, with mean squared errors that do not overflow
fiftyone           a dataset of FiftyOne: see `fiftyone.py`
imagededup         the dict that imagededup's find_duplicates returns
html-table         matches as a page without scripts
"""

from __future__ import annotations

import csv
import html
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import pandas as pd

from pipeline.messages.errors import ConfigError
from pipeline.store.atomic import atomic_write
from stages.clustering.keepers import STAYS
from stages.commands.export.fiftyone import fiftyone
from stages.commands.results.tables import Results

TABLES: Mapping[str, Callable[[Results], pd.DataFrame]] = {
    "pairs": lambda results: results.pairs(expand=True),
    "clusters": Results.clusters,
    "images": lambda results: results.images().drop(columns="path_bytes"),
    "hashes": Results.hashes,
}


def export(results: Results, format_name: str, table: str, out: TextIO) -> None:
    """Write one table, or the output format of another program, as text.

    Raises ConfigError."""
    match format_name:
        case "csv":
            TABLES[table](results).to_csv(out, index=False, quoting=csv.QUOTE_NONNUMERIC)
        case "json":
            TABLES[table](results).to_json(out, orient="records", date_format="iso")
            out.write("\n")
        case "jsonl":
            TABLES[table](results).to_json(out, orient="records", lines=True, date_format="iso")
        case "imagededup":
            json.dump(imagededup(results), out, indent=1)
            out.write("\n")
        case "html-table":
            out.writelines(html_table(results))


def export_files(results: Results, format_name: str, folder: Path | None) -> list[str]:
    """Write the output files of another program into a folder; return their paths.

    Raises ConfigError."""
    if folder is None:
        raise ConfigError(f"--format {format_name} writes several files: name a folder with --out FOLDER")
    try:
        return FILES[format_name](results, folder)
    except OSError as error:
        raise ConfigError(f"--out: {folder} can't be written to ({error.strerror}); choose another folder") from error


def imagededup(results: Results) -> dict[str, list[tuple[str, float]]]:
    """Return the matches of each readable image, nearest first: (path, distance).

    Paths are whole: imagededup itself uses file names alone, which collide between folders."""
    images = results.images()
    found: dict[str, list[tuple[str, float]]] = {path: [] for path in images.loc[images["error"].isna(), "path"]}
    rows = results.pairs(expand=True)
    for a, b, distance in rows[["path_a", "path_b", results.comparison.column]].itertuples(index=False):
        found[a].append((b, float(distance)))
        found[b].append((a, float(distance)))
    return found


def difpy(results: Results, folder: Path) -> list[str]:
    """Write the files of difPy's command line: results, lower_quality, stats.

    Returns their paths. Raises OSError.

    Each image comes once, below its cluster's keeper; `lower_quality` lists the duplicates. Mean squared errors
    are divided by the number of values, as difPy documents (difPy itself computes in bytes, which overflow)."""
    config, clusters, images = results.summary["config"], results.clusters(), results.images()
    by_value, threshold = config["pairs"]["normalize"] == "value", config["pairs"]["threshold"]
    values = 1 if by_value else {"grey": 1, "rgb": 3, "rgba": 4}[config["thumbnail"]["channels"]]
    result: dict[str, list[list[Any]]] = {}
    lower: list[str] = []
    for _, members in clusters.groupby("cluster", sort=True):
        keeper = members.loc[members["keeper"], "path"].iloc[0]
        others = members[~members["keeper"]]
        errors = others["mse_to_keeper"] / values
        result[keeper] = [list(each) for each in zip(others["path"], errors.tolist(), strict=True)]
        lower += members.loc[~members[list(STAYS)].any(axis=1), "path"].tolist()
    failed = images[images["error"].notna()]
    logs = dict(zip(failed["path"], failed["error_detail"], strict=True))
    comparable = threshold is not None and config["pairs"]["metric"] == "mse"
    stats = {
        "directory": [*config["inputs"]["a"], *config["inputs"]["b"]],
        "total_files": len(images),
        "invalid_files": {"count": len(failed), "logs": logs},
        "process": {
            "similarity_mse": threshold / values if comparable else None,
            "rotate": config["pairs"]["rotations"],
            "px_size": config["thumbnail"]["size"],
            "duplicates_found": len(lower),
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y%m%d%H%M%S")
    written = []
    for name, data in (("results.json", result), ("lower_quality.txt", lower), ("stats.json", stats)):
        written.append(str(folder / f"difPy_{stamp}_{name}"))
        with atomic_write(Path(written[-1])) as file:
            file.write(json.dumps(data, indent=1).encode())
    return written


def html_table(results: Results) -> Iterator[str]:
    """Yield the matches as an HTML page without scripts or external resources."""
    rows = results.pairs(expand=True)
    title = html.escape(f"Matches of {results.summary['run']}")
    yield "<!DOCTYPE html>\n<html lang=en><meta charset=utf-8>\n"
    yield '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'">\n'
    yield f"<title>{title}</title>\n<table>\n<caption>{title}: {len(rows):,}</caption>\n"
    yield "<tr>" + "".join(f"<th>{html.escape(name)}</th>" for name in rows.columns) + "</tr>\n"
    for row in rows.itertuples(index=False):
        yield "<tr>" + "".join(f"<td>{html.escape(str(value))}</td>" for value in row) + "</tr>\n"
    yield "</table>\n</html>\n"


FILES: Mapping[str, Callable[[Results, Path], list[str]]] = {"difpy": difpy, "fiftyone": fiftyone}
"""Formats that are several files; the same names as `SEVERAL_FILES` of this package."""
