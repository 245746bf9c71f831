"""Find the keeper of each cluster again for `verify`, by sorting images by tuples of keys.

Only constants of the rules, such as the patterns of copies' names, are imported from the modules that made the results.
"""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from stages.clustering.copy_names import NAMES, SHORT
from stages.clustering.keeper_keys import PREFERRED, SECOND
from stages.clustering.originals import EDITORS, HEIF_CAMERAS, HEIF_SINCE, POOR, UNSEEN, WEB
from stages.commands.verify.data import Recorded
from stages.commands.verify.distances import Ints, below
from stages.commands.verify.truth import Check
from stages.decoding.formats.registry import LOSSLESS

Image: TypeAlias = dict[str, Any]
Family: TypeAlias = list[Image]
RuleKey: TypeAlias = Callable[[Image, Family], Any]
OF_THUMBNAILS = (
    *("path", "width", "height", "bytes", "format", "mode", "digest", "taken", "camera", "software", "gps"),
    *("orientation", "quality", "tables", "subsampling", "progressive", "was_jpeg", "annotations"),
)
OF_SCANS = ("path", "root", "mtime_ns", "companions")
LATE = 1 << 63
"""Sort key of a missing date, greater than the key of every date."""


def check_keepers(run: Recorded, check: Check, table: pd.DataFrame, roots: Ints) -> None:
    """Check that the keeper of each cluster is the cluster's first image by `cluster.keep`.

    table  rows of the cluster stage
    roots  number of each image's connected component of matches, int64 (n,)"""
    keep = run.config["cluster"]["keep"]
    rules = [(each, None) if isinstance(each, str) else next(iter(each.items())) for each in keep]
    if unknown := sorted({name for name, _ in rules} - KEYS.keys() - {"live", "oldest"}):
        check.facts["note"] = f"keepers were not checked: verify does not know cluster.keep {', '.join(unknown)}"
        return
    order = _order(run, rules, _families(run, roots))
    columns = zip(table["cluster"], table["path"], table["keeper"], table["reason"], strict=True)
    first: dict[int, str] = {}
    kept: dict[int, str] = {}
    for cluster, path, keeper, reason in columns:
        first[cluster] = min(first.get(cluster, path), path, key=order.__getitem__)
        if keeper:
            kept[cluster] = path
        recorded = reason if isinstance(reason, str) else None
        if keeper != (recorded is not None):
            check.add(run.clusters, recorded, "a reason" if keeper else None, path=path, what="reason")
    for cluster, path in kept.items():
        if first[cluster] != path:
            check.add(run.clusters, path, first[cluster], cluster=int(cluster), what="keeper")


def _families(run: Recorded, roots: Ints) -> list[Family]:
    """Return facts about the images that match another image, one list for each connected component."""
    members = np.flatnonzero(np.bincount(roots, minlength=len(roots))[roots] > 1)
    family = {run.images.path(number): int(roots[number]) for number in members.tolist()}
    known: dict[str, Image] = {path: {} for path in family}
    for files, columns in ((run.parts, OF_THUMBNAILS), (run.scans, OF_SCANS)):
        for row in (row for file in files for row in file.table(columns).to_pylist()):
            if row["path"] in known:
                known[row["path"]] |= row
    found: dict[int, Family] = {}
    for path, image in known.items():
        image["reference"] = below(path, run.config["inputs"]["reference"])
        found.setdefault(family[path], []).append(image)
    return list(found.values())


def _order(run: Recorded, rules: list[tuple[str, Any]], families: list[Family]) -> dict[str, Any]:
    """Return the sort key of each image, by path."""
    names = [name for name, _ in rules]
    last: list[tuple[str, Any]] = [] if "live" in names or ("path", None) in rules else [("live", None)]
    last = [] if ("path", "alphabetical") in rules else last
    dates: list[tuple[str, Any]] = [("own date", None)] if {"live", "oldest"} <= set(names) else []
    keys: dict[str, list[Any]] = {image["path"]: [not image["reference"]] for each in families for image in each}
    for name, argument in (*rules, *last, *dates, ("path", None)):
        live = _live(run, keys, families) if name == "live" else None
        key = _oldest("live" in names) if name == "oldest" else KEYS[name](argument) if live is None else None
        for family in families:
            for image in family:
                path = image["path"]
                keys[path].append(live[path] if live is not None else key(image, family) if key else None)
    return keys


