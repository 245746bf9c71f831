"""Turn and mirror thumbnails, and handle sets of turns as bits.

A turn is one of the eight symmetries of a square, numbered by what is done to the image:

    t < 4    turn by t quarter turns counter-clockwise: np.rot90(image, t)
    t ≥ 4    mirror left-right first, then turn by t - 4 quarter turns: np.rot90(image[:, ::-1], t - 4)

Bit t of a set stands for turn t. Of several possible turns, the smallest number is chosen, so turns without a mirror
are preferred.

**Composition.** Let R be a quarter turn and M the mirror. Turning and then mirroring an image equals mirroring it and
then turning it the other way: M R = R⁻¹ M. So R^k M^m after R^j M^n is R^(k + j) M^(m + n) without a mirror in the
second turn (m = 0), and R^(k - j) M^(m + n) with a mirror (m = 1). In particular R^k M is its own inverse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.kernels.arrays import native_for

Bits = NDArray[np.uint8]
Bytes = NDArray[np.uint8]
Turns = NDArray[np.int64]

COMPARED: Mapping[int, tuple[int, ...]] = {1: (0,), 2: (0, 4), 4: (0, 1, 2, 3), 8: (0, 1, 2, 3, 4, 5, 6, 7)}
"""The turns to compare, by how many they are. 1: the image as stored; 2: the mirror, too; 4: quarter turns; 8: all
turns. Each set is closed under composition and inverses."""
MIRRORED = 4
"""The turn that only mirrors. All turns with greater numbers mirror, too."""
IN_CACHE = 16
"""Number of thumbnails that are turned together: few enough for the cache."""
COMPILED = 100_000
"""Number of thumbnails from which the compiled loop saves time: loading takes 0.5 s, a turned thumbnail 5 µs less."""


def then(first: Any, second: Any) -> Any:
    """Return the turn that equals `first` followed by `second`, for numbers or int64 arrays."""
    first, second = np.asarray(first, np.int64), np.asarray(second, np.int64)
    quarters = second + np.where(second >= MIRRORED, -first, first)
    return quarters % 4 + MIRRORED * ((first >= MIRRORED) ^ (second >= MIRRORED))


def inverse(turn: Any) -> Any:
    """Return the turn that undoes `turn`, for numbers or int64 arrays."""
    turn = np.asarray(turn, np.int64)
    return np.where(turn >= MIRRORED, turn, -turn % 4)


def degrees(turn: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return the counter-clockwise rotation of each turn in degrees, int16 (n,)."""
    return (turn % 4 * 90).astype(np.int16)


def _mapped(maps: Any) -> Bits:
    """Return each set of turns with every turn t replaced by maps[..., t], uint8 (…, 256)."""
    held = np.arange(256)[:, None] >> np.arange(8) & 1
    found: Bits = (held << np.asarray(maps)[..., None, :]).sum(axis=-1).astype(np.uint8)
    return found


_EVERY = np.arange(8)
_INVERSES = _mapped(inverse(_EVERY))
_BEFORE = _mapped(then(_EVERY[:, None], _EVERY))  # [t, set]: t is applied before each turn of the set
_AFTER = _mapped(then(_EVERY, _EVERY[:, None]))  # [t, set]: t is applied after each turn of the set
SMALLEST = np.array([0] + [(bits & -bits).bit_length() - 1 for bits in range(1, 256)], np.int16)
"""The smallest turn in each of the 256 sets; 0 for the empty set."""
OF_SYMMETRY = np.array([0, 0b0001, 0b0101, 0, 0b1111], np.uint8)
"""The quarter turns that leave an image unchanged, as bits, indexed by the number of these turns: 1, 2 or 4."""


def moved(bits: Bits, before: Turns, after: Turns) -> Bits:
    """Return each set with every turn t replaced by: `before`, then t, then `after`."""
    found: Bits = _AFTER[after, _BEFORE[before, bits]]
    return found


def reversed_(bits: Bits) -> Bits:
    """Return the sets of inverse turns: turns of (a, b) become turns of (b, a)."""
    found: Bits = _INVERSES[bits]
    return found


def between(turn_a: Turns, turn_b: Turns, unchanged: Bits) -> Bits:
    """Return the turns of b that give a, as bits.

    turn_a, turn_b  a turned by turn_a equals b turned by turn_b
    unchanged       the turns that leave b unchanged, as bits"""
    found: Bits = _AFTER[then(turn_b, inverse(turn_a)), unchanged]
    return found


def inverses(turns: int) -> Turns:
    """Return the place of each compared turn's inverse among the compared turns, int64 (turns,).

    turns  number of compared turns, a key of `COMPARED`"""
    return np.array([COMPARED[turns].index(int(inverse(turn))) for turn in COMPARED[turns]], np.int64)


def numbered(places: Bits, turns: int) -> Bits:
    """Return sets of turns from sets of places in COMPARED[turns]."""
    return places if turns != 2 else (places & 1 | (places & 2) << 3).astype(np.uint8)


def placed(bits: Bits, turns: int) -> Bits:
    """Return sets of places in COMPARED[turns] from sets of turns; the inverse of `numbered`."""
    return bits if turns != 2 else (bits & 1 | (bits & 16) >> 3).astype(np.uint8)


def turned(thumbnails: Bytes, turn: int) -> Bytes:
    """Return thumbnails (n, H, W, C) turned by `turn`."""
    if turn == 0:
        return np.ascontiguousarray(thumbnails)
    native = native_for("turned", len(thumbnails), COMPILED)
    if native is not None and len(thumbnails):
        copied: Bytes = native.turned(np.ascontiguousarray(thumbnails), turn)
        return copied
    view = seen(thumbnails, turn)
    found: Bytes = np.empty(view.shape, np.uint8)
    for start in range(0, len(found), IN_CACHE):  # channel by channel takes half the time
        for channel in range(thumbnails.shape[3]):
            found[start : start + IN_CACHE, ..., channel] = view[start : start + IN_CACHE, ..., channel]
    return found


def seen(thumbnails: NDArray[Any], turn: int) -> NDArray[Any]:
    """Return a view of thumbnails (n, H, W, …) turned by `turn`."""
    view: NDArray[Any] = np.rot90(thumbnails[:, :, ::-1] if turn >= MIRRORED else thumbnails, turn, axes=(1, 2))
    return view


def least(values: NDArray[Any]) -> tuple[NDArray[Any], Bits]:
    """Return the least of `values` (turns, …) over the first axis, and the places that attain it, as bits."""
    if len(values) == 1:
        return values[0], np.ones(values.shape[1:], np.uint8)
    smallest = values.min(axis=0)
    bits = np.zeros(smallest.shape, np.uint8)
    for place, each in enumerate(values):
        bits |= (each == smallest).astype(np.uint8) << place
    return smallest, bits
