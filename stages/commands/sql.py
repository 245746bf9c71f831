"""A run's tables in a database, through SQLAlchemy: images, hashes, pairs, clusters. Nothing here reads them back."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from pipeline.errors import ConfigError
from pipeline.locations import mask
from stages.commands.results import FACTS, Results
from stages.metrics import HASHES

ROWS = 10_000
"""Rows that are sent at a time."""


def export(results: Results, url: str, replace: bool) -> Iterator[tuple[str, int]]:
    """Write the tables, one after the other, each in a transaction of its own; gives name and rows of each.

    `pairs` holds the rows as they were recorded: with `pairs.identical: group` the first of identical thumbnails stands
    for all of a block. Raises ConfigError where there is no such database, or there are such tables and not `replace`.
    """
    try:
        from sqlalchemy import create_engine, inspect
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError as error:
        raise ConfigError(
            "--to: databases need a library that is missing: pip install 'fast-diff-dask[sql]'"
        ) from error
    tables = {
        "images": ("thumbnail", [name for name in FACTS if name != "path_bytes"]),
        "hashes": ("hash", ["path", "set", *HASHES, "identity", "identity_turned"]),
        "pairs": ("pairs", None),
        "clusters": ("cluster", None),
    }
    try:
        engine = create_engine(url)
        there = sorted(tables.keys() & set(inspect(engine).get_table_names()))
        if there and not replace:
            raise ConfigError(f"--to: {mask(url)} has tables {', '.join(there)} already; --replace puts new ones there")
        for name, (stage, columns) in tables.items():
            rows = 0
            with engine.begin() as connection:
                for table in results.tables(stage, columns):
                    _send(table, name, connection, first=not rows)
                    rows += table.num_rows
            yield name, rows
        engine.dispose()
    except (SQLAlchemyError, ImportError) as error:
        said = " ".join(str(error.__cause__ or error).split())[:200]
        raise ConfigError(f"--to: {mask(url)} can't be written ({mask(said)}); see SQLAlchemy's URLs") from error


def _send(table: pa.Table, name: str, connection: object, first: bool) -> None:
    frame = table.to_pandas()
    if first:
        frame.head(0).to_sql(name, connection, if_exists="replace", index=False)
    frame.to_sql(name, connection, if_exists="append", index=False, chunksize=ROWS)
