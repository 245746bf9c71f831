"""Run loops for which NumPy has no fast operation, compiled by numba.

Loading this module takes half a second, so callers import the module only for large inputs. Each function returns
the same numbers as the NumPy code in its caller."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

from stages.kernels import code_cache
from stages.kernels.measure.turns import seen

Ints = NDArray[np.int64]
PIXELS = {1: np.uint8, 2: np.uint16, 3: np.uint32, 4: np.uint32}
"""The type that holds a pixel, by number of channels."""
Function = TypeVar("Function", bound=Callable[..., Any])


def native(function: Function, **more: Any) -> Function:
    """Return a function that is compiled on its first call, cached on disk, and run without the GIL."""
    options: Any = {"nogil": True, "error_model": "numpy", "boundscheck": False, **more}
    compiled: Function = numba.njit(**options)(function)
    code_cache.keep(compiled)
    return compiled


@native
def _sums(a: Any, b: Any, i: Any, j: Any, most: Any, sums: Any) -> None:
    size = a.shape[1]
    for pair in range(len(i)):
        x, y = a[i[pair]], b[j[pair]]
        total = np.int64(0)
        start = 0
        while start < size and total <= most[pair]:
            u, v = x[start : start + 1_024], y[start : start + 1_024]
            part = np.int32(0)  # at most 1,024 · 255², far below 2³¹
            for k in range(len(u)):
                step = np.int32(np.int16(u[k]) - np.int16(v[k]))
                part = np.int32(part + np.int32(step * step))
            total += part
            start += 1_024
        sums[pair] = total


def sums(a: NDArray[np.uint8], b: NDArray[np.uint8], i: Ints, j: Ints, most: Any) -> Ints:
    """Return sums of squared differences of rows a[i] and b[j], int64 (pairs,).

    a, b  uint8 (n, D)
    most  a number below 2⁶³, or one for each pair, (pairs,)

    If a sum exceeds `most`, the loop may end early: the returned number is above `most`, and at most the sum."""
    found = np.empty(len(i), np.int64)
    _sums(a, b, i, j, np.full(len(i), np.floor(most), np.int64), found)
    return found


@native
def _squares(a: Any, b: Any, i: Any, j: Any, scale: Any, most: Any, found: Any) -> None:
    for pair in range(len(i)):
        x, y = a[i[pair]], b[j[pair]]
        total = 0.0
        start = 0
        while start < len(x) and total * scale <= most:
            for k in range(start, min(start + 64, len(x))):
                step = np.float64(x[k]) - np.float64(y[k])
                total += step * step
            start += 64
        found[pair] = total * scale


def squares(
    a: NDArray[np.float32], b: NDArray[np.float32], i: Ints, j: Ints, scale: float, most: float
) -> NDArray[np.float64]:
    """Return squared distances of rows a[i] and b[j] times `scale`, float64 (pairs,).

    a, b  float32 (n, d)

    Squares are added in the order of the entries. If a distance exceeds `most`, the loop may end early: the returned
    number is above `most`, and at most the distance."""
    found = np.empty(len(i))
    _squares(a, b, i, j, scale, float(most), found)
    return found


@native
def _invariants(cells: Any, found: Any) -> None:
    last, half, entries = cells.shape[1] - 1, cells.shape[1] // 2, cells.shape[3]
    for n in range(len(cells)):
        at = 0
        for i in range(half):
            for j in range(half):
                for c in range(entries):
                    x0, x1 = np.float64(cells[n, i, j, c]), np.float64(cells[n, j, last - i, c])
                    x2, x3 = np.float64(cells[n, last - i, last - j, c]), np.float64(cells[n, last - j, i, c])
                    found[n, at + c] = (x0 + x1 + x2 + x3) / 2
                    found[n, at + entries + c] = abs(x0 - x1 + x2 - x3) / 2
                    found[n, at + 2 * entries + c] = np.sqrt(((x0 - x2) ** 2 + (x1 - x3) ** 2) / 2)
                at += 3 * entries


def invariants(cells: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return invariants of vectors under quarter turns; see `orbits.invariants`."""
    found = np.empty((len(cells), 3 * math.prod(cells.shape[1:]) // 4))
    _invariants(cells, found)
    return found


@native
def _cells(images: Any, channels: Any, down: Any, across: Any, sums: Any) -> None:
    width = images.shape[2]
    total, squares = np.empty(width, np.int32), np.empty(width, np.int32)  # enough for 2¹⁵ lines of bytes
    for n in range(len(images)):
        for i in range(len(down)):
            total[:] = 0
            squares[:] = 0
            for y in range(down[i, 0], down[i, 1]):
                line = images[n, y]
                for x in range(width):
                    value = np.int32(line[x])
                    total[x] += value
                    squares[x] += value * value
            for j in range(len(across)):
                whole = np.int64(0)
                for c in range(channels):
                    part = np.int64(0)
                    for x in range(across[j, 0], across[j, 1]):
                        part += total[x * channels + c]
                        whole += squares[x * channels + c]
                    sums[n, i, j, c] = part
                sums[n, i, j, channels] = whole


def cells(thumbnails: NDArray[np.uint8], down: Ints, across: Ints) -> Ints:
    """Return sums over the cells of thumbnails, int64 (n, len(down), len(across), C + 1).

    thumbnails  uint8 (n, H, W, C)
    down        first line and one past the last line of each row of cells
    across      first column and one past the last column of each column of cells

    The last axis holds the sum of each channel, then the sum of all squares."""
    n, height, width, channels = thumbnails.shape
    sums = np.empty((n, len(down), len(across), channels + 1), np.int64)
    _cells(np.ascontiguousarray(thumbnails).reshape(n, height, width * channels), channels, down, across, sums)
    return sums


@native
def _copy_pixels(pixels: Any, found: Any) -> None:
    images, height, width = pixels.shape
    for n in range(images):
        for i in range(height):
            for j in range(width):
                found[n, i, j] = pixels[n, i, j]


def turned(thumbnails: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    """Return contiguous thumbnails, uint8 (n, H, W, C) with at most four channels, turned by `turn`.

    A pixel of three bytes is copied as four bytes; the next pixel overwrites the fourth byte. Pixels are therefore
    copied in the order of the result, and NumPy copies the last image, which no pixel follows."""
    last = seen(thumbnails[-1:], turn)
    found = np.empty((len(thumbnails), *last.shape[1:]), np.uint8)
    source = _pixels(thumbnails)
    source.flags.writeable = False  # one type for the compiler, whether the caller's array is writable or not
    _copy_pixels(seen(source, turn), _pixels(found))
    found[-1:] = last
    return found


def _pixels(images: NDArray[np.uint8]) -> NDArray[Any]:
    """Return a view of the pixels of all images but the last, one number a pixel, (n - 1, H, W)."""
    count, height, width, channels = images.shape
    strides = (height * width * channels, width * channels, channels)
    return np.ndarray((count - 1, height, width), PIXELS[channels], images.data, 0, strides)
