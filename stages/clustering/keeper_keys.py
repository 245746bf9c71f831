"""Compute the sort keys of each keeper rule."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.messages.errors import TaskError
from stages.clustering import copy_names
from stages.clustering.originals import conversions, encoding_order, pixels_of
from stages.comparing.functions import RAISED, error_text, imported

Ints = NDArray[np.int64]
Rule: TypeAlias = str | Mapping[str, str | Sequence[str]]

PREFERRED = ("raw", "tiff", "png", "jpeg")
"""Default order of formats of the rule `format`."""
PATHS = ("alphabetical", "shortest", "shallowest", "deepest")
SAME_FORMAT = {"MPO": "jpeg"}
"""Values of the column `format` that count as another format in the rule `format`."""
SECOND = 10**9
"""Nanoseconds of a second: a smaller difference of file dates only tells the order of copying."""
LAST = np.iinfo(np.int64).max
"""Sort value of a missing value: after every known value."""
PASSED = ("width", "height", "bytes", "format", "mode", "taken", "contrast", "digest", "mtime_ns")
"""Columns of an image that a user's function receives besides its path."""


class Key(NamedTuple):
    """A sort key.

    values  sort values, (n,); the image with the least value comes first
    reason  why an image with a lower value stays"""

    values: NDArray[Any]
    reason: str


def named(rule: Rule) -> str:
    """Return the name of a rule, or of its function."""
    return rule if isinstance(rule, str) else next(iter(rule))


def keys_of(images: pa.Table, rule: Rule, family: Ints) -> list[Key]:
    """Return the sort keys of a rule, in order.

    family  number of each image's connected component of matches, int64 (n,)"""
    name, argument = (rule, None) if isinstance(rule, str) else next(iter(rule.items()))
    match name:
        case "resolution":
            return [Key(-pixels_of(images), "more pixels")]
        case "metadata":
            known = sum(pc.is_valid(images[column]).to_numpy().astype(np.int64) for column in ("camera", "taken"))
            gps = pc.fill_null(images["gps"], False).to_numpy().astype(np.int64)
            written = pc.fill_null(pc.add(pc.count_substring(images["annotations"], " "), 1), 0)
            return [Key(-(known + gps + _ints(written)), "metadata that the others lack")]
        case "original":
            return _original(images, family)
        case "companions":
            counts = pc.fill_null(pc.add(pc.count_substring(images["companions"], "/"), 1), 0)
            return [Key(-_ints(counts), "more files that belong to it")]
        case "bytes":
            return [Key(-_ints(images["bytes"]), "more bytes")]
        case "newest":
            return [Key(-_ints(images["mtime_ns"]), "the newest file")]
        case "taken":
            return [_taken(images)]
        case "format":
            wanted = tuple(argument or PREFERRED)
            return [Key(_of_format(images["format"], wanted), f"its format comes first in {', '.join(wanted)}")]
        case "avoid":
            return [_avoid(images, tuple(argument or ()), family)]
        case "folder":
            return [Key(_of_folder(images["path"], tuple(argument or ())), "in a preferred folder")]
        case "path":
            return [_of_path(images["path"], str(argument or PATHS[0]))]
        case _:
            return [Key(_of_function(images, name), f"{name} gives more")]


def _ints(column: pa.ChunkedArray) -> Ints:
    return np.asarray(column.to_numpy(), np.int64)


def _taken(images: pa.Table) -> Key:
    return Key(_ints(pc.fill_null(images["taken"].cast(pa.int64()), LAST)), "taken earlier")


def oldest(images: pa.Table, alike: Ints | None = None) -> list[Key]:
    """Return the keys of the rule `oldest`: the camera's date, then the file's date.

    alike  a number per image, int64 (n,); the earliest file date counts for all images with one number"""
    dates = _ints(images["mtime_ns"])
    if alike is not None:
        first = np.full(int(alike.max(initial=-1)) + 1, LAST)
        np.minimum.at(first, alike, dates)
        dates = first[alike]
    return [_taken(images), Key(dates // SECOND, "the oldest file")]


def _original(images: pa.Table, family: Ints) -> list[Key]:
    return [
        Key(conversions(images, family), "not converted from a lossy file"),
        Key(encoding_order(images), "an earlier encoding, by its format and tables"),
        Key(pc.fill_null(images["orientation"], 1).to_numpy() == 1, "as the camera wrote it, not turned since"),
    ]


def _of_format(column: pa.ChunkedArray, wanted: Sequence[str]) -> Ints:
    places = {name.lower(): place for place, name in reversed(list(enumerate(wanted)))}
    names = pc.utf8_upper(column).to_pylist()
    return np.array([places.get(SAME_FORMAT.get(name, name.lower()), len(wanted)) for name in names], np.int64)


def _avoid(images: pa.Table, patterns: Sequence[str], family: Ints) -> Key:
    """Return the key of the rule `avoid`: how many names in the path match a pattern.

    Without patterns, the key is the number of names of copies, plus 1 if the file's name extends another name of the
    family."""
    paths = images["path"].to_pylist()
    count = copy_names.counter(patterns or copy_names.NAMES)
    found = np.array(
        [count(root, path) for root, path in zip(images["root"].to_pylist(), paths, strict=True)], np.int64
    )
    if not patterns:
        found += copy_names.longer([path.rpartition("/")[2] for path in paths], family)
    return Key(found, "neither name nor folder suggests a copy")


def _of_folder(column: pa.ChunkedArray, patterns: Sequence[str]) -> Ints:
    """Return the index of the pattern that decides on each image, int64 (n,).

    The first pattern that matches the outermost matched folder decides. A pattern with a slash is compared with the
    whole path of a folder, any other pattern with the folder's name."""
    folders = [path.rpartition("/")[0] for path in column.to_pylist()]
    known = {folder: _outermost(folder, patterns) for folder in set(folders)}
    return np.array([known[folder] for folder in folders], np.int64)


def _outermost(folder: str, patterns: Sequence[str]) -> int:
    outer = ""
    for name in folder.split("/"):
        outer = f"{outer}/{name}" if outer or name else ""
        for number, pattern in enumerate(patterns):
            held = (outer or "/", f"{outer}/") if "/" in pattern else (name,)
            if any(text == pattern or fnmatch.fnmatchcase(text, pattern) for text in held):
                return number
    return len(patterns)


def _of_path(column: pa.ChunkedArray, which: str) -> Key:
    if which == "shortest":
        return Key(_ints(pc.utf8_length(column)), "the shortest path")
    if which == "deepest":
        return Key(-_ints(pc.count_substring(column, "/")), "in the most folders")
    if which == "shallowest":
        return Key(_ints(pc.count_substring(column, "/")), "in the fewest folders")
    return Key(np.arange(len(column)), "the first path")


def _of_function(images: pa.Table, name: str) -> NDArray[np.float64]:
    function = imported(name)
    found = np.empty(images.num_rows)
    for number, image in enumerate(images.select(["path", *PASSED]).to_pylist()):
        try:
            found[number] = float(function(image))
        except RAISED as error:
            raise TaskError(f"cluster.keep: {name} failed on {image['path']}: {error_text(error)}") from error
        if np.isnan(found[number]):
            raise TaskError(f"cluster.keep: {name}: expected a number, got nan for {image['path']}")
    return -found
