"""Digests that tell identical thumbnails, as they are and up to quarter turns."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


def shift_bits(thumbnails: Bytes, shift: int) -> Bytes:
    """Each value of a uint8 array shifted, right if `shift` is positive; bits shifted out are dropped."""
    return np.right_shift(thumbnails, shift) if shift >= 0 else np.left_shift(thumbnails, -shift)


def identities(thumbnails: Bytes) -> tuple[list[str], list[str], list[int], list[int]]:
    """For thumbnails, uint8 (n, H, W, C), four lists of length n:

    the SHA-256 of each, in hex; the least of those of its turns; the smallest turn that attains it; and how many turns
    leave the image unchanged. A thumbnail that is not square has two turns that keep its shape, 0 and 180 degrees."""
    plain, least, turn, symmetry = [], [], [], []
    turns = range(4) if thumbnails.shape[1] == thumbnails.shape[2] else range(0, 4, 2)
    for image in thumbnails:
        digests = [hashlib.sha256(np.rot90(image, k).tobytes()).hexdigest() for k in turns]
        smallest = min(digests)
        plain.append(digests[0])
        least.append(smallest)
        turn.append(turns[digests.index(smallest)])
        symmetry.append(digests.count(digests[0]))
    return plain, least, turn, symmetry
