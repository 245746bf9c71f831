"""Compare thumbnails for `verify` with NumPy on 64-bit integers, in code that is simple enough to need no proof."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

AT_ONCE = 1 << 20
"""Bytes of differences that are squared at a time, few enough for the CPU's cache."""

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Rules:
    """Settings that decide which pairs have a row.

    threshold  `pairs.threshold`
    turns      compared turns of the second image: turn t < 4 is t quarter turns; turn t ≥ 4 is the mirror, left-right,
               and then t - 4 quarter turns
    divisor    number by which a measured distance is divided to give the recorded distance
    same       `pairs.same`
    same_hash  `pairs.same_hash`
    grouped    whether `pairs.identical` is group
    ordered    whether a distance depends on which image of a pair is turned: the case for hashes and vectors with turns
    settled    roots of images that are not compared with each other: references, if `pairs.references` is skip
    folders    `pairs.folders`
    depth      `pairs.folder_depth`
    roots      the inputs"""

    threshold: float | None
    turns: tuple[int, ...]
    divisor: int
    same: str
    same_hash: str
    grouped: bool
    ordered: bool
    settled: tuple[str, ...]
    folders: str
    depth: int
    roots: tuple[str, ...]


def turned(thumbnails: Bytes, turn: int) -> Bytes:
    """Return thumbnails (m, H, W, C) after a turn; see `Rules`."""
    upright = thumbnails[:, :, ::-1] if turn >= 4 else thumbnails
    return np.rot90(upright, turn % 4, axes=(1, 2))


def inverse(turn: int) -> int:
    """Return the inverse of a turn; a turn with a mirror is its own inverse."""
    return turn if turn >= 4 else -turn % 4


def sums_of_squares(thumbnails: Bytes, a: Ints, b: Ints, turn: int, zero_mean: bool = False) -> Ints:
    """Return the sum of squared differences of the thumbnails a[i] and b[i] for each i, int64 (m,).

    thumbnails  uint8 (u, H, W, C)
    turn        turn of b; see `Rules`
    zero_mean   subtract the mean difference of each channel first, and multiply the sum by the number of pixels, which
                makes the sum an integer"""
    sums = np.empty(len(a), np.int64)
    step = max(1, AT_ONCE // (8 * int(np.prod(thumbnails.shape[1:]))))
    for start in range(0, len(a), step):
        part = slice(start, start + step)
        left = thumbnails[a[part]].astype(np.int64)
        right = turned(thumbnails[b[part]], turn).astype(np.int64)
        differences = left - right
        sums[part] = (differences**2).sum(axis=(1, 2, 3))
        if zero_mean:
            pixels = differences.shape[1] * differences.shape[2]
            sums[part] = sums[part] * pixels - (differences.sum(axis=(1, 2)) ** 2).sum(axis=1)
    return sums


def kinds(width: Ints, height: Ints, rules: Rules) -> Ints:
    """Return a number for each image; images are compared only if their numbers are equal, by the rule `pairs.same`."""
    if rules.same == "any":
        return np.zeros(len(width), np.int64)
    common = np.gcd(width, height) if rules.same == "aspect" else np.ones_like(width)
    sides = np.stack([width // common, height // common], axis=1)
    sides = np.sort(sides, axis=1) if 1 in rules.turns else sides
    return np.unique(sides, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def folder_of(path: str, rules: Rules) -> str:
    """Return the folder of an image for the rule `pairs.folders`."""
    holding = [root.rstrip("/") for root in rules.roots if path.startswith(root.rstrip("/") + "/")]
    if not holding:
        return path.rpartition("/")[0]
    top = min(holding, key=len)
    return "/".join([top, *path[len(top) + 1 :].split("/")[:-1][: rules.depth]])


def below(path: str, roots: Collection[str]) -> bool:
    """Return whether a path is one of `roots`, or lies below one of `roots`."""
    return any(path == root or path.startswith(root.rstrip("/") + "/") for root in roots)


def digests(items: Iterable[bytes]) -> NDArray[np.uint64]:
    """Return 64-bit digests of byte strings.

    Among a million different strings, two have the same digest in one of about thirty million runs."""
    return np.frombuffer(b"".join(hashlib.blake2b(item, digest_size=8).digest() for item in items), np.uint64)


def identities(thumbnails: Bytes, turns: Collection[int]) -> NDArray[np.uint64]:
    """Return 64-bit digests of thumbnails, equal for thumbnails that are equal in some of `turns`.

    thumbnails  uint8 (m, H, W, C)"""
    forms = (turned(thumbnails, turn) for turn in turns)
    least: NDArray[np.uint64] = np.min([digests(image.tobytes() for image in each) for each in forms], axis=0)
    return least
