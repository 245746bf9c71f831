"""A run as a dataset of FiftyOne, in its own layout on disk (`fiftyone.types.FiftyOneDataset`), without its package.

metadata.json   what the dataset is; without a `version`, by which FiftyOne's importer tells that fields are to be
                inferred from the samples, so that no release of it is needed here, nor a particular one there
samples.json    one sample an image, with the absolute path of the file: nothing is copied

    fiftyone.Dataset.from_dir(dataset_dir=FOLDER, dataset_type=fiftyone.types.FiftyOneDataset)

A sample has the fields cluster, keeper, mse_to_keeper (where the image is in a cluster), matches (labels of the other
image's path, with mse, or distance, and rotation, nearest first), error (where it could not be read), and the tags
`duplicate` (it is no keeper, in no reference, and not dismissed) and `unreadable`. What does not hold for an image is
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
    """Write the dataset; returns where its files are, and what was left out: images at URLs, and names that are no
    UTF-8, which a sample can't hold. Raises ConfigError where there are such files already, OSError."""
    metadata, samples = folder / "metadata.json", folder / "samples.json"
    for path in (metadata, samples):
        if path.exists():
            raise ConfigError(f"{path} exists; choose another folder, or delete that file")
    images = results.images()
    odd = images["path_bytes"].notna() | images["path"].map(lambda path: protocol_of(path) is not None).astype(bool)
    with atomic_write(samples) as file:
        file.write(b'{"samples": [')
        for number, sample in enumerate(_samples(results, images[~odd])):
            file.write(b",\n" if number else b"\n")
            file.write(json.dumps(sample).encode())
        file.write(b"\n]}\n")
    info = {
        "run": results.summary["run"],
        "fast_diff": results.summary["version"],
        "pairs": results.summary["config"]["pairs"],
    }
    with atomic_write(metadata) as file:  # the last one: with it the dataset is whole
        file.write(json.dumps({"media_type": "image", "info": info}, indent=1).encode())
    left = (
        [f"left out: {counted(int(odd.sum()), 'image')} at URLs, or with names that are not UTF-8"] if odd.any() else []
    )
    return [str(metadata), str(samples), *left]


def _samples(results: Results, images: pd.DataFrame) -> Iterator[dict[str, Any]]:
    matches, clusters = _matches(results), results.clusters().set_index("path").to_dict("index")
    for path, size, width, height, error in images[["path", "bytes", "width", "height", "error"]].itertuples(
        index=False
    ):
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
    """Of each image that has any: labels of the others, nearest first, with the turn of the other that fits it."""
    figure = results.comparison.column
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    rows = results.pairs(expand=True)[["path_a", "path_b", figure, "rotation"]]
    for a, b, far, turned in rows.itertuples(index=False):
        for path, other, turn in ((a, b, int(turned)), (b, a, -int(turned) % 360)):
            found[path].append({"_cls": "Classification", "label": other, figure: float(far), "rotation": turn})
    return found
