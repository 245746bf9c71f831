"""Count the images of set b that are in clusters with images of set a."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stage import Inputs
from stages.comparing.paths import are_among


def leak(inputs: Inputs, members: pa.Table) -> tuple[int, int] | None:
    """Return the number of images of set b in clusters, and of readable images of set b; None for a run of one set.

    A run of two sets compares no two images of one set, so each image of b in a cluster matches an image of a."""
    second = [artifact for artifact in inputs.of("thumbnail") if artifact.key.startswith("b-")]
    if not second:
        return None
    clustered = frozenset(members["path"].to_pylist())
    matched = readable = 0
    for artifact in second:
        rows = artifact.table(["path", "error"])
        paths = rows.filter(pc.is_null(rows["error"]))["path"]
        readable += len(paths)
        matched += are_among(paths, clustered).true_count
    return matched, readable
