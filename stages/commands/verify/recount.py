"""Recount the ledger for `verify` by grouping, and find clusters again by a simple union-find."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stages.commands.verify.data import Recorded
from stages.commands.verify.distances import Ints, below
from stages.commands.verify.keepers import check_keepers
from stages.commands.verify.truth import Check

PAIRS = 10_000
"""Greatest number of pairs of a cluster that are checked, for `linkage: complete`."""
LEDGER = ("pairs_total", "decided", "skipped_by_rule", "identical", "matches")


def expected_ledger(run: Recorded, block_a: int, block_b: int) -> dict[str, int]:
    """Return the correct ledger of a block pair, without `matches`.

    Pairs that a rule excludes are skipped. Of the other pairs, pairs of two representatives are decided; the rest are
    identical: a pair of representatives was compared instead."""
    images = [run.block(number) for number in (block_a, block_b)]
    firsts = [numbers[run.images.representative[numbers] == numbers] for numbers in images]
    if block_a == block_b and run.rules.ordered:
        firsts = images
    a, b = map(len, images)
    total = a * (a - 1) // 2 if block_a == block_b else a * b
    left, decided = (comparable(run, both[0], both[1], block_a == block_b) for both in (images, firsts))
    return {"pairs_total": total, "decided": decided, "skipped_by_rule": total - left, "identical": left - decided}


def comparable(run: Recorded, a: Ints, b: Ints, diagonal: bool) -> int:
    """Return the number of pairs of an image of a and an image of b that no rule excludes.

    diagonal  a and b are the same images, and each pair counts once"""
    settled = [numbers[run.images.settled[numbers]] for numbers in (a, b)]
    return _ruled_in(run, a, b, diagonal) - _ruled_in(run, settled[0], settled[1], diagonal)


def _ruled_in(run: Recorded, a: Ints, b: Ints, diagonal: bool) -> int:
    """Return the number of pairs that no rule excludes, if the rule `pairs.references` is ignored."""
    one_folder = _equal_pairs_by(run, a, b, diagonal, ("kind", "folder")) if run.rules.folders == "across" else 0
    return _equal_pairs_by(run, a, b, diagonal, ("kind",)) - one_folder


def _equal_pairs_by(run: Recorded, a: Ints, b: Ints, diagonal: bool, by: Sequence[str]) -> int:
    """Return the number of pairs whose images are equal in the columns `by` of `Images`.

    Pairs that are skipped for equal hashes are not counted."""
    if not len(a) or not len(b):
        return 0
    both = np.concatenate([a, b])
    numbers = np.unique(np.stack([getattr(run.images, name)[both] for name in by]), axis=1, return_inverse=True)[1]
    of_a, of_b = (np.bincount(each, minlength=len(both)) for each in np.split(numbers.reshape(-1), [len(a)]))
    count = int(of_a @ of_b)
    if diagonal:
        count = (count - len(a)) // 2  # each pair both ways, and each image with itself
    return count - (agreeing(run, a, b, diagonal, by) if run.rules.same_hash == "skip" else 0)


def agreeing(run: Recorded, a: Ints, b: Ints, diagonal: bool, by: Sequence[str] = ("kind",)) -> int:
    """Return the number of pairs whose images are equal in `by` and have equal hashes in some turn.

    The hashes are equal if hash_0 of one image is the hash of the other image in some turn. The result is the number of
    pairs where hash_0 of x is a turned hash of y, plus the number of pairs where hash_0 of y is a turned hash of x,
    less the number of pairs where both hold."""
    x, y = (_hashes(run, numbers, by) for numbers in (a, b))
    own, turned = [*by, "own"], [*by, "turned"]
    forth = equal_pairs(x.drop_duplicates("image")[own], y[turned])
    back = equal_pairs(x[turned], y.drop_duplicates("image")[own])
    both = equal_pairs(x[[*own, "turned"]], y[[*turned, "own"]])
    count = forth + back - both
    return (count - len(a)) // 2 if diagonal else count


def _hashes(run: Recorded, numbers: Ints, by: Sequence[str]) -> pd.DataFrame:
    """Return a row for each image and each different hash of the image in a turn.

    The columns: image, the columns `by`, own (hash_0), turned (the hash in the turn)."""
    hashes = run.images.hashes[numbers]
    columns = {name: getattr(run.images, name)[numbers] for name in by}
    images = pd.DataFrame({"image": numbers, **columns, "own": hashes[:, 0]})
    return pd.concat([images.assign(turned=hashes[:, turn]) for turn in run.rules.turns]).drop_duplicates()


def equal_pairs(left: pd.DataFrame, right: pd.DataFrame) -> int:
    """Return the number of pairs of a row of `left` and a row of `right` with equal values in all columns.

    Columns are compared by position, not by name."""
    names = list(range(left.shape[1]))
    counts = [frame.set_axis(names, axis=1).groupby(names, sort=False).size() for frame in (left, right)]
    both = pd.concat(counts, axis=1, join="inner").to_numpy(np.int64)
    return int((both[:, 0] * both[:, 1]).sum())


def components(edges: Iterable[tuple[Ints, Ints]], count: int) -> Ints:
    """Return the least number in the connected component of each number below `count`, int64 (count,)."""
    parent = list(range(count))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for a, b in edges:
        for x, y in zip(a.tolist(), b.tolist(), strict=True):
            first, second = sorted((root(x), root(y)))
            parent[second] = first
    return np.array([root(number) for number in range(count)], np.int64)


def check_clusters(run: Recorded) -> Check:
    """Check the members, the keeper and the other columns of each cluster.

    Members are checked by computing the connected components again, or by the condition of the linkage."""
    check, cluster = Check(), run.config["cluster"]
    threshold = run.config["pairs"]["threshold"] if cluster["threshold"] is None else cluster["threshold"]
    columns = ["keeper", "reference", "dismissed", "mse_to_keeper", "width", "height", "bytes"]
    table = run.clusters.table(["cluster", "path", *columns], whole=True).to_pandas()
    table["reason"] = run.clusters.table(["reason"]).column(0).to_pylist()  # null but for keepers
    # sorted within a set only, so paths are looked up among all images
    places = pc.index_in(pa.array(table["path"], pa.string()), value_set=run.images.paths)
    image = places.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    check.counted = len(table)
    flat = np.append(_flat(run, cluster["min_contrast"]), False)  # image -1: a path that is no image
    roots = components(_edges(run, threshold, flat), len(run.images))
    if cluster["linkage"] == "components" and not cluster["dismissed"]:
        _check_components(run, check, table, image, roots)
    else:
        _check_linkage(run, check, table, image, threshold, flat)
    for i in np.flatnonzero(pd.Series(image).duplicated() & (image >= 0)):
        check.add(run.clusters, "a second row", "one row", path=table["path"][i], what="cluster")
    for number, keepers in table.groupby("cluster")["keeper"].sum().items():
        if keepers != 1:
            check.add(run.clusters, int(keepers), 1, cluster=number, what="keepers")
    if not check.wrong:
        _check_members(run, check, table, image)
        check_keepers(run, check, table, roots)
    stays = table[["keeper", "reference", "dismissed"]].any(axis=1)
    removable = table["bytes"][~stays].sum()
    expected = {"count": table["keeper"].sum(), "images": len(table), "removable_bytes": removable}
    recorded = [(f"clusters.{name}", run.summary["clusters"].get(name), true) for name, true in expected.items()]
    for name, actual, true in [*recorded, ("flat", run.summary.get("flat"), flat.sum())]:
        if actual != true and not check.wrong:
            check.add("run.json", actual, int(true), what=name)
    run.step("clusters")
    return check


def _check_components(run: Recorded, check: Check, table: pd.DataFrame, image: Ints, roots: Ints) -> None:
    """Check that clusters are the connected components of the matches."""
    labels = _numbered(run, roots)
    for i in np.flatnonzero(labels[image] != table["cluster"]):
        true = None if labels[image[i]] < 0 else int(labels[image[i]])
        check.add(run.clusters, int(table["cluster"][i]), true, path=table["path"][i], what="cluster")
    for number in np.setdiff1d(np.flatnonzero(labels >= 0), image):
        check.add(run.clusters, None, int(labels[number]), path=run.images.path(number), what="cluster")


def _check_linkage(
    run: Recorded, check: Check, table: pd.DataFrame, image: Ints, threshold: float, flat: NDArray[np.bool_]
) -> None:
    """Check the condition of the linkage in each cluster.

    With `complete`, every two images of a cluster match; in a large cluster, only a sample of pairs is checked. With
    `star`, each image matches the keeper. Whether images are missing from a cluster is not checked."""
    linkage, random = run.config["cluster"]["linkage"], np.random.default_rng(0)
    check.facts["note"] = f"clusters were checked against the condition of {linkage}, not formed again"
    keeper, wrong = table["keeper"].to_numpy(bool), (image < 0) | flat[image]
    ends: list[Ints] = []
    for found in table.groupby("cluster").indices.values():
        members = np.asarray(found, np.int64)
        wrong[members] |= len(members) < 2
        if linkage == "complete":
            many = len(members) * (len(members) - 1) // 2 > PAIRS
            every = np.stack(np.triu_indices(1 if many else len(members), 1))
            ends.append(members[random.integers(0, len(members), (2, PAIRS)) if many else every])
        elif linkage == "star" and keeper[members].any():
            ends.append(np.stack(np.broadcast_arrays(members[keeper[members]][0], members)))
    if ends:  # components with dismissed pairs have no condition: other images may connect a dismissed pair
        rows = np.concatenate(ends, axis=1)
        low, high = np.sort(image[rows], axis=0)
        pairs = np.flatnonzero((low >= 0) & (low < high))
        far = pairs[run.measure(low[pairs], high[pairs])[0] / run.rules.divisor > threshold]
        recorded, measured = run.find(low[far], high[far])
        wrong[rows[1, far[np.isnan(recorded) | measured]]] = True
    for i in np.flatnonzero(wrong):
        check.add(run.clusters, int(table["cluster"][i]), None, path=table["path"][i], what="cluster")


def _flat(run: Recorded, least: float) -> NDArray[np.bool_]:
    """Return which images have a standard deviation of thumbnail values below `least`, computed again, bool (n,)."""
    if not least:
        return np.zeros(len(run.images), np.bool_)
    thumbnails = (image for number in range(len(run.parts)) for image in run.thumbnails_of(number))
    return np.array([image.astype(np.float64).std() for image in thumbnails], np.float32) < least


def _edges(run: Recorded, threshold: float, flat: NDArray[np.bool_]) -> Iterable[tuple[Ints, Ints]]:
    for place in run.pairs:
        for rows in run.rows(place):
            joining = (rows.mse <= threshold) & (rows.a >= 0) & (rows.b >= 0) & ~flat[rows.a] & ~flat[rows.b]
            yield rows.a[joining], rows.b[joining]


def _numbered(run: Recorded, roots: Ints) -> Ints:
    """Return the number of each image's cluster, int64 (n + 1,); -1 for an image in no cluster.

    Clusters are numbered in the order of their first paths. The last entry is -1, for a path without an image, whose
    number is -1."""
    members = np.flatnonzero(np.bincount(roots, minlength=len(roots))[roots] > 1)
    order = pc.array_sort_indices(run.images.paths.take(pa.array(members))).to_numpy()  # in byte order
    labels = np.full(len(roots) + 1, -1)
    labels[members[order]] = pd.factorize(roots[members[order]])[0]
    return labels


def _check_members(run: Recorded, check: Check, table: pd.DataFrame, image: Ints) -> None:
    """Check the columns of each image; the members and keepers of all clusters must be correct."""
    keepers = table["keeper"].to_numpy(bool)
    of_cluster = dict(zip(table["cluster"][keepers], image[keepers], strict=True))
    keeper = np.array([of_cluster[number] for number in table["cluster"]], np.int64)
    a, b = np.minimum(image, keeper), np.maximum(image, keeper)
    mse = run.measure_thumbnails(a, b)[0] / run.mse_divisor
    recorded, measured = run.find(a, b)
    if run.metric == "mse":
        mse[~np.isnan(recorded) & ~measured] = 0.0  # recorded without measuring, since hashes agree
    roots = run.config["inputs"]["reference"]
    reference = np.array([below(path, roots) for path in table["path"]], bool)
    expected = {"mse_to_keeper": mse, "reference": reference} | {
        name: getattr(run.images, name)[image] for name in ("width", "height", "bytes")
    }
    for name, true in expected.items():
        for i in np.flatnonzero(table[name].to_numpy() != true):
            check.add(run.clusters, table[name][i].item(), true[i].item(), path=table["path"][i], what=name)
