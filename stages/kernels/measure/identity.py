"""Compute two digests of each thumbnail: as stored, and the same for turned copies."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from stages.kernels.measure.turns import seen, turned

Bytes = NDArray[np.uint8]
DIGEST_BYTES = 16
"""Bytes of a digest. Two different thumbnails have equal digests with a probability of 2⁻¹²⁸; finding such a pair takes
2⁶⁴ attempts."""
PREFIX = 8
"""Number of leading bytes by which the forms of a thumbnail are compared first."""


def shift_bits(thumbnails: Bytes, shift: int) -> Bytes:
    """Shift each value right by `shift` bits, or left if negative; drop shifted-out bits."""
    return np.right_shift(thumbnails, shift) if shift >= 0 else np.left_shift(thumbnails, -shift)


def digest(thumbnail: Bytes) -> str:
    """Return the BLAKE3 digest of a thumbnail's bytes in C order, 128 bits in hex."""
    return blake3(np.ascontiguousarray(thumbnail).data).hexdigest(DIGEST_BYTES)


def identities(thumbnails: Bytes, turns: Sequence[int]) -> tuple[list[str], list[str], list[int], list[int]]:
    """Return digests and turns of thumbnails, as four lists of length n.

    thumbnails  uint8 (n, H, W, C)
    turns       a group of turns, ascending from turn 0; all keep the shape

    The lists: the digest of each thumbnail; the digest of the thumbnail's least form, in the order of bytes; the
    smallest turn that gives the least form; and the turns that leave the thumbnail unchanged, as bits."""
    prefixes = np.stack([_prefix(seen(thumbnails, turn)) for turn in turns])
    place = prefixes.argmin(axis=0)
    unchanged = np.ones(len(thumbnails), np.int64)
    ties = np.flatnonzero((prefixes == prefixes.min(axis=0)).sum(axis=0) > 1)
    forms = [turned(thumbnails[ties], turn) for turn in turns]
    for row, image in enumerate(ties.tolist()):
        each = [form[row].tobytes() for form in forms]
        place[image] = each.index(min(each))
        unchanged[image] = sum(1 << turn for turn, form in zip(turns, each, strict=True) if form == each[0])
    own = [digest(image) for image in thumbnails]
    least = own.copy()
    for number, turn in enumerate(turns[1:], 1):
        images = np.flatnonzero(place == number)
        for image, form in zip(images.tolist(), turned(thumbnails[images], turn), strict=True):
            least[image] = digest(form)
    return own, least, [turns[number] for number in place.tolist()], unchanged.tolist()


def _prefix(thumbnails: Bytes) -> NDArray[np.uint64]:
    """Return the first PREFIX bytes of each thumbnail as uint64 (n,), ordered like bytes."""
    count, _, width, channels = thumbnails.shape
    lines = thumbnails[:, : -(-PREFIX // (width * channels)), : -(-PREFIX // channels)]
    first = np.zeros((count, PREFIX), np.uint8)
    rows = lines.reshape(count, math.prod(lines.shape[1:]))[:, :PREFIX]
    first[:, : rows.shape[1]] = rows
    return first.view(">u8")[:, 0].astype(np.uint64)
