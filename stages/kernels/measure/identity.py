"""Compute digests that are equal for identical thumbnails.

Thumbnails are compared as stored, and up to quarter turns."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
DIGEST_BYTES = 16
"""Two different thumbnails have equal digests with a probability of 2⁻¹²⁸; finding such a pair takes 2⁶⁴ attempts."""
PREFIX = 8
"""Leading bytes of a thumbnail that are compared first."""


def shift_bits(thumbnails: Bytes, shift: int) -> Bytes:
    """Shift each value of a uint8 array, right if `shift` is positive.

    Bits shifted out are lost."""
    return np.right_shift(thumbnails, shift) if shift >= 0 else np.left_shift(thumbnails, -shift)


def digest(thumbnail: Bytes) -> str:
    """Return the BLAKE3 digest of a thumbnail's bytes in C order, 128 bits in hex."""
    return blake3(np.ascontiguousarray(thumbnail).data).hexdigest(DIGEST_BYTES)


def identities(turns: Sequence[Bytes]) -> tuple[list[str], list[str], list[int], list[int]]:
    """Return digests and turns of thumbnails, as four lists of length n.

    turns  the thumbnails turned by 0, 1, 2 and 3 quarter turns, each uint8 (n, H, W, C)

    The lists: the digest of each thumbnail; the digest of the thumbnail's least turn, in the order of bytes; the
    smallest turn that is the least; and how many turns leave the thumbnail unchanged. A thumbnail that is not square
    has two turns that keep its shape, 0 and 180 degrees."""
    count, square = len(turns[0]), turns[0].shape[1] == turns[0].shape[2]
    kept = range(4) if square else range(0, 4, 2)
    prefixes = np.stack([_prefix(turns[turn]) for turn in kept])
    place = prefixes.argmin(axis=0)
    symmetry = np.ones(count, np.int64)
    for image in np.flatnonzero((prefixes == prefixes.min(axis=0)).sum(axis=0) > 1):
        forms = [turns[turn][image].tobytes() for turn in kept]
        place[image] = forms.index(min(forms))
        symmetry[image] = forms.count(forms[0])
    own = [digest(image) for image in turns[0]]
    turn = [kept[number] for number in place.tolist()]
    least = [digest(turns[k][image]) if k else own[image] for image, k in enumerate(turn)]
    return own, least, turn, symmetry.tolist()


def _prefix(thumbnails: Bytes) -> NDArray[np.uint64]:
    """Return the first bytes of each thumbnail as numbers in the same order, uint64 (n,)."""
    first = np.zeros((len(thumbnails), PREFIX), np.uint8)
    rows = thumbnails.reshape(len(thumbnails), math.prod(thumbnails.shape[1:]))[:, :PREFIX]
    first[:, : rows.shape[1]] = rows
    return first.view(">u8")[:, 0].astype(np.uint64)
