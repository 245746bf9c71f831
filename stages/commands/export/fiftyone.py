"""Write a run as a dataset of FiftyOne, without FiftyOne's package.

The layout is `fiftyone.types.FiftyOneDataset`.

metadata.json   media type and settings; without a `version`, FiftyOne's importer infers fields from the samples, so
                that the dataset does not depend on a release of FiftyOne
samples.json    one sample per image, with the file's absolute path: no file is copied

    fiftyone.Dataset.from_dir(dataset_dir=FOLDER, dataset_type=fiftyone.types.FiftyOneDataset)

Fields of a sample: cluster, keeper, mse_to_keeper (of images in a cluster), matches (a label for each matching image,
nearest first: its path, mse or distance, rotation, and mirrored with pairs.mirror), error (of unreadable images). Tags:
`duplicate` (neither a keeper, nor in a reference folder, nor dismissed) and `unreadable`. Fields without a value are
left out.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.messages.errors import ConfigError
from pipeline.messages.words import counted
from pipeline.store.atomic import atomic_write
from pipeline.store.backends.locations import protocol_of
from stages.clustering.keepers import STAYS
from stages.commands.results.tables import Results

DUPLICATE, UNREADABLE = "duplicate", "unreadable"
"""Tags."""


def fiftyone(results: Results, folder: Path) -> list[str]:
    """Write the dataset.

    Returns the paths of its files, and a note on images left out.

    A sample can't have a URL, a name that is not UTF-8, or a place inside a container. Raises ConfigError where a file
    exists already; OSError where a file can't be written."""
    metadata, samples = folder / "metadata.json", folder / "samples.json"
    for path in (metadata, samples):
        if path.exists():
            raise ConfigError(f"{path} exists; choose another folder, or delete that file")
    images = results.images()
    odd = images["path_bytes"].notna() | images["container"].notna()
    odd |= images["path"].map(lambda path: protocol_of(path) is not None).astype(bool)
    with atomic_write(samples) as file:
        file.write(b'{"samples": [')
        for number, sample in enumerate(_samples(results, images[~odd])):
            file.write(b",\n" if number else b"\n")
            file.write(json.dumps(sample).encode())
        file.write(b"\n]}\n")
    run = results.summary
    info = {"run": run["run"], "fast_diff": run["version"], "pairs": run["config"]["pairs"]}
    with atomic_write(metadata) as file:  # written last: the file marks a complete dataset
        file.write(json.dumps({"media_type": "image", "info": info}, indent=1).encode())
    left = f"left out: {counted(int(odd.sum()), 'image')} at URLs, inside containers, or with names that are not UTF-8"
    return [str(metadata), str(samples), *([left] if odd.any() else [])]


def _samples(results: Results, images: pd.DataFrame) -> Iterator[dict[str, Any]]:
    matches, clusters = _matches(results), results.clusters().set_index("path").to_dict("index")
    columns = images[["path", "bytes", "width", "height", "error"]]
    for path, size, width, height, error in columns.itertuples(index=False):
        sample: dict[str, Any] = {"filepath": path, "_media_type": "image", "tags": []}
        if isinstance(error, str):
            yield sample | {"tags": [UNREADABLE], "error": error}
            continue
        facts = {"size_bytes": int(size), "width": int(width), "height": int(height)}
        sample["metadata"] = {"_cls": "ImageMetadata", **facts}
        if row := clusters.get(path):
            sample["tags"] = [] if any(row[reason] for reason in STAYS) else [DUPLICATE]
            sample |= {"cluster": row["cluster"], "keeper": row["keeper"], "mse_to_keeper": row["mse_to_keeper"]}
        if path in matches:
            sample["matches"] = {"_cls": "Classifications", "classifications": matches[path]}
        yield sample


def _matches(results: Results) -> dict[str, list[dict[str, Any]]]:
    """Return labels by path, for images with a match.

    A label names the other image, nearest first, with its rotation."""
    figure = results.comparison.column
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    mirror = results.comparison.mirror
    rows = results.pairs(expand=True)[["path_a", "path_b", figure, "rotation", *(["mirrored"] if mirror else [])]]
    for a, b, distance, turned, *mirrored in rows.itertuples(index=False):
        back = turned if any(mirrored) else -turned % 360  # a turn after a mirror is its own inverse
        for path, other, turn in ((a, b, turned), (b, a, back)):
            label = {"_cls": "Classification", "label": other, figure: float(distance), "rotation": int(turn)}
            found[path].append(label | ({"mirrored": bool(mirrored[0])} if mirror else {}))
    return found
