"""Turn thumbnails by quarter turns, and handle sets of quarter turns as four bits.

Bit k stands for np.rot90(image, k), counter-clockwise."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint8]
Bytes = NDArray[np.uint8]
Turns = NDArray[np.int64]

SMALLEST = np.array([0] + [(bits & -bits).bit_length() - 1 for bits in range(1, 16)], np.int16)
"""The smallest turn in each of the 16 sets; 0 for the empty set."""
OF_SYMMETRY = np.array([0, 0b0001, 0b0101, 0, 0b1111], np.uint8)
"""The turns that leave an image unchanged, indexed by their number: 1, 2 or 4."""
IN_CACHE = 16
"""Thumbnails that are turned at a time."""


def shifted(bits: Bits, by: Turns) -> Bits:
    """Return each set with every turn k replaced by (k + by) mod 4."""
    wide, by = bits.astype(np.uint16), np.asarray(by) % 4
    wide = wide << by.astype(np.uint16)
    return ((wide | wide >> 4) & 15).astype(np.uint8)


def reversed_(bits: Bits) -> Bits:
    """Return each set with every turn k replaced by -k mod 4.

    Turns of (a, b) become turns of (b, a)."""
    return ((bits & 0b0101) | (bits & 0b0010) << 2 | (bits & 0b1000) >> 2).astype(np.uint8)


def between(turn_a: Turns, turn_b: Turns, symmetry: Turns) -> Bits:
    """Return the turns k with a = np.rot90(b, k).

    The images are equal when a is turned by turn_a and b by turn_b; `symmetry` counts the turns that leave b
    unchanged."""
    return shifted(OF_SYMMETRY[symmetry], np.asarray(turn_b) - turn_a)


def turned(thumbnails: Bytes, turn: int) -> Bytes:
    """Return thumbnails (n, H, W, C) turned by `turn` quarter turns.

    Turns are counter-clockwise."""
    if turn % 4 == 0:
        return np.ascontiguousarray(thumbnails)
    seen: Bytes = np.rot90(thumbnails, turn, axes=(1, 2))
    found: Bytes = np.empty(seen.shape, np.uint8)
    for start in range(0, len(found), IN_CACHE):  # channel by channel takes half the time
        for channel in range(thumbnails.shape[3]):
            found[start : start + IN_CACHE, ..., channel] = seen[start : start + IN_CACHE, ..., channel]
    return found


def least(values: NDArray[Any]) -> tuple[NDArray[Any], Bits]:
    """Return the least over the first axis (turns, …), and its turns as bits."""
    if len(values) == 1:
        return values[0], np.ones(values.shape[1:], np.uint8)
    smallest = values.min(axis=0)
    bits = np.zeros(smallest.shape, np.uint8)
    for turn, each in enumerate(values):
        bits |= (each == smallest).astype(np.uint8) << turn
    return smallest, bits
