"""The simplest references, and images for which lower bounds are tight or hard."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, localcontext

import numpy as np

from stages.kernels.bounds import coarse
from stages.kernels.bounds.coarse import Shape

Bytes = np.ndarray
"""uint8 (H, W, C), or (n, H, W, C)."""


def squares(a: Bytes, b: Bytes) -> int:
    """Return the sum of squared differences, in integers."""
    assert a.shape == b.shape
    return int(((a.astype(np.int64) - b.astype(np.int64)) ** 2).sum())


def form(image: Bytes, turn: int) -> Bytes:
    """Return an image in a turn; turns from 4 on mirror left-right first, then turn counter-clockwise."""
    return np.rot90(image[:, ::-1], turn - 4) if turn >= 4 else np.rot90(image, turn)


TURNS = {1: (0,), 2: (0, 4), 4: (0, 1, 2, 3), 8: (0, 1, 2, 3, 4, 5, 6, 7)}
"""The compared turns, by their number."""


def forms(images: Bytes, turn: int) -> Bytes:
    """Return images (n, H, W, C) in a turn."""
    return np.stack([form(image, turn) for image in images])


def apart(a: Bytes, b: Bytes, turns: int, zero_mean: bool = False) -> list[int]:
    """Return the sums of squared differences of a and each turn of b."""
    return [(zero_mean_squares if zero_mean else squares)(a, form(b, turn)) for turn in TURNS[turns]]


def cells(shape: Shape, grid: int) -> Iterator[tuple[slice, slice]]:
    """Return rows and columns of each cell, by definition: edges mirror each other, an odd middle line is left out."""

    def along(side: int) -> list[slice]:
        lower = [slice(side * n // grid, side * (n + 1) // grid) for n in range(grid // 2)]
        return lower + [slice(side - part.stop, side - part.start) for part in reversed(lower)]

    return ((rows, columns) for rows in along(shape[0]) for columns in along(shape[1]))


def sums(image: Bytes, grid: int) -> list[int]:
    """Return the result of `coarse` for one image."""
    found = []
    for rows, columns in cells(image.shape, grid):
        values = image[rows, columns].reshape(-1, image.shape[2]).tolist()
        found += [sum(channel) for channel in zip(*values, strict=True)]
        found.append(sum(value**2 for pixel in values for value in pixel))
    return found


def zero_mean_squares(a: Bytes, b: Bytes) -> int:
    """Return the squared difference without the channels' mean differences, times the number of pixels, in integers."""
    apart = a.astype(np.int64) - b.astype(np.int64)
    pixels = apart.shape[0] * apart.shape[1]
    return pixels * int((apart**2).sum()) - sum(total**2 for total in apart.sum(axis=(0, 1)).tolist())


def vector(image: Bytes, grid: int, zero_mean: bool = False) -> list[Decimal]:
    """Return the vector u of one image to 60 digits; `zero_mean` subtracts the mean of each channel over all cells."""
    found = []
    each = [image[rows, columns].reshape(-1, image.shape[2]).T.tolist() for rows, columns in cells(image.shape, grid)]
    with localcontext(prec=60):
        every = Decimal(sum(len(channels[0]) for channels in each))
        means = [Decimal(sum(sum(channels[c]) for channels in each)) / every for c in range(image.shape[2])]
        for channels in each:
            m = Decimal(len(channels[0]))
            left = sum(len(channel) * sum(v**2 for v in channel) - sum(channel) ** 2 for channel in channels)
            about = means if zero_mean else [Decimal(128)] * len(means)
            found += [(sum(channel) - mean * m) / m.sqrt() for channel, mean in zip(channels, about, strict=True)]
            found.append((left / m).sqrt())
    return found


def gallery(shape: Shape, seed: int = 0) -> Bytes:
    """Return constants, near constants, checkerboards, single pixels, ramps, noise, and copies that differ in one
    value."""
    random = np.random.default_rng(seed)
    checks = np.indices(shape[:2]).sum(axis=0)[:, :, None] % 2 * np.ones(shape[2])
    ramp = np.linspace(0, 255, shape[0] * shape[1] * shape[2]).reshape(shape)
    pixel = np.zeros(shape)
    pixel[0, shape[1] - 1, 0] = 255
    images = [np.full(shape, value) for value in (0, 1, 127, 254, 255)]
    images += [checks * 255, 255 - checks * 255, checks + 127, pixel, 255 - pixel, ramp]
    images += [random.integers(0, 256, shape) for _ in range(3)]
    images += [np.clip(image + random.integers(-1, 2, shape), 0, 255) for image in images[:4] + images[-3:]]
    return np.array(images).astype(np.uint8)


def stepped(
    random: np.random.Generator, shape: Shape, grid: int, orbits: bool, most: int = 2, mirror: bool = False
) -> tuple[Bytes, Bytes]:
    """Return two images that differ only in the means of their cells, so that the bound equals the distance.

    `orbits`: cells that quarter turns map to each other differ equally, so the bound by invariants is tight, too;
    `mirror`: the same for cells that the mirror maps to each other."""
    noise, level = int(random.integers(0, 4)), int(random.integers(0, 256))
    low = max(0, level - noise - most)
    a = random.integers(low, min(255 - most, low + noise) + 1, shape) if low < 255 - most else np.full(shape, low)
    a = np.minimum(a, 255 - most)
    steps = random.integers(0, most + 1, (grid, grid, shape[2])) * (random.random((grid, grid, 1)) < 0.6)
    if orbits:
        quarter = steps[: grid // 2, : grid // 2]
        top = np.concatenate([quarter, np.rot90(quarter, -1)], axis=1)
        steps = np.concatenate([top, np.rot90(top, 2)], axis=0)
        assert np.array_equal(steps, np.rot90(steps))
    if orbits and mirror:
        steps = np.maximum(steps, steps[:, ::-1])
        assert all(np.array_equal(steps, form(steps, turn)) for turn in range(8))
    b = a.copy()
    for (rows, columns), step in zip(cells(shape, grid), steps.reshape(-1, shape[2]), strict=True):
        b[rows, columns] += step
    return a.astype(np.uint8), b.astype(np.uint8)


def nudged(random: np.random.Generator, image: Bytes, by: int) -> Bytes:
    """Return a copy of the image with at most one value changed."""
    found = image.astype(int)
    place = tuple(random.integers(0, size) for size in image.shape)
    found[place] += by
    return np.clip(found, 0, 255).astype(np.uint8)


def vectors(images: Bytes, grid: int = coarse.GRID, zero_mean: bool = False) -> np.ndarray:
    """Return the float32 vectors as the kernels compute them."""
    return coarse.vectors(coarse.coarse(images, grid), images.shape[1:], grid, zero_mean)
