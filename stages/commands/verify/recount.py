"""Two things counted anew for `verify`: the ledger by grouping, and the clusters by a plain union-find."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from stages.commands.verify.data import Recorded
from stages.commands.verify.distances import Ints, below
from stages.commands.verify.keepers import check_keepers
from stages.commands.verify.truth import Check

PAIRS = 10_000
"""Pairs of one cluster that are looked at, for `linkage: complete`."""
LEDGER = ("pairs_total", "decided", "skipped_by_rule", "identical", "matches")


def expected_ledger(run: Recorded, block_a: int, block_b: int) -> dict[str, int]:
    """What the ledger of a block pair must say, but for its matches.

    Pairs that a rule takes out are skipped. Of the others those between images that stand for their groups are
    decided, and all the rest are known by them."""
    images = [run.block(number) for number in (block_a, block_b)]
    standing = [numbers[run.images.stands[numbers] == numbers] for numbers in images]
    diagonal = block_a == block_b
    total = _pairs(len(images[0]), len(images[1]), diagonal)
    left, decided = (comparable(run, a, b, diagonal) for a, b in (images, standing))
    return {
        "pairs_total": total,
        "decided": decided,
        "skipped_by_rule": total - left,
        "identical": left - decided,
    }


def _pairs(a: int, b: int, diagonal: bool) -> int:
    return a * (a - 1) // 2 if diagonal else a * b


def comparable(run: Recorded, a: Ints, b: Ints, diagonal: bool) -> int:
    """Pairs of images of a with those of b that no rule takes out (`diagonal`: a is b, and each pair counts once)."""
    settled = [numbers[run.images.settled[numbers]] for numbers in (a, b)]
    return _alike(run, a, b, diagonal) - _alike(run, settled[0], settled[1], diagonal)


def _alike(run: Recorded, a: Ints, b: Ints, diagonal: bool) -> int:
    """The same but for the rule of references."""
    kinds = [pd.DataFrame({"kind": run.images.kind[numbers]}) for numbers in (a, b)]
    count = equal_pairs(kinds[0], kinds[1])
    if diagonal:
        count = (count - len(a)) // 2  # each pair both ways, and each image with itself
    return count - (agreeing(run, a, b, diagonal) if run.rules.same_hash == "skip" else 0)


def agreeing(run: Recorded, a: Ints, b: Ints, diagonal: bool) -> int:
    """Pairs of equal kind in which hash_0 of one image is among the turns of the other; no pair is looked at.

    Those where it holds one way, plus those where it holds the other way, less those where it holds both ways: for
    these the turn that x lends is y's own hash, and the turn that y lends is x's own."""
    x, y = (_hashes(run, numbers) for numbers in (a, b))
    own, turned = ["kind", "own"], ["kind", "turned"]
    forth = equal_pairs(_once(x, own), _all(y, turned))
    back = equal_pairs(_all(x, turned), _once(y, own))
    both = equal_pairs(_all(x, ["kind", "own", "turned"]), _all(y, ["kind", "turned", "own"]))
    count = forth + back - both
    return (count - len(a)) // 2 if diagonal else count


def _hashes(run: Recorded, numbers: Ints) -> pd.DataFrame:
    """A row for each image and each different hash among its turns: image, kind, own (hash_0), turned."""
    frames = [
        pd.DataFrame(
            {
                "image": numbers,
                "kind": run.images.kind[numbers],
                "own": run.images.hashes[numbers, 0],
                "turned": run.images.hashes[numbers, turn],
            }
        )
        for turn in range(run.rules.turns)
    ]
    return pd.concat(frames).drop_duplicates()


def _once(hashes: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    return hashes.drop_duplicates("image")[list(columns)]


def _all(hashes: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    return hashes[list(columns)]


def equal_pairs(left: pd.DataFrame, right: pd.DataFrame) -> int:
    """How many pairs of a row of one and a row of the other are equal, column by column in the order given."""
    names = list(range(left.shape[1]))
    counts = [frame.set_axis(names, axis=1).groupby(names, sort=False).size() for frame in (left, right)]
    both = pd.concat(counts, axis=1, join="inner").to_numpy(np.int64)
    return int((both[:, 0] * both[:, 1]).sum())


def join(edges: Iterable[tuple[Ints, Ints]], count: int) -> Ints:
    """The least number in each one's component, int64 (count,)."""
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
    """Who is in which cluster, by joining the matches anew or by what the linkage asks; its keeper; and what is said of
    each."""
    check, cluster = Check(), run.config["cluster"]
    threshold = run.config["pairs"]["threshold"] if cluster["threshold"] is None else cluster["threshold"]
    said_of = ["keeper", "reference", "dismissed", "mse_to_keeper", "width", "height", "bytes"]
    table = run.clusters.table(["cluster", "path", *said_of], whole=True).to_pandas()
    table["reason"] = run.clusters.table(["reason"]).column(0).to_pylist()  # of keepers alone
    # Paths of a are sorted, and those of b; together they need not be, so they are looked up as a whole.
    places = pc.index_in(pa.array(table["path"], pa.string()), value_set=run.images.paths)
    image = places.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    check.counted = len(table)
    if cluster["linkage"] == "components" and not cluster["dismissed"]:
        _check_components(run, check, table, image, threshold)
    else:
        _check_linkage(run, check, table, image, threshold)
    for i in np.flatnonzero(pd.Series(image).duplicated() & (image >= 0)):
        check.add(run.clusters, "a second row", "one row", path=table["path"][i], what="cluster")
    for number, keepers in table.groupby("cluster")["keeper"].sum().items():
        if keepers != 1:
            check.add(run.clusters, int(keepers), 1, cluster=number, what="keepers")
    if not check.wrong:
        _check_members(run, check, table, image)
        check_keepers(run, check, table, join(_edges(run, threshold), len(run.images)))
    stays = table[["keeper", "reference", "dismissed"]].any(axis=1)
    removable = table["bytes"][~stays].sum()
    figures = {"count": table["keeper"].sum(), "images": len(table), "removable_bytes": removable}
    said = [(f"clusters.{name}", run.summary["clusters"].get(name), true) for name, true in figures.items()]
    for name, stands, true in [*said, ("flat", run.summary.get("flat"), run.flat(cluster["min_contrast"]).sum())]:
        if stands != true and not check.wrong:
            check.add("run.json", stands, int(true), what=name)
    run.step("clusters")
    return check


