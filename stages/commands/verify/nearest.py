"""Compare sampled images with all other images for `verify`, and check the pairs nearest to the threshold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.commands.verify.data import Recorded
from stages.commands.verify.distances import Ints, inverse, turned
from stages.commands.verify.truth import Check, allowed, check_rows, decide

NEAR = 50
"""Number of pairs on either side of the threshold that are checked: the nearest by distance, and by lower bound."""
TOGETHER = 256
"""Number of images of a partition that are compared with the sample at a time."""
GRID = 4  # cells along each side of a thumbnail
ROUNDING = 1e-3
"""Tolerance for the rounding error of a lower bound in float64, measured as at most 1e-5; sums of squares are exact."""

Features = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def _nearest(first: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    """Return the NEAR rows with the least values of `far` from two tables.

    far   absolute difference between a pair's distance, or lower bound, and the limit
    a, b  numbers of the pair's images"""
    return pd.concat([first, more]).sort_values("far", kind="stable")[:NEAR]


def check_nearest(run: Recorded, images: int, seed: int) -> Check:
    """Compare random images with all other images, and check the rows of some of these pairs.

    Rows are checked for all matches, and for the pairs nearest to the threshold by distance and by lower bound. For all
    pairs, the lower bound must be at most the sum of squares. Vectors have no lower bound."""
    check = Check()
    n, threshold = len(run.images), run.rules.threshold
    if threshold is None:
        check.facts["note"] = "the run has no threshold; the check of the ledger finds missing pairs"
        return check
    sample = np.sort(np.random.default_rng(seed).choice(n, min(images, n), replace=False))
    if not len(sample):
        return check
    limit = threshold * run.rules.divisor
    # |a - b turned| = |a turned back - b|, so only the sample is turned, once
    turns = run.rules.turns if run.vectors is None else ()
    of_sample = [_features(turned(run.thumbnails(sample), inverse(turn)), run.zero_mean) for turn in turns]
    none = pd.DataFrame({"far": np.empty(0), "a": np.empty(0, np.int64), "b": np.empty(0, np.int64)})
    sides = dict.fromkeys(("below", "above", "bound_below", "bound_above"), none)
    found: list[tuple[Ints, Ints, NDArray[Any]]] = []
    distances: dict[str, float | None] = {}
    pairs = 0
    for part in range(len(run.parts)):
        numbers = run.numbers_of(part)
        for start in range(0, len(numbers), TOGETHER):
            others = numbers[start : start + TOGETHER]
            if run.vectors is not None:
                sums = least_bound = run.vectors.between(sample, others)
            else:
                sums, least_bound = _against(run, check, of_sample, sample, others)
            images_a, images_b = (x.ravel() for x in np.broadcast_arrays(sample[:, None], others))
            wanted = (images_a != images_b) & allowed(run, images_a, images_b)
            if run.two_sets:
                wanted &= run.images.in_b[images_a] != run.images.in_b[images_b]
            a, b = np.minimum(images_a, images_b)[wanted], np.maximum(images_a, images_b)[wanted]
            truth, bound = sums.ravel()[wanted], least_bound.ravel()[wanted]
            pairs += len(a)
            match = truth / run.rules.divisor <= threshold
            found.append((a[match], b[match], truth[match]))
            sides_of = {"below": (truth, match), "above": (truth, ~match)}
            sides_of |= {"bound_below": (bound, bound <= limit), "bound_above": (bound, bound > limit)}
            for name, (values, on_side) in sides_of.items():
                near = pd.DataFrame({"far": np.abs(values - limit), "a": a, "b": b})[on_side]
                sides[name] = _nearest(sides[name], near)
        run.step("nearest")
    for name, near in sides.items():
        a, b = near["a"].to_numpy(), near["b"].to_numpy()
        found.insert(0, (a, b, run.measure(a, b)[0]))  # np.unique keeps the first of equal pairs
        distances[name] = None if near.empty else float(near["far"].min() / run.rules.divisor)
    a, b, least = (np.concatenate(each) for each in zip(*found, strict=True))
    _, once = np.unique(a * n + b, return_index=True)
    truth_of = decide(run, a[once], b[once], least[once], np.ones(len(once), np.int64))
    check_rows(run, check, a[once], b[once], truth_of)
    check.facts |= {"images": len(sample), "looked_up": len(once), "nearest_to_threshold": distances}
    check.counted = pairs
    return check


def _features(thumbnails: NDArray[np.uint8], zero_mean: bool) -> Features:
    """Return values, vectors and channel sums of thumbnails; distances of vectors are lower bounds.

    thumbnails  uint8 (m, H, W, C)
    zero_mean   compute the vectors after the mean of each channel is subtracted

    The values are float64 (m, H·W·C), the vectors float64 (m, 16 C + 1), and the sums of the channels float64 (m, C).

    A vector holds, for each channel of each cell of p pixels, the mean times √p. The last entry is the length of the
    remainder, which is the thumbnail less these means. The squared distance of two thumbnails is the sum of
    p (mean - mean')² over cells and channels, plus the squared distance of the remainders, which is at least the
    squared difference of their lengths."""
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
    """Yield the start and the end of each of the GRID cells along a side."""
    for number in range(GRID):
        yield side * number // GRID, side * (number + 1) // GRID


def _against(
    run: Recorded, check: Check, of_sample: Sequence[Features], sample: Ints, others: Ints
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return the least sum of squares and the least lower bound over turns, (sample, others) each.

    check      receives an error for each bound that exceeds its sum
    of_sample  features of the sample for each turn, after the inverse turn

    The sums are exact, since each partial sum of the product is an integer below 2⁵³. With `pairs.exposure: ignore`,
    sums and bounds are multiplied by the number of pixels: see `sums_of_squares`."""
    values, vectors, channels = _features(run.thumbnails(others), run.zero_mean)
    squares = (values * values).sum(axis=1)
    factor = run.shape[0] * run.shape[1] if run.zero_mean else 1
    sums, bounds = [], []
    for turn, (values_a, vectors_a, channels_a) in enumerate(of_sample):
        both = (values_a * values_a).sum(axis=1)[:, None] + squares
        sums.append((both - 2 * (values_a @ values.T)).astype(np.int64) * factor)
        if run.zero_mean:
            shifts = (channels_a[:, None] - channels).astype(np.int64)
            sums[-1] -= (shifts**2).sum(axis=2)
        bounds.append(np.stack([((vectors - of_one) ** 2).sum(axis=1) for of_one in vectors_a]) * factor)
        for place in check.listed(np.flatnonzero(bounds[-1] > sums[-1] + ROUNDING * factor)):
            i, j = divmod(place, len(others))
            paths = {"path_a": run.images.path(sample[i]), "path_b": run.images.path(others[j])}
            check.add("verify", {"bound": float(bounds[-1][i, j])}, {"sum": int(sums[-1][i, j])}, **paths, turn=turn)
    return np.min(sums, axis=0), np.min(bounds, axis=0)
