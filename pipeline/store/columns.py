"""Check the column types of artifacts.

A type is supported if content digests cover the type and if Parquet reads its values back unchanged.

A null in a fixed-size list needs pyarrow 26: earlier versions store the null and fail to read the column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa
from pyarrow import types

from pipeline.messages.errors import ConfigError

SUPPORTED_TYPES: Sequence[Callable[[pa.DataType], bool]] = (
    types.is_boolean,
    types.is_integer,
    types.is_floating,
    types.is_date32,
    types.is_time64,
    types.is_duration,
    types.is_decimal,
    types.is_string,
    types.is_binary,
)
FINE = ("ms", "us", "ns")
"""Time units of Parquet, which reads whole seconds back as milliseconds."""
SUPPORTED = (
    "bool, integers, floats, decimals, string, binary, fixed-size binary, date32, time and timestamp in ms or finer, "
    "duration, or a fixed-size list of one of these"
)


def is_supported(kind: pa.DataType) -> bool:
    """Return whether columns of this type can be digested and read back unchanged."""
    if types.is_fixed_size_list(kind):
        return kind.list_size > 0 and is_supported(kind.value_type)
    if types.is_fixed_size_binary(kind):
        return bool(kind.byte_width > 0)
    if types.is_timestamp(kind) or types.is_time32(kind):
        return kind.unit in FINE
    return any(fits(kind) for fits in SUPPORTED_TYPES)


def check_columns(stage: str, schema: pa.Schema) -> None:
    """Raise ConfigError for a column of unsupported type or with a repeated name."""
    for column in schema:
        where = f"stage {stage}: column {column.name}"
        if not is_supported(column.type):
            raise ConfigError(f"{where}: expected {SUPPORTED}, got {column.type}; change the stage's schema")
        if schema.names.count(column.name) > 1:
            raise ConfigError(f"{where}: expected each name once, got this name twice; rename one of the columns")
