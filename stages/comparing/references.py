"""Find images in folders that the config marks as references.

References are always kept. With `pairs.references: skip`, pairs of references are not compared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.decoding.location import is_container


def are_references(paths: pa.ChunkedArray, roots: Sequence[str]) -> pa.ChunkedArray:
    """Return which images are references, bool (n,).

    roots  files, folders and containers; the images in folders and containers are references, too"""
    found = pa.chunked_array([np.zeros(len(paths), bool)])
    for root in roots:
        below = f"{root}!/" if is_container(root.encode()) else f"{root.rstrip('/')}/"
        found = pc.or_(found, pc.or_(pc.equal(paths, root), pc.starts_with(paths, below)))
    return found
