"""Propose which images of each cluster to remove.

The run's keepers are kept, or the keepers that the rules of the command line choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.messages.errors import ConfigError
from stages.clustering import dismissed
from stages.clustering.copy_names import counter
from stages.clustering.distances import to_keepers
from stages.clustering.keepers import STAYS
from stages.commands.plan.companions import companions_of, naming_of
from stages.commands.plan.plan_file import FORMAT, VERSION
from stages.commands.results.names import folder_named
from stages.commands.results.tables import Results
from stages.comparing.text import one_line
from stages.kernels.measure.turns import MIRRORED

LOST = "an artifact is missing; run `fast-diff run` again first"

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class PlanRules:
    """Rules that choose the images to remove.

    prefer        folders, the most preferred first: an image below one of them becomes the keeper
    avoid         patterns of names: an image with such a name, or in such a folder, is the last choice as keeper
    only          kind of the images to remove. identical: the thumbnail equals the keeper's; brightness counts, even
                  with pairs.exposure: ignore. near: the thumbnail differs from the keeper's. turned: the image is
                  turned or mirrored against the keeper. mirrored: the image is mirrored against the keeper
    max_distance  greatest MSE between an image to remove and its keeper
    folders       folders of the images to remove"""

    prefer: Sequence[str] = ()
    avoid: Sequence[str] = ()
    only: str | None = None
    max_distance: float | None = None
    folders: Sequence[str] = ()


def proposal(results: Results, rules: PlanRules | None = None) -> tuple[dict[str, Any], int]:
    """Return a run's proposal as JSON data, and the number of images kept only because they are inside containers.

    Keepers, references, dismissed images and images inside containers are kept; other images are removed. Raises
    ConfigError."""
    check_finished(results)
    images = results.images().set_index("path")
    members = results.clusters()
    if members["reference"].isna().any():
        raise ConfigError(
            f"{results.folder}: an earlier version of fast-diff wrote the clusters, without the column `reference`; "
            "run `fast-diff run` again first"
        )
    if lost := set(members["path"]) - set(images.index):
        raise ConfigError(f"{results.folder}: {one_line(min(lost))} is in a cluster and in no other artifact: {LOST}")
    if rules and len(members):
        members = _ruled(results, members, images, rules)
    else:
        members = members.assign(removed=~members[list(STAYS)].any(axis=1))
    inside = images["container"].reindex(members["path"]).notna().to_numpy()
    left = int((members["removed"].to_numpy(bool) & inside).sum())
    members = members.assign(removed=members["removed"].to_numpy(bool) & ~inside)
    config = results.summary["config"]
    naming = naming_of(config)
    beside = companions_of(results, set(members.loc[members["removed"].to_numpy(bool), "path"])) if naming else {}
    groups = []
    for cluster, rows in members.groupby("cluster", sort=True):
        parts = {"keep": rows[~rows["removed"]], "remove": rows[rows["removed"]]}
        files = {part: [_file(path, images.loc[path]) for path in some["path"]] for part, some in parts.items()}
        for file in files["remove"]:
            file |= {"companions": beside[file["path"]]} if file["path"] in beside else {}
        if files["remove"]:
            groups.append({"cluster": int(str(cluster)), "reason": rows["reason"].iloc[0], **files})
    folder = results.folder.absolute() if isinstance(results.folder, Path) else results.folder
    references = list(config["inputs"].get("reference", []))
    plan = {FORMAT: VERSION, "run": str(folder), "references": references, **naming, "clusters": groups}
    return plan, left


def check_finished(results: Results) -> None:
    """Raise ConfigError where the last run did not finish: results may lack images and clusters."""
    if results.summary["failures"] or results.summary.get("clusters", {}).get("count") is None:
        raise ConfigError(f"{results.folder}: its last run did not finish; run `fast-diff run` again first")


def _file(path: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    file = {"path": path, "bytes": int(facts["bytes"]), "mtime_ns": int(facts["mtime_ns"]), "digest": facts["digest"]}
    odd = facts["path_bytes"]
    return file | ({"path_bytes": odd.hex()} if isinstance(odd, bytes) else {})


def _ruled(results: Results, members: pd.DataFrame, images: pd.DataFrame, rules: PlanRules) -> pd.DataFrame:
    """Return the members of clusters, keeper first, with the bool column `removed`."""
    prefer, below = ([folder_named(name, images.index) for name in names] for names in (rules.prefer, rules.folders))
    if prefer or rules.avoid:
        members = _other_keepers(results, members, images, prefer, rules)
    keeper = _keepers(members)
    distance, turn = members["mse_to_keeper"].to_numpy(), np.zeros(len(members), np.int64)
    unknown = np.isnan(distance) | (rules.only in ("turned", "mirrored"))
    if unknown.any() and (rules.only is not None or rules.max_distance is not None):
        distance = distance.copy()
        distance[unknown], turn[unknown] = _measured(results, members, np.flatnonzero(unknown), keeper, {})
    removed: Any = ~members[list(STAYS)].to_numpy(bool).any(axis=1)
    if rules.only is not None:
        same = distance == 0
        if rules.only in ("identical", "near") and results.comparison.exposure == "ignore":
            same[same] = _measured(results, members, np.flatnonzero(same), keeper, {"exposure": "compare"})[0] == 0
        such: dict[str, Mask] = {"identical": same, "near": ~same, "turned": turn > 0}
        such["mirrored"] = turn >= MIRRORED
        removed = removed & such[rules.only]
    if rules.max_distance is not None:
        removed = removed & (distance <= rules.max_distance)
    if below:
        removed = removed & np.array(
            [any(path.startswith(f"{folder}/") for folder in below) for path in members["path"]], bool
        )
    return members.assign(removed=removed)


def _measured(
    results: Results, members: pd.DataFrame, rows: Ints, keeper: Ints, other: Mapping[str, Any]
) -> tuple[NDArray[np.float64], Ints]:
    """Return the MSE of the members `rows` to their keepers, and the turns of these members.

    other  values that replace values of the config section `pairs`"""
    some = np.unique(np.concatenate([rows, keeper[rows]]))
    paths = pa.array(members["path"].to_numpy()[some], pa.string())
    config = results.summary["config"]
    config = config | {"pairs": config["pairs"] | other}
    distance, turn = to_keepers(
        results.artifacts("thumbnail"),
        lambda key: config[key.partition(".")[0]].get(key.partition(".")[2]),  # older runs lack newer keys
        paths,
        np.searchsorted(some, keeper[some]),
    )
    places = np.searchsorted(some, rows)
    return distance[places], turn[places]


def _keepers(members: pd.DataFrame) -> NDArray[np.int64]:
    """Return the row of each image's keeper; keepers come first in their clusters."""
    first = np.flatnonzero(np.diff(members["cluster"].to_numpy(), prepend=-1))
    return np.repeat(first, np.diff(first, append=len(members)))


