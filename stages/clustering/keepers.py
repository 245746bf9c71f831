"""Choose the keeper of each cluster, by rules in order.

Each rule decides among the images that earlier rules rank equally.

keep: [resolution, metadata, original, avoid, oldest, live, {path: shallowest}, bytes]

Why the default has this order:

resolution  lost pixels can't be restored
metadata    conversions, messengers and editors remove camera, date and place, and no program adds these to a copy;
            captions, keywords, names of people and ratings are a person's work, which a copy may lack
original    a file's encoding shows earlier encodings; the rule decides nothing between byte-identical copies
avoid       names such as "Backup 2015" and "IMG_1 (1).jpg" are evidence; dates of files are weaker evidence, since
            programs that copy, unpack or download files set dates arbitrarily
oldest      a re-encoding is younger than its source; among byte-identical files the oldest date counts for all,
            since a backup may have kept a date that its source has lost
live        of byte-identical files, the keeper is the file whose folder holds more pictures without a copy elsewhere: a
            backup is less complete than its source
path        the path with the fewest folders: weak evidence
bytes       the largest file: weak evidence

After the last rule, ties are broken by the rule `live`, if not in the list, and then by the alphabetical order of the
paths. The rules `path` and `{path: alphabetical}` leave no ties."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.store.backends.locations import at_home
from stages.clustering.keeper_keys import PASSED, PATHS, Key, Rule, keys_of, named, oldest
from stages.clustering.live import folders_of, less_live
from stages.comparing.functions import imported
from stages.decoding.formats import registry as formats

Ints = NDArray[np.int64]

DEFAULT: tuple[Rule, ...] = (
    *("resolution", "metadata", "original", "avoid", "oldest", "live"),
    {"path": "shallowest"},
    "bytes",
)
FORMAT_NAMES = {"raw", *(name.lower() for format in formats.FORMATS for name in format.pillow)} - {"mpo"}
"""Formats that the rule `format` accepts."""
FACTS = {
    "resolution": ("width", "height"),
    "metadata": ("camera", "taken", "gps", "annotations"),
    "original": (
        *("width", "height", "format", "mode", "camera", "software", "orientation", "quality", "tables"),
        *("subsampling", "progressive", "was_jpeg", "taken"),
    ),
    "companions": ("companions",),
    "bytes": ("bytes",),
    "format": ("format",),
    "oldest": ("taken", "mtime_ns"),
    "newest": ("mtime_ns",),
    "taken": ("taken",),
    "sharpness": ("bytes", "digest", "location", "path_bytes"),
    "avoid": ("root",),
    "live": (),
    "folder": (),
    "path": (),
}
"""Columns that each rule reads, besides the path of an image."""
OF_SCAN = frozenset({"mtime_ns", "root", "companions"})
"""Columns of FACTS in the scan stage; the other columns are in the thumbnail stage."""
LISTS = ("folder", "format", "avoid")
"""Rules that take a list."""
STAYS = ("keeper", "reference", "dismissed")
"""Columns that are reasons for an image to stay; an image without a reason may be removed."""


def stay(members: pa.Table) -> pa.ChunkedArray:
    """Return which rows have a reason to stay."""
    return functools.reduce(pc.or_, (members[reason] for reason in STAYS))


def checked(value: Any) -> Rule:
    """Check a rule of the config, and return the rule with `~` in folders expanded.

    Raises:
        ValueError: the rule is invalid; the message states the expected rules."""
    if isinstance(value, Mapping):
        name, argument = next(iter(value.items())) if len(value) == 1 else ("", None)
        if name == "path" and argument in PATHS:
            return {name: argument}
        if name in LISTS and isinstance(argument, list | tuple) and argument:
            if all(isinstance(each, str) and each for each in argument):
                return {name: _listed(name, argument)}
            raise ValueError(f"expected {name}: [names in order of preference], got {argument!r}")
        raise ValueError(
            f"expected folder: [patterns], format: [names], avoid: [patterns] or path: {', '.join(PATHS[:-1])} or "
            f"{PATHS[-1]}, got {dict(value)!r}"
        )
    if isinstance(value, str) and ":" in value:
        imported(value)
        return value
    plain = sorted(FACTS.keys() - {"folder"})
    if value in plain:
        return str(value)
    near = difflib.get_close_matches(str(value), plain, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    more = "folder: [patterns], format: [names], avoid: [patterns], path: shallowest, or package.module:function"
    raise ValueError(f"expected {', '.join(plain)}, {more}, got {value!r}{hint}")


def _listed(name: str, argument: Sequence[str]) -> tuple[str, ...]:
    if name == "format" and (odd := [each for each in argument if each.lower() not in FORMAT_NAMES]):
        raise ValueError(f"expected format: names of {', '.join(sorted(FORMAT_NAMES))}, got {odd[0]!r}")
    if name == "avoid" and (odd := [each for each in argument if "/" in each]):
        raise ValueError(f"expected avoid: patterns of names, without a slash, got {odd[0]!r}")
    return tuple(map(_folder, argument) if name == "folder" else argument)


def _folder(pattern: str) -> str:
    return at_home(pattern).rstrip("/") or "/"


def facts(rules: Sequence[Rule]) -> set[str]:
    """Return the columns of `scan` and `thumbnail` that the rules read."""
    needed = {column for rule in rules for column in FACTS.get(named(rule), PASSED)}
    return needed | ({"digest"} if {"live", "oldest"} <= set(map(named, rules)) else set())


def _may_tie(rules: Sequence[Rule]) -> bool:
    """Return whether images may tie by the rules, so that the rule `live` decides."""
    return not any(rule in ("path", {"path": PATHS[0]}) for rule in rules)


@dataclass(frozen=True)
class RankingContext:
    """The context in which images are ranked.

    family  number of each image's connected component of matches, int64 (n,)
    images  returns the number of the run's images in each folder; called for the rule `live` only"""

    family: Ints
    images: Callable[[], Mapping[str, int]]


