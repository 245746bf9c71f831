"""Name the companions of the images in a plan, with their sizes and times.

The names come from the run's image table."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pyarrow.compute as pc
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as validated

from stages.commands.results.tables import Results
from stages.comparing.paths import are_among
from stages.decoding.recheck import names_of
from stages.decoding.sources import in_range
from stages.listing.companions import NAME_SEPARATOR, stem_of
from stages.listing.path_text import show
from stages.listing.takeout import is_json_of


@validated(frozen=True, config=ConfigDict(extra="forbid"))
class PlannedCompanion:
    """A companion of an image at the time of the plan.

    `name`: without the folder, in which the image is, too."""

    name: str
    bytes: int
    mtime_ns: int


def true_name(shown: str, image: bytes) -> bytes:
    """Return the true name of a companion of the image with this name.

    A companion begins with the image's stem, which alone may hold bytes that are not UTF-8, or is a JSON of Takeout."""
    stem = stem_of(image)
    return stem + shown[len(show(stem)) :].encode() if shown.startswith(show(stem)) else shown.encode()


def may_accompany(shown: str, image: bytes) -> bool:
    """Return whether a text may be the name of a companion of the image with this name."""
    if "/" in shown or "\0" in shown:
        return False
    return shown.startswith(show(stem_of(image)) + ".") or is_json_of(shown, image)


def companions_of(results: Results, paths: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the companions of the images in `paths`, as data for a plan, by path.

    Images without companions are left out.

    Files that the run has compared as images, and files that are gone, are left out. Raises ConfigError."""
    named = dict(_named(results, paths))
    compared = _compared(results, {file for _, files in named.values() for file in files})
    found: dict[str, list[dict[str, Any]]] = {}
    for path, (names, files) in named.items():
        for name, file in zip(names, files, strict=True):
            if file not in compared:
                with contextlib.suppress(OSError):
                    stat = os.lstat(file)
                    companion = {"name": name, "bytes": stat.st_size, "mtime_ns": in_range(stat.st_mtime_ns)}
                    found.setdefault(path, []).append(companion)
    return found


def _named(results: Results, paths: Collection[str]) -> Iterator[tuple[str, tuple[list[str], list[bytes]]]]:
    """Yield the path of each image with companions, and their names and true paths."""
    wanted = frozenset(paths)
    for table in results.tables("scan", ("path", "path_bytes", "companions")):
        rows = table.filter(pc.is_valid(table["companions"]))
        rows = rows.filter(are_among(rows["path"], wanted))
        texts = zip(rows["path"].to_pylist(), names_of(rows), rows["companions"].to_pylist(), strict=True)
        for path, true, text in texts:
            folder, _, image = true.rpartition(b"/")
            names = text.split(NAME_SEPARATOR)
            yield path, (names, [folder + b"/" + true_name(name, image) for name in names])


def _compared(results: Results, files: Collection[bytes]) -> set[bytes]:
    """Return which files are images that the run could read."""
    found: set[bytes] = set()
    wanted = frozenset(files)
    for table in results.tables("thumbnail", ("path", "path_bytes", "error")) if files else ():
        found |= wanted.intersection(names_of(table.filter(pc.is_null(table["error"]))))
    return found


def naming_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a plan's keys about names, from a run's config.

    Returns an empty mapping for a run of an earlier version."""
    patterns = config.get("companions", {}).get("patterns")
    if patterns is None:
        return {}
    return {"companion_patterns": patterns, "extensions": config["scan"]["extensions"]}
