"""Read CSV and Parquet files that users provide, and detect changes during a run."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.messages.errors import TaskError

Table = TypeVar("Table")


def read_rows(path: Path, columns: Sequence[str], what: str = "") -> list[tuple[str, ...]]:
    """Return rows of a CSV or Parquet file as text; a missing value is an empty text.

    what  words that the error message inserts after "CSV or Parquet"

    Raises:
        ValueError: the file is not CSV or Parquet, or lacks a column.
        OSError: the file can't be read."""
    try:
        if path.suffix == ".parquet":
            with path.open("rb") as binary:
                table = pq.read_table(binary, columns=list(columns))
            texts = (table[name].cast(pa.string()).fill_null("").to_pylist() for name in columns)
            return list(zip(*texts, strict=True))
        with path.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text, strict=True)
            if not set(columns) <= set(reader.fieldnames or ()):
                raise KeyError("columns")
            return [tuple(row[name] or "" for name in columns) for row in reader]
    except (KeyError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise ValueError(f"{path}: expected CSV or Parquet{what} with the columns {', '.join(columns)}") from error


def read_unchanged(key: str, read: Callable[[], Table], digest: Callable[[Table], str], expected: object) -> Table:
    """Read a user's files, which must not have changed since the run was planned.

    key       config key that names the files
    read      reads the content
    digest    returns a digest of the content
    expected  the digest in the task's spec

    Raises:
        TaskError: the files changed, or can't be read."""
    try:
        content = read()
    except (ValueError, OSError) as error:
        raise TaskError(f"{key}: {error}") from error
    if digest(content) != expected:
        raise TaskError(f"{key}: a file changed during the run; run the same command again")
    return content