def _oldest(shared: bool) -> RuleKey:
    """Return the key of the rule `oldest`.

    shared  whether all files with the same bytes count as old as the oldest of these files"""

    def key(image: Image, family: Family) -> Any:
        same = [each["mtime_ns"] for each in family if each["digest"] == image["digest"]] if shared else []
        return _taken(image), min([image["mtime_ns"], *same]) // SECOND

    return key


def _taken(image: Image) -> int:
    return LATE if image["taken"] is None else int(pd.Timestamp(image["taken"]).value)


def _live(run: Recorded, keys: Mapping[str, list[Any]], families: list[Family]) -> dict[str, Any]:
    """Return the sort key of the rule `live` for each image, by path.

    The key is a tuple with one number for each folder level at which the paths of the image's family differ. To count
    for a folder, an image must have no equally good copy in another folder. The number is minus the count of such
    images in and below the image's folder at this level."""
    folders = [path.rpartition("/")[0] for path in run.images.paths.to_pylist()]
    own = Counter(folders)
    for family in families:
        own.subtract(_folder(image) for image in family)
        least = min(keys[image["path"]] for image in family)
        best = {_folder(image) for image in family if keys[image["path"]] == least}
        own.update(best if len(best) == 1 else ())
    within: Counter[tuple[str, ...]] = Counter()
    for folder, count in own.items():
        parts = tuple(folder.split("/"))
        for end in range(1, len(parts) + 1):
            within[parts[:end]] += count
    found: dict[str, Any] = {}
    for family in families:
        split = {tuple(_folder(image).split("/")) for image in family}
        found |= {image["path"]: _steps(tuple(_folder(image).split("/")), split, within, own) for image in family}
    return found


def _steps(
    parts: tuple[str, ...], split: Collection[tuple[str, ...]], within: Mapping[tuple[str, ...], int], own: Counter[str]
) -> tuple[int, ...]:
    """Return minus the number of images for each level at which a folder's path differs from another path in `split`.

    parts        the folder's path
    split        paths of all folders of the family
    within, own  number of images by folder, with and without subfolders

    The tuple ends at the first level at which another path has the same number of images."""

    def count(other: tuple[str, ...], end: int) -> int:
        return within[other[:end]] if len(other) >= end else own["/".join(other)]

    steps = []
    for end in range(1, len(parts) + 2):
        siblings = [other for other in split if other[: end - 1] == parts[: end - 1]]
        distinct = {other[:end] if len(other) >= end else (*other, ""): other for other in siblings}
        if len(distinct) > 1:
            steps.append(-count(parts, end))
            if sum(count(other, end) == count(parts, end) for other in distinct.values()) > 1:
                break
    return tuple(steps)


def _folder(image: Image) -> str:
    return str(image["path"].rpartition("/")[0])