@dataclass(frozen=True)
class Ranking:
    """An order of images.

    places  a different rank for each image, int64 (n,); a cluster's keeper has the least rank
    keys    sort keys, in order"""

    places: Ints
    keys: Sequence[Key]

    def reasons(self, first: Ints, second: Ints) -> list[str]:
        """Return why image `first[i]` comes before image `second[i]`; both int64 (m,).

        The first key in which the two images differ gives the reason."""
        found = np.full(len(first), -1)
        for number, key in enumerate(self.keys):
            differ = (found < 0) & (key.values[first] != key.values[second])
            found[differ] = number
        return [self.keys[number].reason for number in found.tolist()]


def ranked(
    images: pa.Table,
    rules: Sequence[Rule],
    sharpness: Callable[[pa.Table], NDArray[np.float64]],
    context: RankingContext,
) -> Ranking:
    """Rank images by the rules.

    images     in path order, which breaks the last tie; images with `reference`, bool, come first
    sharpness  measures images; called for the rule `sharpness` only

    Raises:
        TaskError: a user's function fails."""
    others = np.asarray(pc.invert(images["reference"]).to_numpy())
    keys = [Key(others, "in a reference folder")]
    last = [] if "live" in rules or not _may_tie(rules) else ["live"]
    for rule in (*rules, *last):
        match named(rule):
            case "live":
                keys.append(_live(images, keys, context))
            case "oldest":
                keys += oldest(images, _alike(images, context.family) if "live" in rules else None)
            case "sharpness":
                keys.append(Key(-sharpness(images), "sharper"))
            case _:
                keys += keys_of(images, rule, context.family)
    if {"live", "oldest"} <= set(map(named, rules)):
        keys += oldest(images)
    keys += keys_of(images, "path", context.family)
    order = np.lexsort([key.values for key in reversed(keys)])
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    return Ranking(places, keys)


def _alike(images: pa.Table, family: Ints) -> Ints:
    """Return a number per image, int64 (n,), equal for identical files of a family."""
    digest = images["digest"].combine_chunks().dictionary_encode().indices
    codes = digest.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    codes = np.where(codes < 0, codes.max(initial=0) + 1 + np.arange(len(codes)), codes)
    _, numbers = np.unique(family * (int(codes.max(initial=0)) + 1) + codes, return_inverse=True)
    return numbers.reshape(-1).astype(np.int64)


def _live(images: pa.Table, keys: Sequence[Key], context: RankingContext) -> Key:
    """Return the key of the rule `live`.

    The rule ranks folders by their best images. An image is best if no image of its family has a lesser value in
    `keys`, the keys of earlier rules."""
    order = np.lexsort([*(key.values for key in reversed(keys)), context.family])
    first = np.diff(context.family[order], prepend=-1) != 0
    start = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
    best = np.ones(len(order), bool)
    for key in keys:
        values = key.values[order]
        best &= values == values[start]
    good = np.empty(len(order), bool)
    good[order] = best
    folders = folders_of(images["path"]).to_pylist()
    places = less_live(folders, context.family, good, context.images())
    return Key(places, "in the folder with the most images that have no copy elsewhere")
