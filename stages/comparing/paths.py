"""Make paths that a config names absolute, and find rows of a table by path."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path
from typing import Annotated

import pyarrow as pa
from pydantic import AfterValidator


def absolute(path: str) -> str:
    """Return a path as absolute, with `~` expanded."""
    return str(Path.cwd() / Path(path).expanduser())


FileName = Annotated[str, AfterValidator(absolute)]
"""A file's path, made absolute so that every worker opens the same file."""


def are_among(paths: pa.Array | pa.ChunkedArray, wanted: Set[str]) -> pa.Array:
    """Return which paths are in a set.

    `pyarrow.compute.is_in` would build a new index of all wanted paths for each table of a run."""
    return pa.array([path in wanted for path in paths.to_pylist()], pa.bool_())
