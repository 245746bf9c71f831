"""Pairs of images of which one stands for the other: recorded and counted without being compared."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stages.comparing.blocks import Block
from stages.comparing.comparison import Comparison
from stages.kernels.compare import Ledger
from stages.kernels.measure import turns
from stages.kernels.measure.metric import Found, joined

Ints = NDArray[np.int64]


def rows(block: Block, comparison: Comparison) -> Found | None:
    """A row of MSE 0 for each image that another one stands for; by position in the block."""
    b = np.flatnonzero(_stood_for(block))
    if comparison.same_hash == "skip" or not len(b):
        return None  # their hashes agree, and the rule comes first
    a = block.representative[b]
    bits = turns.between(block.turn[a], block.turn[b], block.symmetry[b])
    if comparison.same_hash == "zero" and block.hashes is not None:
        bits = np.zeros(len(b), np.uint8)
        for turn in range(comparison.turns):
            bits |= (block.hashes[b, 0] == block.hashes[b, turn]).astype(np.uint8) << turn
        bits |= turns.reversed_(bits)
    measured = np.full(len(b), comparison.same_hash == "compare")
    return Found(a, b, np.zeros(len(b), np.int64), bits, measured)


def _stood_for(block: Block) -> NDArray[np.bool_]:
    """Images that another one stands for, and that a rule does not part from it."""
    others: NDArray[np.bool_] = block.representative != np.arange(len(block.table))
    if block.settled is not None:
        others &= ~block.settled
    return others


def beside(found: Found, inside: Found, standing: Ints) -> Found:
    """The matches of some representatives and the rows within their groups, in order."""
    here = (inside.a >= standing[0]) & (inside.a <= standing[-1])
    return joined([found, inside.where(here)])


def enter(ledger: Ledger, block: Block, comparison: Comparison) -> None:
    """Count pairs within groups: not compared, since hashes agree (`skip`) or they are known to be identical."""
    sizes = np.bincount(block.representative, minlength=len(block.table))
    pairs = sizes * (sizes - 1) // 2
    apart = int(
        pairs.sum() if comparison.same_hash == "skip" else 0 if block.settled is None else pairs[block.settled].sum()
    )
    within = int(pairs.sum()) - apart
    ledger.skipped_by_rule += apart
    if within:
        ledger.identical += within
        ledger.matches += within
