"""Write images, hashes, pairs and clusters of a run to a database by SQLAlchemy.

Columns have the types of the artifacts, not types guessed from the first rows: a column of integers with nulls keeps
its type, and times keep their milliseconds. In MySQL and MariaDB, text columns are utf8mb4 and compare byte by byte,
whatever the server's defaults: `A.png` and `a.png` stay two files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pyarrow as pa

from pipeline.machine.installation import install, install_extra
from pipeline.messages.errors import ConfigError
from pipeline.store.backends.locations import mask
from stages.commands.results.tables import Results

ROWS = 10_000
"""Rows of one INSERT."""
DRIVERS = {"psycopg2": "psycopg2-binary", "psycopg": "psycopg[binary]", "pymysql": "PyMySQL", "MySQLdb": "mysqlclient"}
"""Distributions by driver module of SQLAlchemy's URLs, where distribution and module have different names."""


def export(results: Results, url: str, replace: bool) -> Iterator[tuple[str, int]]:
    """Write each table in a transaction of its own.

    Yields the name and the number of rows of each table.

    MySQL and MariaDB commit when a table is made: if the export fails there, a table may lack rows. The table `pairs`
    has the recorded rows: with `pairs.identical: group`, a row of a representative represents the rows of all identical
    images of its block. Raises ConfigError where the database can't be written, or has such tables and `replace` is
    false."""
    try:
        from sqlalchemy import create_engine, inspect
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError as error:
        raise ConfigError(f"--to: databases need a library that is missing: {install_extra('sql')}") from error
    tables = {
        "images": ("thumbnail", [name for name in results.facts if name != "path_bytes"]),
        "hashes": ("hash", results.hash_columns),
        "pairs": ("pairs", None),
        "clusters": ("cluster", None),
    }
    try:
        engine = create_engine(url)
        try:
            there = sorted(tables.keys() & set(inspect(engine).get_table_names()))
            if there and not replace:
                raise ConfigError(f"--to: {mask(url)} already has tables {', '.join(there)}; --replace replaces them")
            for name, (stage, columns) in tables.items():
                with engine.begin() as connection:
                    rows = _send(results.tables(stage, columns), name, connection)
                yield name, rows
        finally:
            engine.dispose()
    except ImportError as error:
        wanted = DRIVERS.get(error.name or "", error.name or "what it is")
        raise ConfigError(f"--to: {mask(url)} needs a driver that is missing here: {install(wanted)}") from error
    except (SQLAlchemyError, RuntimeError) as error:  # RuntimeError: a driver lacks a library
        cause = " ".join(str(error.__cause__ or error).split())[:200]
        raise ConfigError(f"--to: {mask(url)} can't be written ({mask(cause)}); see SQLAlchemy's URLs") from error


def _send(artifacts: Iterator[pa.Table], name: str, connection: Any) -> int:
    """Replace a table by the rows of artifacts, which have one schema.

    Returns the number of rows."""
    from sqlalchemy import Column, MetaData, Table

    table, rows = None, 0
    for artifact in artifacts:
        if table is None:
            columns = [Column(each.name, _column_type(each.type)) for each in artifact.schema]
            table = Table(name, MetaData(), *columns, **cast(Any, _options(connection.dialect)))
            table.drop(connection, checkfirst=True)
            table.create(connection)
        for batch in artifact.to_batches(max_chunksize=ROWS):
            if batch.num_rows:  # an INSERT without rows would add a row of defaults
                connection.execute(table.insert(), batch.to_pylist())
        rows += artifact.num_rows
    return rows


def _column_type(kind: pa.DataType) -> Any:
    """Return the SQL type that holds every value of a column exactly."""
    from sqlalchemy import BigInteger, Boolean, DateTime, Double, Integer, SmallInteger, Text
    from sqlalchemy.dialects import mysql

    if pa.types.is_boolean(kind):
        return Boolean()
    if pa.types.is_integer(kind):  # no unsigned integers but those of 8 bits
        return {8: SmallInteger, 16: SmallInteger, 32: Integer, 64: BigInteger}[kind.bit_width]()
    if pa.types.is_floating(kind):
        return Double()
    if pa.types.is_timestamp(kind):
        return DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    return Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")  # hashes of user functions may exceed 64 KB


def _options(dialect: Any) -> dict[str, str]:
    """Return the options of a table under a dialect."""
    if dialect.name not in ("mysql", "mariadb"):
        return {}
    collation = "utf8mb4_nopad_bin" if dialect.is_mariadb else "utf8mb4_bin"  # utf8mb4_bin: "a " = "a"
    return {f"{dialect.name}_charset": "utf8mb4", f"{dialect.name}_collate": collation}
