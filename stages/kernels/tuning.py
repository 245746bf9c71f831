"""How much of a block pair is compared at a time, and when one way is cheaper than another."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tuning:
    """Sizes and prices of the pair engine. They change time and memory, and never a result.

    candidates  pairs that one sweep over b may leave to measure
    matches     matches of a run of rows up to which the next run has twice the rows
    pairs       pairs of a run of rows that is measured tile by tile; all of them may match. So few new pairs, beside an
                earlier artifact's, are measured without a filter
    rows        rows of the shortest run
    sample      images per side that estimate the share of pairs that pass the coarse bound
    crowded     share of passing pairs above which tiles are cheaper than a filter
    compiled    pairs of a block pair above which loading the compiled filter pays
    tile        images per side of a tile, at most
    gathered    bytes of points in memory at a time
    many        candidates of a tile above which a sample of them is measured first
    measured    candidates in this sample
    gain        a finer grid is used where it costs at most 1/gain of what it may save
    """

    candidates: int = 1 << 22
    matches: int = 1 << 20
    pairs: int = 1 << 23
    rows: int = 16
    sample: int = 512
    crowded: float = 0.03
    compiled: int = 1 << 27
    tile: int = 1_024
    gathered: int = 256 << 20
    many: int = 4_096
    measured: int = 64
    gain: float = 10
