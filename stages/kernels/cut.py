"""Cut a sequence of members into runs, by the members' hashes alone.

A member is a cut if its hash is the least among `window` members on either side. A cut therefore depends on its
neighbours only: adding or removing a member moves the cuts near that member and no others. Every cut for a wide
window is also a cut for a narrower window.

Let w be the window. In random order a member is the least of 2w+1 members with probability 1/(2w+1), so the mean
distance of two cuts is 2w+1. Two cuts are at least w+1 members apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def window(mean: int) -> int:
    """Return the window for which runs hold `mean` members on average."""
    return max(0, (mean - 1) // 2)


def cuts(hashes: NDArray[np.uint64], window: int) -> NDArray[np.int64]:
    """Return the positions of the cuts, ascending, int64 (k,).

    hashes  uint64 (n,)

    A member with less than a whole window on either side is never a cut. Among equal hashes the first counts as the
    least. The time is linear in n: the minimum over a window is the smaller of the minimum over the end of one chunk
    and the minimum over the beginning of the next chunk (van Herk 1992)."""
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
