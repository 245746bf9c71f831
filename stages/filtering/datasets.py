"""Write the JSON files of a folder that Hugging Face's `datasets.save_to_disk` wrote, so that the result can be loaded.

If rows are removed, each split gets a new fingerprint, since the library finds its caches by fingerprint. The counts of
rows and bytes in `dataset_info.json` are left out, since they are no longer true."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.store.atomic import atomic_write
from stages.filtering.outcome import Refused
from stages.listing.layouts import SPLITS, STATE

INFO = b"dataset_info.json"
COUNTS = ("splits", "download_size", "dataset_size", "size_in_bytes", "download_checksums")
"""Keys of `dataset_info.json` with counts of rows and bytes."""


def json_files(root: bytes) -> Iterator[bytes]:
    """Yield the JSON files of a data set and of its splits. Raises OSError."""
    with os.scandir(root) as entries:
        folders = [root, *sorted(entry.path for entry in entries if entry.is_dir())]
    for folder in folders:
        for name in (SPLITS, STATE, INFO):
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                yield path


def write_json(name: bytes, removals: str, target: Path) -> None:
    """Write a JSON file of a data set to `target`.

    removals  digest of the removed images of the data set; empty if no image is removed

    Raises:
        Refused: the file can't be read.
        OSError: a file can't be read or written."""
    try:
        data = json.loads(Path(os.fsdecode(name)).read_bytes())
    except ValueError as error:
        raise Refused(f"the file can't be read ({error})") from error
    if removals and isinstance(data, dict):
        data = _changed(data, os.path.basename(name), removals)
    with atomic_write(target) as file:
        file.write(json.dumps(data, indent=2).encode())


def _changed(data: dict[str, Any], name: bytes, removals: str) -> dict[str, Any]:
    if name == INFO:
        return {key: value for key, value in data.items() if key not in COUNTS}
    if name == STATE:
        mixed = hashlib.sha256(f"{data.get('_fingerprint')} {removals}".encode()).hexdigest()
        return {**data, "_fingerprint": mixed[:16]}
    return data
