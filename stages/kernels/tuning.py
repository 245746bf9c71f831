"""Set the sizes of the pair engine, and the thresholds at which methods change."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tuning:
    """Sizes and costs of the pair engine, which change time and memory, but never a result.

    candidates  greatest number of candidates that one sweep over b may leave
    matches     number of matches in a run of rows up to which the next run has twice as many rows
    pairs       number of pairs in a run of rows that is measured tile by tile, since every pair may match; also the
                greatest number of pairs outside an earlier artifact for which no filter is used
    rows        number of rows in the shortest run
    sample      number of images per side from which the share of pairs that pass the coarse bound is estimated
    crowded     share of passing pairs above which tiles are cheaper than a filter
    compiled    number of pairs in a block pair from which loading the compiled filter saves time
    tile        greatest number of images per side of a tile
    gathered    greatest number of bytes of points in memory
    many        number of candidates in a tile above which a sample of the candidates is measured first
    measured    number of candidates in the sample of a tile
    gain        a finer grid is used if its cost is at most 1/gain of the cost that it may save"""

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