def _other_keepers(
    results: Results, members: pd.DataFrame, images: pd.DataFrame, prefer: Sequence[str], rules: PlanRules
) -> pd.DataFrame:
    """Return the members with the keepers that `prefer` and `avoid` choose; distances to new keepers are NaN.

    Raises ConfigError."""
    cluster = results.summary["config"]["cluster"]
    if cluster["linkage"] == "star":
        raise ConfigError(
            "--prefer, --avoid: with cluster.linkage star, another keeper makes other clusters; set cluster.keep, such "
            "as cluster.keep=[{folder: [FOLDER]}, resolution], and run again"
        )
    count = counter(rules.avoid)
    roots = images["root"].reindex(members["path"])
    avoided = [count(root, path) for root, path in zip(roots, members["path"], strict=True)] if rules.avoid else 0
    place = [_place(path, prefer) for path in members["path"]]
    ranks = members.assign(other=~members["reference"], place=place, avoided=avoided)
    rows = ranks.sort_values(["cluster", "other", "place", "avoided", "rank"], ignore_index=True)
    keeper = _keepers(rows)
    first = keeper == np.arange(len(rows))
    changed = ~rows["keeper"].to_numpy(bool)[keeper]
    places, old = rows["place"].to_numpy(), rows["keeper"].to_numpy(bool)
    new_reasons = {
        cluster: f"below {one_line(prefer[new])} (--prefer)" if new < before else "name or folder not avoided (--avoid)"
        for cluster, new, before in zip(rows["cluster"][old], places[keeper[old]], places[old], strict=True)
    }
    reasons = [
        (new_reasons[number] if is_first else None) if other else reason
        for number, is_first, other, reason in zip(rows["cluster"], first, changed, rows["reason"], strict=True)
    ]
    is_dismissed = _dismissed(results, rows, images, keeper) if cluster["dismissed"] else np.zeros(len(rows), bool)
    return rows.assign(
        keeper=first,
        reason=pd.Series(reasons, dtype=object),
        dismissed=np.where(changed, is_dismissed, rows["dismissed"].to_numpy(bool)),
        mse_to_keeper=np.where(changed & ~first, np.nan, np.where(first, 0.0, rows["mse_to_keeper"].to_numpy())),
    )


def _place(path: str, prefer: Sequence[str]) -> int:
    found = (place for place, folder in enumerate(prefer) if path.startswith(f"{folder}/"))
    return next(found, len(prefer))


def _dismissed(results: Results, rows: pd.DataFrame, images: pd.DataFrame, keeper: NDArray[np.int64]) -> Mask:
    """Return which images are dismissed as duplicates of their keepers.

    Raises ConfigError."""
    try:
        pairs = dismissed.read(results.summary["config"]["cluster"]["dismissed"])
    except (ValueError, OSError) as error:
        raise ConfigError(f"cluster.dismissed: {error}; bring the file back, or run without it") from error
    digests = images["digest"].reindex(rows["path"]).tolist()
    both = zip(digests, (digests[place] for place in keeper.tolist()), strict=True)
    found: Mask = np.array([(min(pair), max(pair)) in pairs for pair in both], bool)
    return found
