"""Compute the sort keys of each keeper rule."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.messages.errors import TaskError
from stages.clustering import copy_names
from stages.comparing.functions import RAISED, imported, said
from stages.decoding.formats.registry import LOSSLESS

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Rule: TypeAlias = str | Mapping[str, str | Sequence[str]]

PREFERRED = ("raw", "tiff", "png", "jpeg")
"""Default order of formats of the rule `format`."""
PATHS = ("alphabetical", "shortest", "shallowest", "deepest")
FAMILIES = {"MPO": "jpeg"}
"""Format names that count as another format, as the thumbnail stage writes the names."""
SECOND = 10**9
"""Nanoseconds of a second: a smaller difference of file dates only tells the order of copying."""
LAST = np.iinfo(np.int64).max
"""Sort value of a missing value: after every known value."""
PASSED = ("width", "height", "bytes", "format", "mode", "taken", "contrast", "digest", "mtime_ns")
"""Columns of an image that a user's function receives besides its path."""

JPEG = ("JPEG", "MPO")
WEB = ("WEBP", "AVIF", "JXL", "JPEG2000")
"""Lossy formats that no camera writes."""
HEIF_CAMERAS = re.compile(
    r"apple|samsung|huawei|honor|xiaomi|oppo|oneplus|canon eos|sony (?:sony )?il[cm]e|nikon.* z ?\d|fujifilm x|"
    r"panasonic dc",
    re.IGNORECASE,
)
"""Cameras that write HEIF; a HEIF image of another camera, or before HEIF_SINCE, was converted."""
HEIF_SINCE = datetime(2017, 6, 1)
EDITORS = re.compile(
    r"adobe|photoshop|lightroom|gimp|picasa|image ?magick|graphicsmagick|paint|snapseed|affinity|capture one|darktable|"
    r"rawtherapee|irfanview|xnview|acdsee|photoscape|pixelmator|canva|instagram|facebook|"
    r"photo (?:viewer|gallery|editor)",
    re.IGNORECASE,
)
"""Names of programs, other than camera firmware, that write images."""
UNSEEN = 98
"""JPEG quality from which the JPEG's grid may be undetectable in a lossless conversion."""
POOR = 80
"""Least quality at which cameras encode."""


class Key(NamedTuple):
    """A sort key.

    values  (n,), the least first
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
            return [Key(-_pixels(images), "more pixels")]
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


def _pixels(images: pa.Table) -> Ints:
    return _ints(images["width"]) * _ints(images["height"])


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
    """Return the keys of the rule `original`.

    In order: images that are not lossless conversions of lossy files; images with fewer signs of re-encoding; images
    that EXIF turns, before images with turned pixels."""
    quality = _quality(images)
    jpeg, heif, has_camera = _form(images, *JPEG), _form(images, "HEIF"), _are(pc.is_valid(images["camera"]), True)
    own = _are(images["tables"], "own")
    editor = np.array([bool(each and EDITORS.search(each)) for each in images["software"].to_pylist()], bool)
    fine, progressive = _are(images["subsampling"], "4:4:4"), _are(images["progressive"], True)
    signs = editor.astype(np.int64) + progressive
    # Cameras halve the chroma; without a known camera, any program may have encoded the original.
    signs += has_camera & fine
    signs += np.where(quality < POOR, (POOR + 9 - quality) // 10, 0)
    by_camera = jpeg & own & ~editor & ~progressive & ~fine
    heif_camera = np.array([bool(each and HEIF_CAMERAS.match(each)) for each in images["camera"].to_pylist()], bool)
    heif_camera &= ~_are(pc.less(images["taken"], pa.scalar(HEIF_SINCE, images["taken"].type)), True)
    order = np.full(len(signs), 3)  # lossless, or unknown
    kinds: list[tuple[Mask, Any]] = [(_form(images, "RAW"), 0), (heif, 4)]
    kinds += [(heif & heif_camera, 1), (heif & has_camera & ~heif_camera, 19), (jpeg, 4 + signs), (by_camera, 2)]
    for which, value in (*kinds, (_form(images, *WEB), 20), (_form(images, "GIF"), 21)):
        order = np.where(which, value, order)
    return [
        Key(_conversions(images, family), "not converted from a lossy file"),
        Key(order, "an earlier encoding, by its format and tables"),
        Key(pc.fill_null(images["orientation"], 1).to_numpy() == 1, "as the camera wrote it, not turned since"),
    ]


def _are(column: pa.ChunkedArray, value: Any) -> Mask:
    return np.asarray(pc.fill_null(pc.equal(column, value), False).to_numpy(), bool)


def _form(images: pa.Table, *formats: str) -> Mask:
    return _are(pc.is_in(images["format"], pa.array(formats)), True)


def _quality(images: pa.Table) -> Ints:
    """Return the quality of each JPEG by its tables, int64 (n,).

    The quality is 100 for images without tables."""
    return np.asarray(pc.fill_null(images["quality"].cast(pa.int64()), 100).to_numpy(), np.int64)


def _conversions(images: pa.Table, family: Ints) -> Mask:
    """Return which lossless images may be conversions of a lossy image, bool (n,).

    Both images belong to one family.

    The lossy image has at least as many pixels. If a JPEG's grid was found in the lossless image, or no search was
    possible, any lossy image counts. If no grid was found, only a lossy image counts that leaves no grid."""
    pixels, jpeg, heif = _pixels(images), _form(images, *JPEG), _form(images, "HEIF")
    lossless = _form(images, *LOSSLESS) & ~_are(pc.match_substring_regex(images["mode"], "^[IF]"), True)
    seen, clear = _are(images["was_jpeg"], True), _are(images["was_jpeg"], False)
    may = np.zeros(len(pixels), bool)
    for made_of, which in ((jpeg | heif, seen | ~clear), (heif | (jpeg & (_quality(images) >= UNSEEN)), clear)):
        largest = np.zeros(int(family.max(initial=-1)) + 1, np.int64)
        np.maximum.at(largest, family[made_of], pixels[made_of])
        may |= which & (largest[family] >= pixels)
    return lossless & may


def _of_format(column: pa.ChunkedArray, wanted: Sequence[str]) -> Ints:
    places = {name.lower(): place for place, name in reversed(list(enumerate(wanted)))}
    names = pc.utf8_upper(column).to_pylist()
    return np.array([places.get(FAMILIES.get(name, name.lower()), len(wanted)) for name in names], np.int64)


def _avoid(images: pa.Table, patterns: Sequence[str], family: Ints) -> Key:
    """Return the key of the rule `avoid`.

    The key is the number of names in the path that match a pattern.

    Without patterns, names of copies count, and one more for a name that extends another name of the family."""
    paths = images["path"].to_pylist()
    count = copy_names.counter(patterns or copy_names.NAMES)
    found = np.array(
        [count(root, path) for root, path in zip(images["root"].to_pylist(), paths, strict=True)], np.int64
    )
    if not patterns:
        found += copy_names.longer([path.rpartition("/")[2] for path in paths], family)
    return Key(found, "neither name nor folder suggests a copy")


def _of_folder(column: pa.ChunkedArray, patterns: Sequence[str]) -> Ints:
    """Return for each image the place of the pattern that decides, int64 (n,).

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
            raise TaskError(f"cluster.keep: {name} failed on {image['path']}: {said(error)}") from error
        if np.isnan(found[number]):
            raise TaskError(f"cluster.keep: {name}: expected a number, got nan for {image['path']}")
    return -found
