"""Rows about single images, out of the artifacts that hold them."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stage import Artifact


def rows_of(artifacts: Sequence[Artifact], columns: Sequence[str], paths: pa.Array) -> pa.Table:
    """A row for each path, in their order; `columns` has `path` among them."""
    tables = (artifact.table(columns) for artifact in artifacts)
    found = pa.concat_tables([table.filter(pc.is_in(table["path"], paths)) for table in tables]).combine_chunks()
    return found.take(pc.index_in(paths, found["path"].combine_chunks()))
