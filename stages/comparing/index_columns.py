"""Read the columns of a block's index that a comparison needs."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.stage import Artifact
from stages.comparing.block_cache import kept
from stages.comparing.comparison import Comparison
from stages.comparing.metrics.embedding import VECTOR_IDENTITY
from stages.comparing.metrics.hamming import HASHES, MIRRORED_HASHES
from stages.comparing.metrics.kinds import kind_of
from stages.kernels.bounds import coarse
from stages.kernels.bounds.coarse import Shape

Floats = NDArray[np.float32]

COARSE = "coarse"
IDENTITY_TURNED = "identity_turned"
LARGE = (COARSE, "vector")
"""Columns that are read where a metric needs them, and not kept as columns."""


def index_table(artifact: Artifact, comparison: Comparison) -> pa.Table:
    """Return the columns of a block's index that a comparison needs, without LARGE columns; kept per process.

    IDENTITY_TURNED, which only groups need, is dictionary-encoded."""
    names = [name for name in index_columns(comparison) if name not in LARGE]

    def table() -> pa.Table:
        found = artifact.table(names)
        if IDENTITY_TURNED in names:
            place, codes = names.index(IDENTITY_TURNED), found[IDENTITY_TURNED].dictionary_encode()
            found = found.set_column(place, IDENTITY_TURNED, codes)
        return found

    return kept(tuple((name, artifact.content[name]) for name in names), table)


def coarse_vectors(artifact: Artifact, shape: Shape, zero_mean: bool) -> Floats:
    """Return the vectors of a block's coarse sums, float32 (n, d); kept per process.

    zero_mean  subtract the mean of each channel"""

    def vectors() -> Floats:
        sums = artifact.table([COARSE])[COARSE].combine_chunks().flatten().to_numpy()
        return coarse.vectors(sums.reshape(-1, coarse.length(shape)), shape, zero_mean=zero_mean)

    return kept((COARSE, artifact.content[COARSE], shape, zero_mean), vectors)


def index_columns(comparison: Comparison) -> list[str]:
    """Return the names of the index columns that a comparison needs."""
    wanted = ["path", "partition", "row", "identity", *kind_of(comparison).columns(comparison)]
    return list(dict.fromkeys([*wanted, *group_columns(comparison)]))


def group_columns(comparison: Comparison) -> list[str]:
    """Return the names of the index columns that rules and identical images need."""
    wanted = ["path"]
    wanted += ["width", "height"] if comparison.same != "any" else []
    wanted += hash_columns(comparison) if comparison.same_hash != "compare" else ()
    wanted += (
        identity_columns(comparison) if comparison.identical == "group" or comparison.metric == "embedding" else ()
    )
    return wanted


def groups_turned(comparison: Comparison) -> bool:
    """Return whether an image may represent turned copies of itself."""
    return comparison.turns > 1 and kind_of(comparison).turns_alike


def identity_columns(comparison: Comparison) -> tuple[str, ...]:
    """Return the index columns from which groups of identical images are computed.

    The first column holds equal digests for identical images. If an image may represent turned copies, two more columns
    hold the turn to the common form, and the turns that leave the thumbnail unchanged."""
    if comparison.metric == "embedding":
        return (VECTOR_IDENTITY,)
    if not groups_turned(comparison):
        return ("identity",)
    return (IDENTITY_TURNED, "turn", "unchanged" if comparison.mirror else "symmetry")


def hash_columns(comparison: Comparison) -> tuple[str, ...]:
    """Return the index columns with the hashes in each compared turn."""
    return HASHES + MIRRORED_HASHES if comparison.mirror else HASHES
