"""Find rows whose files have changed since the artifact was made."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stage import Artifact
from stages.decoding.containers import OpenContainers, reading_order
from stages.decoding.problems import Unreadable
from stages.decoding.reading import read
from stages.decoding.sources import Expected

SCAN = ("path", "path_bytes", "set", "bytes", "stamp", "location")
"""Columns of the scan that determine thumbnails."""


def names_of(table: pa.Table) -> list[bytes]:
    """Return the name of each file as bytes."""
    return cast("list[bytes]", pc.coalesce(table["path_bytes"], table["path"].cast(pa.binary())).to_pylist())


def recheck(artifact: Artifact, paths: Collection[str]) -> Collection[str]:
    """Return the paths whose bytes have changed since the artifact was made."""
    rows = artifact.table(["path", "path_bytes", "digest", "error", "bytes", "stamp", "location"])
    changed = []
    containers = OpenContainers()
    asked = pc.is_in(rows["path"], pa.array(list(paths), pa.string()))
    rows = rows.filter(pc.and_(asked, pc.is_valid(rows["digest"])))
    facts = rows.to_pylist()
    files = [
        Expected(name, row["bytes"], row["digest"], row["location"] or "")
        for name, row in zip(names_of(rows), facts, strict=True)
    ]
    for number in reading_order(files):
        try:
            _, digest = read(files[number], "bytes", files[number].size, containers)
        except Unreadable:
            digest = None
        if digest != files[number].stamp:
            changed.append(facts[number]["path"])
    containers.close()
    return changed
