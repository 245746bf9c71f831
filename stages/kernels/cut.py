"""Where a run of members is cut, by their hashes alone.

A member is a cut if its hash is the least among `window` members on either side of it. So a cut depends on its
neighbours only: a member that comes or goes moves the cuts near it and no others, and cuts for a wider window are cuts
for a narrower one, too. In random order a member is the least of 2w+1 with probability 1/(2w+1), which is the
reciprocal of the mean distance of two cuts; no two cuts are nearer than w+1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def window(mean: int) -> int:
    """The window that cuts runs of `mean` members on average."""
    return max(0, (mean - 1) // 2)


def cuts(hashes: NDArray[np.uint64], window: int) -> NDArray[np.int64]:
    """Positions of the cuts, ascending; `hashes` is uint64 (n,).

    Members with less than a whole window on either side are never cuts. Of equal hashes the first counts as less.
    Linear in n: the least of a window is that of the end of one chunk and the beginning of the next (van Herk 1992)."""
    span = 2 * window + 1
    if len(hashes) < span:
        return np.empty(0, np.int64)
    padded = np.full(-len(hashes) % span + len(hashes), np.iinfo(np.uint64).max)
    padded[: len(hashes)] = hashes
    chunks = padded.reshape(-1, span)
    forward = np.minimum.accumulate(chunks, axis=1).ravel()
    backward = np.minimum.accumulate(chunks[:, ::-1], axis=1)[:, ::-1].ravel()
    least = np.minimum(backward[: len(hashes) - span + 1], forward[span - 1 : len(hashes)])
    found = np.flatnonzero(hashes[window : len(hashes) - window] == least) + window
    if window:
        before = np.lib.stride_tricks.sliding_window_view(hashes, window)[found - window]
        found = found[~(before == hashes[found, None]).any(axis=1)]
    return found.astype(np.int64)
