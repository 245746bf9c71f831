"""Which image of a cluster stays: rules in order, each of which decides where those before it tie.

keep: [{folder: [Originals, "*/archive"]}, resolution, {format: [raw, tiff, png, jpeg]}, taken, {path: shortest}]
"""

from __future__ import annotations

import difflib
import fnmatch
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import TaskError
from stages.decoding import formats
from stages.functions import RAISED, imported, said

Ints = NDArray[np.int64]
Rule: TypeAlias = str | Mapping[str, str | Sequence[str]]

FORMATS = ("raw", "tiff", "png", "jpeg")
"""The rule `format` prefers them in this order."""
PATHS = ("alphabetical", "shortest", "deepest")
NAMES = {"raw", *(name.lower() for format in formats.FORMATS for name in format.pillow)} - {"mpo"}
"""Formats that the rule `format` may name."""
FAMILIES = {"MPO": "jpeg"}
"""Formats by another name, in the spelling of the thumbnail stage."""
LAST = np.iinfo(np.int64).max
"""Comes after everything that is known."""
FACTS = {
    "resolution": ("width", "height"),
    "bytes": ("bytes",),
    "format": ("format",),
    "oldest": ("mtime_ns",),
    "newest": ("mtime_ns",),
    "taken": ("taken",),
    "sharpness": ("bytes", "digest", "path_bytes"),
    "folder": (),
    "path": (),
}
"""Rules, and what each needs to know of an image beside its path."""
TOLD = ("width", "height", "bytes", "format", "mode", "taken", "contrast", "digest", "mtime_ns")
"""What a function of the user's is told of an image, beside its path."""


def checked(value: Any) -> Rule:
    """A rule as it was written. Raises ValueError that says what was expected."""
    if isinstance(value, Mapping):
        name, argument = next(iter(value.items())) if len(value) == 1 else ("", None)
        if name == "path" and argument in PATHS:
            return {name: argument}
        if name in ("folder", "format") and isinstance(argument, list | tuple) and argument:
            if all(isinstance(each, str) and each for each in argument):
                if name == "format" and (odd := [each for each in argument if each.lower() not in NAMES]):
                    raise ValueError(f"expected format: names of {', '.join(sorted(NAMES))}, got {odd[0]!r}")
                return {name: tuple(argument if name == "format" else map(_folder, argument))}
            raise ValueError(f"expected {name}: [names in order of preference], got {argument!r}")
        raise ValueError(
            "expected folder: [patterns], format: [names] or path: alphabetical, shortest or deepest, "
            f"got {dict(value)!r}"
        )
    if isinstance(value, str) and ":" in value:
        imported(value)
        return value
    plain = sorted(FACTS.keys() - {"folder"})
    if value in plain:
        return str(value)
    near = difflib.get_close_matches(str(value), plain, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    more = "folder: [patterns], format: [names], path: shortest or deepest, or package.module:function"
    raise ValueError(f"expected {', '.join(plain)}, {more}, got {value!r}{hint}")


def _folder(pattern: str) -> str:
    return os.path.expanduser(pattern).rstrip("/") or "/"  # noqa: PTH111  # where the config is read


def named(rule: Rule) -> str:
    """The rule's name, or its function's."""
    return rule if isinstance(rule, str) else next(iter(rule))


def facts(rules: Sequence[Rule]) -> set[str]:
    """Columns of `scan` and `thumbnail` that rules look at."""
    return {column for rule in rules for column in FACTS.get(named(rule), TOLD)}


def ranks(images: pa.Table, rules: Sequence[Rule], sharpness: Callable[[pa.Table], NDArray[np.float64]]) -> Ints:
    """A place of its own for each image, int64 (n,): of any cluster, the one with the least is to stay.

    `images` are in path order, which breaks the last tie; `reference`, bool, tells those that stay in any case, and
    come first. `sharpness` measures images, and is asked only if a rule says so. Raises TaskError where a function of
    the user's fails."""
    measured = {"sharpness": lambda: -sharpness(images)}
    keys = [measured.get(named(rule), lambda rule=rule: _key(images, rule))() for rule in rules]
    others = np.asarray(pc.invert(images["reference"]).to_numpy())
    order = np.lexsort([np.arange(images.num_rows), *reversed(keys), others])
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    return places


def _key(images: pa.Table, rule: Rule) -> NDArray[Any]:
    """What to sort by, the least first."""
    name, argument = (rule, None) if isinstance(rule, str) else next(iter(rule.items()))
    match name:
        case "resolution":
            return -_ints(images["width"]) * _ints(images["height"])
        case "bytes":
            return -_ints(images["bytes"])
        case "oldest":
            return _ints(images["mtime_ns"])
        case "newest":
            return -_ints(images["mtime_ns"])
        case "taken":
            return _ints(pc.fill_null(images["taken"].cast(pa.int64()), LAST))
        case "format":
            return _of_format(images["format"], tuple(argument or FORMATS))
        case "folder":
            return _of_folder(images["path"], tuple(argument or ()))
        case "path":
            return _of_path(images["path"], str(argument or PATHS[0]))
        case _:
            return _of_function(images, name)


def _ints(column: pa.ChunkedArray) -> Ints:
    return np.asarray(column.to_numpy(), np.int64)


def _of_format(column: pa.ChunkedArray, wanted: Sequence[str]) -> Ints:
    places = {name.lower(): place for place, name in reversed(list(enumerate(wanted)))}
    names = pc.utf8_upper(column).to_pylist()
    return np.array([places.get(FAMILIES.get(name, name.lower()), len(wanted)) for name in names], np.int64)


def _of_folder(column: pa.ChunkedArray, patterns: Sequence[str]) -> Ints:
    """A pattern with a slash is held against a folder and those it lies in, another against each part of its path."""
    known: dict[str, int] = {}

    def place(folder: str) -> int:
        path = PurePosixPath(folder)
        whole = [folder, f"{folder}/", *map(str, path.parents)]
        for number, pattern in enumerate(patterns):
            held = whole if "/" in pattern else path.parts
            if any(text == pattern or fnmatch.fnmatchcase(text, pattern) for text in held):
                return number
        return len(patterns)

    folders = [path.rpartition("/")[0] for path in column.to_pylist()]
    for folder in set(folders):
        known[folder] = place(folder)
    return np.array([known[folder] for folder in folders], np.int64)


def _of_path(column: pa.ChunkedArray, which: str) -> Ints:
    if which == "shortest":
        return _ints(pc.utf8_length(column))
    if which == "deepest":
        return -_ints(pc.count_substring(column, "/"))
    return np.arange(len(column))


def _of_function(images: pa.Table, name: str) -> NDArray[np.float64]:
    function = imported(name)
    found = np.empty(images.num_rows)
    for number, image in enumerate(images.select(["path", *TOLD]).to_pylist()):
        try:
            found[number] = float(function(image))
        except RAISED as error:
            raise TaskError(f"cluster.keep: {name} failed on {image['path']}: {said(error)}") from error
        if np.isnan(found[number]):
            raise TaskError(f"cluster.keep: {name}: expected a number, got nan for {image['path']}")
    return -found