def _check_components(run: Recorded, check: Check, table: pd.DataFrame, image: Ints, threshold: float) -> None:
    """Clusters are what chains of matches join."""
    labels = _numbered(run, join(_edges(run, threshold), len(run.images)))
    for i in np.flatnonzero(labels[image] != table["cluster"]):
        true = int(labels[image[i]])
        check.add(
            run.clusters, int(table["cluster"][i]), true if true >= 0 else None, path=table["path"][i], what="cluster"
        )
    for number in np.setdiff1d(np.flatnonzero(labels >= 0), image):
        check.add(run.clusters, None, int(labels[number]), path=run.images.path(number), what="cluster")


def _check_linkage(run: Recorded, check: Check, table: pd.DataFrame, image: Ints, threshold: float) -> None:
    """What a linkage asks of each cluster: `complete` that every two of its images match, `star` that each matches its
    keeper. Of a large cluster some pairs are looked at. That it could not have more images is not looked at."""
    linkage, random = run.config["cluster"]["linkage"], np.random.default_rng(0)
    check.facts["note"] = f"clusters were held against what {linkage} asks of them, not formed again"
    flat = np.append(run.flat(run.config["cluster"]["min_contrast"]), False)
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
    if ends:  # of components with dismissals there is nothing to ask: others may join the two
        rows = np.concatenate(ends, axis=1)
        low, high = np.sort(image[rows], axis=0)
        there = np.flatnonzero((low >= 0) & (low < high))
        far = there[run.measure(low[there], high[there])[0] / run.rules.divisor > threshold]
        stands, measured = run.find(low[far], high[far])
        wrong[rows[1, far[np.isnan(stands) | measured]]] = True
    for i in np.flatnonzero(wrong):
        check.add(run.clusters, int(table["cluster"][i]), None, path=table["path"][i], what="cluster")


def _edges(run: Recorded, threshold: float) -> Iterable[tuple[Ints, Ints]]:
    flat = np.append(run.flat(run.config["cluster"]["min_contrast"]), False)  # for the -1 of a path that is no image's
    for place in run.pairs:
        for rows in run.rows(place):
            there = (rows.mse <= threshold) & (rows.a >= 0) & (rows.b >= 0) & ~flat[rows.a] & ~flat[rows.b]
            yield rows.a[there], rows.b[there]


def _numbered(run: Recorded, roots: Ints) -> Ints:
    """The number of each image's cluster, by the first of its paths; -1 for an image that nothing joins.

    One more -1 follows: what stands for a path that is no image's."""
    members = np.flatnonzero(np.bincount(roots, minlength=len(roots))[roots] > 1)
    order = pc.array_sort_indices(run.images.paths.take(pa.array(members))).to_numpy()  # by their bytes
    labels = np.full(len(roots) + 1, -1)
    labels[members[order]] = pd.factorize(roots[members[order]])[0]
    return labels


def _check_members(run: Recorded, check: Check, table: pd.DataFrame, image: Ints) -> None:
    """What the table says of each image of clusters that are right."""
    keepers = table["keeper"].to_numpy(bool)
    of_cluster = dict(zip(table["cluster"][keepers], image[keepers], strict=True))
    keeper = np.array([of_cluster[number] for number in table["cluster"]], np.int64)
    a, b = np.minimum(image, keeper), np.maximum(image, keeper)
    mse = run.measure(a, b)[0] / run.rules.divisor
    stands, measured = run.find(a, b)
    mse[~np.isnan(stands) & ~measured] = 0.0  # recorded unseen, since hashes agree
    roots = run.config["inputs"]["reference"]
    reference = np.array([below(path, roots) for path in table["path"]], bool)
    expected = {"mse_to_keeper": mse, "reference": reference} | {
        name: getattr(run.images, name)[image] for name in ("width", "height", "bytes")
    }
    for name, true in expected.items():
        for i in np.flatnonzero(table[name].to_numpy() != true):
            check.add(run.clusters, table[name][i].item(), true[i].item(), path=table["path"][i], what=name)
