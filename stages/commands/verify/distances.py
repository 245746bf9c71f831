"""Compare images for `verify`: NumPy on 64-bit integers, simple enough to need no proof."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

AT_ONCE = 1 << 20
"""Bytes of differences that are squared at a time, few enough for the processor's cache."""

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Rules:
    """Settings that decide which pairs have a row. `turns`: compared turns of the second image; from 4 on, the image is
    mirrored left-right and then turned by 4 less; `divisor`: of a sum of squares to an MSE; `grouped`:
    `pairs.identical` is group; `settled`: folders of which no two images are compared; `folders` and `depth`:
    pairs.folders and pairs.folder_depth; `roots`: the inputs."""

    threshold: float | None
    turns: tuple[int, ...]
    divisor: int
    same: str
    same_hash: str
    grouped: bool
    settled: tuple[str, ...]
    folders: str
    depth: int
    roots: tuple[str, ...]


def turned(thumbnails: Bytes, turn: int) -> Bytes:
    """Return thumbnails, (m, H, W, C), in a turn; see `Rules`."""
    upright = thumbnails[:, :, ::-1] if turn >= 4 else thumbnails
    return np.rot90(upright, turn % 4, axes=(1, 2))


def undone(turn: int) -> int:
    """Return the turn that undoes a turn; mirrored turns undo themselves."""
    return turn if turn >= 4 else -turn % 4


def sums_of_squares(thumbnails: Bytes, a: Ints, b: Ints, turn: int, zero_mean: bool = False) -> Ints:
    """Return sums of squared differences of thumbnails a[i] and b[i], int64 (m,).

    `thumbnails`: uint8 (u, H, W, C); `turn`: see `Rules`; `zero_mean`: the mean difference of each channel is
    subtracted first, and the sum is multiplied by the number of pixels, which makes the sum an integer."""
    sums = np.empty(len(a), np.int64)
    step = max(1, AT_ONCE // (8 * int(np.prod(thumbnails.shape[1:]))))
    for start in range(0, len(a), step):
        part = slice(start, start + step)
        left = thumbnails[a[part]].astype(np.int64)
        right = turned(thumbnails[b[part]], turn).astype(np.int64)
        apart = left - right
        sums[part] = (apart**2).sum(axis=(1, 2, 3))
        if zero_mean:
            pixels = apart.shape[1] * apart.shape[2]
            sums[part] = sums[part] * pixels - (apart.sum(axis=(1, 2)) ** 2).sum(axis=1)
    return sums


def kinds(width: Ints, height: Ints, rules: Rules) -> Ints:
    """Return a number per image, equal where the rule `same` allows a comparison."""
    if rules.same == "any":
        return np.zeros(len(width), np.int64)
    common = np.gcd(width, height) if rules.same == "aspect" else np.ones_like(width)
    sides = np.stack([width // common, height // common], axis=1)
    sides = np.sort(sides, axis=1) if 1 in rules.turns else sides
    return np.unique(sides, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def folder_of(path: str, rules: Rules) -> str:
    """Return the folder of an image that the rule of folders compares."""
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

    Of a million different strings, two agree once in thirty million runs."""
    return np.frombuffer(b"".join(hashlib.blake2b(item, digest_size=8).digest() for item in items), np.uint64)


def identities(thumbnails: Bytes, turns: Collection[int]) -> NDArray[np.uint64]:
    """Return 64-bit digests of thumbnails, uint8 (m, H, W, C), that ignore `turns`."""
    forms = (turned(thumbnails, turn) for turn in turns)
    least: NDArray[np.uint64] = np.min([digests(image.tobytes() for image in each) for each in forms], axis=0)
    return least
