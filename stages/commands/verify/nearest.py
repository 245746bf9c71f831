"""Compare sampled images with all others for `verify`, and check the pairs nearest to the threshold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.commands.verify.data import Recorded
from stages.commands.verify.distances import Ints, turned, undone
from stages.commands.verify.truth import Check, allowed, decide, hold_against_results

NEAR = 50
"""Pairs checked on either side of the threshold, by distance and again by lower bound."""
TOGETHER = 256
"""Images of a partition that are compared with the sample at once."""
GRID = 4  # cells along each side of a thumbnail
ROUNDING = 1e-3
"""Sums of squares are integers; a bound in float64 is off by less than this."""

Features = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def _nearest(first: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    """Return the NEAR rows of least `far`, the distance of a pair's value to the limit; a, b: the pair's images."""
    return pd.concat([first, more]).sort_values("far", kind="stable")[:NEAR]


def check_nearest(run: Recorded, images: int, seed: int) -> Check:
    """Compare random images with all others, and check the rows of some pairs.

    Checked are all matches, the pairs nearest to the threshold by distance and by lower bound, and that each lower
    bound is at most the sum of squares. Vectors have no lower bound."""
    check = Check()
    n, threshold = len(run.images), run.rules.threshold
    if threshold is None:
        check.facts["note"] = "the run has no threshold to be near to; the ledger check finds missing pairs"
        return check
    sample = np.sort(np.random.default_rng(seed).choice(n, min(images, n), replace=False))
    if not len(sample):
        return check
    limit = threshold * run.rules.divisor
    # |a - b turned| = |a turned back - b|, so only the sample is turned, once
    turns = () if run.embedded else run.rules.turns
    ours = [_features(turned(run.thumbnails(sample), undone(turn)), run.zero_mean) for turn in turns]
    none = pd.DataFrame({"far": np.empty(0), "a": np.empty(0, np.int64), "b": np.empty(0, np.int64)})
    sides = dict.fromkeys(("below", "above", "bound_below", "bound_above"), none)
    found: list[tuple[Ints, Ints, NDArray[Any]]] = []
    distances: dict[str, float | None] = {}
    pairs = 0
    for part in range(len(run.parts)):
        numbers = run.numbers_of(part)
        for start in range(0, len(numbers), TOGETHER):
            others = numbers[start : start + TOGETHER]
            if run.embedded:
                sums = least_bound = run.vectors.between(sample, others)
            else:
                sums, least_bound = _against(run, check, ours, sample, others)
            images_a, images_b = (x.ravel() for x in np.broadcast_arrays(sample[:, None], others))
            wanted = (images_a != images_b) & allowed(run, images_a, images_b)
            if run.two_sets:
                wanted &= run.images.in_b[images_a] != run.images.in_b[images_b]
            a, b = np.minimum(images_a, images_b)[wanted], np.maximum(images_a, images_b)[wanted]
            truth, bound = sums.ravel()[wanted], least_bound.ravel()[wanted]
            pairs += len(a)
            match = truth / run.rules.divisor <= threshold
            found.append((a[match], b[match], truth[match]))
            figures = {"below": (truth, match), "above": (truth, ~match)}
            figures |= {"bound_below": (bound, bound <= limit), "bound_above": (bound, bound > limit)}
            for name, (figure, there) in figures.items():
                near = pd.DataFrame({"far": np.abs(figure - limit), "a": a, "b": b})[there]
                sides[name] = _nearest(sides[name], near)
        run.step("nearest")
    for name, near in sides.items():
        a, b = near["a"].to_numpy(), near["b"].to_numpy()
        found.insert(0, (a, b, run.measure(a, b)[0]))  # np.unique keeps the first
        distances[name] = None if near.empty else float(near["far"].min() / run.rules.divisor)
    a, b, least = (np.concatenate(each) for each in zip(*found, strict=True))
    _, once = np.unique(a * n + b, return_index=True)
    truth_of = decide(run, a[once], b[once], least[once], np.ones(len(once), np.int64))
    hold_against_results(run, check, a[once], b[once], truth_of)
    check.facts |= {"images": len(sample), "looked_up": len(once), "nearest_to_threshold": distances}
    check.counted = pairs
    return check


def _features(thumbnails: NDArray[np.uint8], zero_mean: bool) -> Features:
    """Return the values of thumbnails, float64 (m, D), vectors (m, 16 C + 1) that are never farther apart, and the sums
    of the channels, (m, C). `zero_mean`: the vectors are those of thumbnails less the mean of each channel.

    A vector holds, for each cell of p pixels and channel, the mean times √p; and at the end the root of the remainder,
    the sum of squared differences of values to their cell's mean. The squared distance of two thumbnails is, summed
    over cells, p (mean - mean')² plus the squared distance of the remainders, and two remainders are at least as far
    apart as their lengths differ."""
    count, height, width, channels = thumbnails.shape
    values = thumbnails.astype(np.float64)
    sums = values.sum(axis=(1, 2))
    compared = values - (sums / (height * width))[:, None, None] if zero_mean else values
    means, left = [], np.zeros(count)
    for top, bottom in _cells(height):
        for first, end in _cells(width):
            cell = compared[:, top:bottom, first:end]
            mean = cell.mean(axis=(1, 2), keepdims=True)
            left += ((cell - mean) ** 2).sum(axis=(1, 2, 3))
            means.append(mean[:, 0, 0] * np.sqrt((bottom - top) * (end - first)))
    vectors = np.concatenate([*means, np.sqrt(left)[:, None]], axis=1)
    return values.reshape(count, height * width * channels), vectors, sums


def _cells(side: int) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each of the four cells along a side."""
    for number in range(GRID):
        yield side * number // GRID, side * (number + 1) // GRID


def _against(
    run: Recorded, check: Check, ours: Sequence[Features], sample: Ints, others: Ints
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return the least sum of squares and the least bound over turns, (sample, others); check bounds against sums.

    `ours`: features of the sample, turned back. The sums are exact: each partial sum of the product is an integer below
    2⁵³. With `pairs.exposure: ignore`, sums and bounds are multiplied by the number of pixels: see `sums_of_squares`.
    """
    values, vectors, channels = _features(run.thumbnails(others), run.zero_mean)
    squares = (values * values).sum(axis=1)
    factor = run.shape[0] * run.shape[1] if run.zero_mean else 1
    sums, bounds = [], []
    for turn, (of_sample, its_vectors, its_channels) in enumerate(ours):
        both = (of_sample * of_sample).sum(axis=1)[:, None] + squares
        sums.append((both - 2 * (of_sample @ values.T)).astype(np.int64) * factor)
        if run.zero_mean:
            shifts = (its_channels[:, None] - channels).astype(np.int64)
            sums[-1] -= (shifts**2).sum(axis=2)
        bounds.append(np.stack([((vectors - of_one) ** 2).sum(axis=1) for of_one in its_vectors]) * factor)
        for place in check.named(np.flatnonzero(bounds[-1] > sums[-1] + ROUNDING * factor)):
            i, j = divmod(place, len(others))
            paths = {"path_a": run.images.path(sample[i]), "path_b": run.images.path(others[j])}
            check.add("verify", {"bound": float(bounds[-1][i, j])}, {"sum": int(sums[-1][i, j])}, **paths, turn=turn)
    return np.min(sums, axis=0), np.min(bounds, axis=0)
