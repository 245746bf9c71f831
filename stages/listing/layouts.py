"""Recognise folders whose container files are a data set.

Such folders are outputs of `datasets.save_to_disk` (Hugging Face) or of img2dataset. Their containers are opened,
although the config names only the folder."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

STATE, SPLITS = b"state.json", b"dataset_dict.json"
STATS = re.compile(rb"\d+_stats\.json")
"""Files that img2dataset writes beside each shard."""


def dataset_files(root: bytes) -> list[bytes] | None:
    """Return the Arrow files of a folder that `save_to_disk` wrote; None for any other folder.

    Files that the library keeps beside the data set, such as caches, do not belong to the data set."""
    splits = _read(os.path.join(root, SPLITS))
    if splits is not None and isinstance(names := splits.get("splits"), list):
        parts = (dataset_files(os.path.join(root, os.fsencode(name))) for name in names if isinstance(name, str))
        return [path for files in parts for path in files or ()]
    state = _read(os.path.join(root, STATE))
    return None if state is None else list(_files(root, state.get("_data_files")))


def remote_files(names: Collection[str], read: Callable[[str], bytes]) -> list[str] | None:
    """Return the names of the Arrow files of a data set behind a URL.

    Returns None where `save_to_disk` did not write the files below the URL.

    names  names of all files below the URL
    read   returns the content of one of the files"""
    parts = [f"{part}/" for part in _splits(read)] if "dataset_dict.json" in names else [""]
    states = {part: _parsed(read(f"{part}state.json")) for part in parts if f"{part}state.json" in names}
    if not any(states.values()):
        return None
    files = (_files(part.encode(), state.get("_data_files")) for part, state in states.items())
    return [os.fsdecode(path) for found in files for path in found]


def _splits(read: Callable[[str], bytes]) -> list[str]:
    named = _parsed(read("dataset_dict.json")).get("splits")
    return [name for name in named if isinstance(name, str)] if isinstance(named, list) else []


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _files(root: bytes, named: Any) -> Iterator[bytes]:
    for entry in named if isinstance(named, list) else ():
        name = entry.get("filename") if isinstance(entry, dict) else None
        if isinstance(name, str) and name and "/" not in name and "\0" not in name:
            yield os.path.join(root, os.fsencode(name))


def _read(path: bytes) -> dict[str, Any] | None:
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def is_of_img2dataset(root: bytes) -> bool:
    """Return whether img2dataset wrote a folder."""
    with os.scandir(root) as entries:
        return any(STATS.fullmatch(entry.name) for entry in entries)
