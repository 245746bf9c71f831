"""Compute digests that are equal for identical thumbnails.

Thumbnails are compared as stored, and up to quarter turns."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from stages.kernels.measure.exact import turned

Bytes = NDArray[np.uint8]


def shift_bits(thumbnails: Bytes, shift: int) -> Bytes:
    """Shift each value of a uint8 array, right if `shift` is positive.

    Bits shifted out are lost."""
    return np.right_shift(thumbnails, shift) if shift >= 0 else np.left_shift(thumbnails, -shift)


def identities(thumbnails: Bytes) -> tuple[list[str], list[str], list[int], list[int]]:
    """Return digests and turns of thumbnails, as four lists of length n.

    Thumbnails are uint8 (n, H, W, C).

    The lists: the SHA-256 of each thumbnail, in hex; the least SHA-256 of the thumbnail's turns; the smallest turn
    that attains the least; and how many turns leave the thumbnail unchanged. A thumbnail that is not square has two
    turns that keep its shape, 0 and 180 degrees."""
    turns = range(4) if thumbnails.shape[1] == thumbnails.shape[2] else range(0, 4, 2)
    digests = [[hashlib.sha256(image).hexdigest() for image in turned(thumbnails, k)] for k in turns]
    least = [min(each) for each in zip(*digests, strict=True)]
    turn = [turns[each.index(min(each))] for each in zip(*digests, strict=True)]
    symmetry = [each.count(each[0]) for each in zip(*digests, strict=True)]
    return digests[0], least, turn, symmetry
