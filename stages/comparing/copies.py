"""Record and count pairs of identical images, which are not compared."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stages.comparing.blocks import Block
from stages.comparing.comparison import Comparison
from stages.kernels.measure import turns
from stages.kernels.measure.metric import MatchArrays, joined
from stages.kernels.rules import Ledger

Ints = NDArray[np.int64]


def rows(block: Block, comparison: Comparison) -> MatchArrays | None:
    """Return a match at distance 0 for each image and its representative, by positions in the block.

    Returns None if the block has no groups, or the rules exclude the pairs within groups."""
    b = np.flatnonzero(_represented(block))
    if comparison.same_hash == "skip" or not len(b):
        return None  # pairs in a group have equal hashes, and the rule comes before grouping
    a = block.representative[b]
    bits = turns.between(block.turn[a], block.turn[b], block.unchanged[b])
    if comparison.same_hash == "zero" and block.hashes is not None:
        bits = np.zeros(len(b), np.uint8)
        for turn in turns.COMPARED[comparison.turns]:
            bits |= (block.hashes[b, 0] == block.hashes[b, turn]).astype(np.uint8) << turn
        bits |= turns.reversed_(bits)
    measured = np.full(len(b), comparison.same_hash == "compare")
    return MatchArrays(a, b, np.zeros(len(b), np.int64), bits, measured)


def _represented(block: Block) -> NDArray[np.bool_]:
    """Return which images have a match with their representative, bool (n,)."""
    others: NDArray[np.bool_] = block.representative != np.arange(len(block.table))
    if block.folder is not None:
        return np.zeros_like(others)  # images of a group lie in one folder
    return others if block.settled is None else others & ~block.settled


def with_copies(found: MatchArrays, inside: MatchArrays, representatives: Ints) -> MatchArrays:
    """Merge the matches of representatives with the matches within their groups.

    found            matches of a run of representatives
    inside           matches of all images of the block with their representatives
    representatives  the representatives of the run, ascending"""
    here = (inside.a >= representatives[0]) & (inside.a <= representatives[-1])
    return joined([found, inside.where(here)])


def add_to_ledger(ledger: Ledger, block: Block, comparison: Comparison) -> None:
    """Add the pairs within groups to a ledger.

    Such pairs are not compared. A pair counts as skipped if a rule excludes the pair: equal hashes (`same_hash: skip`),
    one folder (`folders: across`), or two references (`references: skip`). All other pairs are identical, and match."""
    sizes = np.bincount(block.representative, minlength=len(block.table))
    pairs = sizes * (sizes - 1) // 2
    skipped = int(
        pairs.sum()
        if comparison.same_hash == "skip" or block.folder is not None
        else 0
        if block.settled is None
        else pairs[block.settled].sum()
    )
    identical = int(pairs.sum()) - skipped
    ledger.skipped_by_rule += skipped
    if identical:
        ledger.identical += identical
        ledger.matches += identical