def _original(image: Image, family: Family) -> Any:
    form, jpeg = image["format"], image["format"] in ("JPEG", "MPO")
    sources = [each for each in family if each["width"] * each["height"] >= image["width"] * image["height"]]
    lossy = [each for each in sources if each["format"] in ("JPEG", "MPO", "HEIF")]
    if image["was_jpeg"] is False:
        lossy = [each for each in lossy if each["format"] == "HEIF" or (each["quality"] or 100) >= UNSEEN]
    deep = (image["mode"] or " ")[0] in "IF"
    converted = form in LOSSLESS and not deep and bool(lossy)
    editor, fine = bool(EDITORS.search(image["software"] or "")), image["subsampling"] == "4:4:4"
    signs = editor + bool(image["progressive"]) + (fine and image["camera"] is not None)
    signs += -(-(POOR - image["quality"]) // 10) if (image["quality"] or 100) < POOR else 0
    heif = 4 if image["camera"] is None else 1 if HEIF_CAMERAS.match(image["camera"]) else 19
    heif = 19 if heif == 1 and image["taken"] is not None and image["taken"] < HEIF_SINCE else heif
    place = {"RAW": 0, "HEIF": heif, "GIF": 21}.get(form, 20 if form in WEB else 4 + signs if jpeg else 3)
    if jpeg and image["tables"] == "own" and not (editor or fine or image["progressive"]):
        place = 2
    return converted, place, image["orientation"] in (None, 1)


def _avoid(patterns: Sequence[str] | None) -> RuleKey:
    wanted = [pattern.casefold() for pattern in patterns or NAMES]

    def key(image: Image, family: Family) -> Any:
        top = image["root"].rstrip("/") + "/"
        inside = image["path"][len(top) :] if image["path"].startswith(top) else image["path"].rpartition("/")[2]
        parts = [part.casefold() for part in inside.split("/")]
        count = sum(any(fnmatch.fnmatchcase(part, pattern) for pattern in wanted) for part in parts)
        return count + (not patterns and _longer(_stem(image), min(map(_stem, family), key=lambda s: (len(s), s))))

    return key


def _stem(image: Image) -> str:
    name = image["path"].rpartition("/")[2].casefold()
    return str(name.rpartition(".")[0] or name)


def _longer(stem: str, short: str) -> bool:
    before, found, after = stem.partition(short)
    digits = ((before[-1:] + short[0]).isdigit() and before) or ((short[-1] + after[:1]).isdigit() and after)
    return bool(found) and len(short) >= SHORT and stem != short and not digits


def _of_format(wanted: Sequence[str] | None) -> RuleKey:
    names = [each.lower() for each in wanted or PREFERRED]

    def key(image: Image, family: Family) -> Any:
        name = "jpeg" if image["format"].upper() == "MPO" else image["format"].lower()
        return names.index(name) if name in names else len(names)

    return key


def _of_folder(patterns: Sequence[str]) -> RuleKey:
    def key(image: Image, family: Family) -> Any:
        for outer in reversed(PurePosixPath(image["path"]).parents):
            for number, pattern in enumerate(patterns):
                texts = [str(outer), f"{outer}/"] if "/" in pattern else [outer.name]
                if pattern in texts or any(fnmatch.fnmatchcase(text, pattern) for text in texts):
                    return number
        return len(patterns)

    return key


def _of_path(which: str | None) -> RuleKey:
    ways: Mapping[str | None, Callable[[str], Any]] = {
        "shortest": len,
        "shallowest": lambda path: path.count("/"),
        "deepest": lambda path: -path.count("/"),
    }
    return lambda image, family: ways.get(which, str.encode)(image["path"])


KEYS: Mapping[str, Callable[[Any], RuleKey]] = {
    "resolution": lambda _: lambda image, family: -image["width"] * image["height"],
    "metadata": lambda _: (
        lambda image, family: (
            (image["camera"] is None)
            + (image["taken"] is None)
            + (not image["gps"])
            - len((image["annotations"] or "").split())
        )
    ),
    "original": lambda _: _original,
    "companions": lambda _: (
        lambda image, family: -len((image["companions"] or "").split("/")) * bool(image["companions"])
    ),
    "bytes": lambda _: lambda image, family: -image["bytes"],
    "newest": lambda _: lambda image, family: -image["mtime_ns"],
    "own date": lambda _: lambda image, family: image["mtime_ns"] // SECOND,
    "taken": lambda _: lambda image, family: _taken(image),
    "format": _of_format,
    "avoid": _avoid,
    "folder": _of_folder,
    "path": _of_path,
}
"""Functions that return the sort key of a rule, by the rule's name; each function takes the rule's argument."""
