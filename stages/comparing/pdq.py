"""Hash thumbnails by PDQ, for `hash.function`; needs the package pdqhash."""

from __future__ import annotations

import numpy as np
import pdqhash
from numpy.typing import NDArray


def pdq(image: NDArray[np.uint8]) -> str:
    """Return the PDQ hash of a thumbnail, uint8 (H, W, C), as 64 hex digits: 256 bits.

    The hash stage passes each turned or mirrored thumbnail to this function. The eight results for a thumbnail of 64x64
    are PDQ's eight dihedral hashes."""
    colours = np.broadcast_to(image[..., :3], (*image.shape[:2], 3))
    bits, _ = pdqhash.compute(np.ascontiguousarray(colours))
    return np.packbits(bits.astype(bool)).tobytes().hex()
