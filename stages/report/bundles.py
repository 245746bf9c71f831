"""Bundle the images that lie in the same folders and whose matches lie in the same folders.

A row about two representatives represents all pairs of images of the two groups; these pairs are not listed one by one.
`image_groups.py` forms the groups."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.stage import Artifact, Inputs, Settings
from stages.clustering.matches import ENDS
from stages.comparing.blocks import read_blocks, rule_inputs
from stages.comparing.comparison import Comparison, comparison_of
from stages.comparing.index_columns import group_columns
from stages.comparing.metrics.kinds import kind_of
from stages.kernels.graph.trees import Bundle
from stages.report.image_groups import ImageFolders, ImageGroups, OwnerFolders

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

WAITING = 1 << 22
"""Number of matches that are collected before equal matches are merged."""
BLOCKS = 32
"""Number of blocks whose paths are held in memory."""


class _Blocks:
    """The blocks of a run to which the rows of pairs artifacts belong.

    representative  the representative of each image, int64 (n,)"""

    def __init__(
        self, indexes: Sequence[Artifact], comparison: Comparison, settings: Settings, pairs: Iterable[Artifact]
    ) -> None:
        self._comparison = comparison
        self._symmetric = kind_of(comparison).symmetric(comparison)
        self._indexes = {index.key: index for index in indexes}
        starts = np.cumsum([0, *(index.rows for index in indexes)]).tolist()
        self._start = dict(zip(self._indexes, starts, strict=False))
        inputs = rule_inputs(comparison, settings)
        self._paths = lru_cache(maxsize=BLOCKS)(self._read_paths)
        self.representative = np.arange(starts[-1])
        for key in dict.fromkeys(key for artifact in pairs for key in artifact.key.split(".")):
            table = self._indexes[key].table(group_columns(comparison))
            (block,) = read_blocks([table], comparison, *inputs)
            start = self._start[key]
            self.representative[start : start + len(block.representative)] = start + block.representative

    def _read_paths(self, key: str) -> pa.Array:
        return self._indexes[key].table(["path"])["path"].combine_chunks()

    def matches(self, artifact: Artifact, limit: float) -> Iterator[tuple[Ints, Ints, Mask]]:
        """Yield both images of each row within `limit`, and whether the distance was measured as 0."""
        keys, column = artifact.key.split("."), self._comparison.column
        paths = [self._paths(key) for key in keys]
        for batch in artifact.batches([*ENDS, column, "measured"]):
            rows = batch.filter(pc.less_equal(batch.column(column), limit))
            a, b = (
                self._start[key] + pc.index_in(rows.column(end), value_set=there).to_numpy().astype(np.int64)
                for key, end, there in zip(keys, ENDS, paths, strict=True)
            )
            exact = pc.and_(pc.equal(rows.column(column), 0.0), rows.column("measured"))
            yield a, b, np.asarray(exact.to_numpy(zero_copy_only=False), bool)

    def single(self, artifact: Artifact, a: Ints, b: Ints) -> Mask:
        """Return which rows represent only one pair of images, bool (n,).

        These are the rows about images of one block, from different groups, if the metric is asymmetric."""
        first, _, second = artifact.key.partition(".")
        different: Mask = self.representative[a] != self.representative[b]
        return different & (first == second and not self._symmetric)


class _Matched:
    """Distinct matches of sources with targets; a source is a group or an image, a target is a folder or a group.

    Equal matches are merged; a merged match is identical if any of the equal matches is at distance 0."""

    def __init__(self, targets: int) -> None:
        self._targets = targets
        self._parts: list[Ints] = []
        self._waiting = self._kept = 0

    def add(self, source: Ints, target: Ints, identical: Mask) -> None:
        self._parts.append((source * self._targets + target) * 2 + identical)
        self._waiting += len(source)
        if self._waiting > max(WAITING, 2 * self._kept):
            self.merged()

    def merged(self) -> tuple[Ints, Ints]:
        """Return the sources, sorted, and for each a code of its target: 2 * target + identical."""
        codes = np.unique(np.concatenate([np.empty(0, np.int64), *self._parts]))
        codes = codes[np.diff(codes >> 1, append=-1) != 0]  # of equal matches, keep the last: an identical one, if any
        self._parts, self._waiting, self._kept = [codes], len(codes), len(codes)
        source, target = np.divmod(codes, 2 * self._targets)
        return source, target


def bundles(
    inputs: Inputs, settings: Settings, images: ImageFolders, dismissed: Collection[tuple[int, int]]
) -> Iterator[Bundle]:
    """Yield bundles of images that lie in the same folders and whose matches lie in the same folders.

    dismissed  dismissed pairs, as numbers of `images.dismissed`; each pair in both orders"""
    comparison = comparison_of(settings)
    threshold = settings("cluster.threshold")
    limit = settings("pairs.threshold") if threshold is None else threshold
    pairs = [artifact for artifact in inputs.of("pairs") if artifact.rows]
    blocks = _Blocks(inputs.of("index"), comparison, settings, pairs)
    groups = ImageGroups(blocks.representative, images, dismissed)
    found = _Matched(images.folders + groups.count)
    for artifact in pairs:
        for a, b, zero in blocks.matches(artifact, limit):
            there = ~(images.flat[a] | images.flat[b])
            single = there & blocks.single(artifact, a, b)
            for one, other in ((a, b), (b, a)) if single.any() else ():
                known = single & groups.may_match(one, other)
                found.add(groups.count + one[known], images.folder[other[known]], zero[known])
            there &= ~single
            one, other, zero = groups.of_rows(
                blocks.representative[a[there]], blocks.representative[b[there]], zero[there]
            )
            found.add(one, groups.target[other], zero)
            found.add(other, groups.target[one], zero)
    yield from _bundled(*found.merged(), groups, images)


def _bundled(sources: Ints, targets: Ints, groups: ImageGroups, images: ImageFolders) -> Iterator[Bundle]:
    """Yield bundles of images with equal folders and equal targets.

    sources, targets  see `_Matched.merged`"""
    single = np.unique(sources[sources >= groups.count]) - groups.count
    owner = np.where(np.isin(groups.of, sources), groups.of, -1)
    owner[single] = groups.count + single
    leaves = OwnerFolders.of(owner, images)
    first = np.flatnonzero(np.diff(leaves.owner, prepend=-1))
    owners, ends = leaves.owner[first], np.append(first, len(leaves.owner))[1:]
    group = np.where(owners < groups.count, owners, 0)
    group[owners >= groups.count] = groups.of[owners[owners >= groups.count] - groups.count]
    from_group, from_own = (
        np.stack([np.searchsorted(sources, numbers, side) for side in ("left", "right")]) for numbers in (group, owners)
    )
    found: dict[tuple[bytes, bytes], tuple[Ints, Ints, Ints]] = {}

    def add(folders: Ints, matched: Ints, counts: Ints) -> None:
        sums = found.setdefault((folders.tobytes(), matched.tobytes()), (folders, matched, np.zeros_like(counts)))[2]
        sums += counts

    counts = np.stack([leaves.images, leaves.bytes])
    plain = (ends - first == 1) & (from_group[1] - from_group[0] == 1) & (owners < groups.count)  # most images
    width = 2 * (images.folders + groups.count)
    codes = leaves.folder[first[plain]] * width + targets[from_group[0][plain]]
    kinds, place = np.unique(codes, return_inverse=True)
    sums = np.zeros((len(kinds), 2), np.int64)
    np.add.at(sums, place, counts.T[first[plain]])
    for kind, column in zip(np.stack(np.divmod(kinds, width), axis=1), sums, strict=True):
        add(kind[:1], kind[1:], column[:, None])
    for number in np.flatnonzero(~plain).tolist():
        start, end = first[number], ends[number]
        matched = targets[slice(*from_group[:, number])]
        if owners[number] >= groups.count:
            matched = np.unique(np.concatenate([matched, targets[slice(*from_own[:, number])]]))
        add(leaves.folder[start:end], matched, counts[:, start:end])
    for folders, matched, counts in found.values():
        there, identical = _resolved(matched, groups, images.folders)
        if len(there):
            yield Bundle(folders, counts[0], counts[1], there, identical)


def _resolved(matched: Ints, groups: ImageGroups, count: int) -> tuple[Ints, Mask]:
    """Return the folders of targets, ascending, and for each folder whether a match there is at distance 0.

    matched  codes of targets; see `_Matched.merged`
    count    number of folders"""
    target, exact = matched // 2, matched % 2
    plain = target < count
    parts, zeros = [target[plain]], [exact[plain]]
    for number, zero in zip((target[~plain] - count).tolist(), exact[~plain].tolist(), strict=True):
        some = groups.leaves.folder[groups.leaves.at(number)]
        parts.append(some)
        zeros.append(np.full(len(some), zero))
    folders, place = np.unique(np.concatenate(parts), return_inverse=True)
    identical = np.zeros(len(folders), np.int64)
    np.maximum.at(identical, place, np.concatenate(zeros))
    return folders, identical > 0
