"""Columns that a stage may declare: an artifact gives them back unchanged, and its digest depends on each value."""

import datetime as dt
import decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic.dataclasses import dataclass

from pipeline.config.settings import from_mapping
from pipeline.messages.errors import ConfigError
from pipeline.plan.fingerprint import content
from pipeline.plan.preflight import check_settings
from pipeline.stage import Stage
from pipeline.store.artifact import Record, StoredArtifact, artifact_name
from pipeline.store.columns import is_supported
from pipeline.store.store import Store


@dataclass(frozen=True)
class Params:
    """No parameters."""


LIBRARY = int(pa.__version__.partition(".")[0])
"""Major version of pyarrow."""
DAYS, TIMES = (dt.datetime(2000, 1, 1), dt.datetime(2001, 1, 1)), (dt.time(1), dt.time(2))
DECIMALS = (decimal.Decimal("1.00"), decimal.Decimal("2.50"))
SUPPORTED: list[tuple[pa.DataType, tuple[Any, Any]]] = [
    (pa.bool_(), (True, False)),
    (pa.int8(), (1, -2)),
    (pa.uint64(), (1, 2**63)),
    (pa.float16(), (np.float16(1), np.float16(2))),
    (pa.float32(), (1.0, 2.0)),
    (pa.float64(), (1.0, 2.0)),
    (pa.string(), ("a", "bb")),
    (pa.binary(), (b"a", b"")),
    (pa.binary(3), (b"abc", b"abd")),
    (pa.date32(), (dt.date(2000, 1, 1), dt.date(2001, 1, 1))),
    (pa.time32("ms"), TIMES),
    (pa.time64("us"), TIMES),
    (pa.time64("ns"), TIMES),
    *((pa.timestamp(unit), DAYS) for unit in ("ms", "us", "ns")),
    (pa.timestamp("us", "UTC"), DAYS),
    (pa.duration("s"), (dt.timedelta(1), dt.timedelta(2))),
    (pa.decimal128(10, 2), DECIMALS),
    (pa.decimal256(50, 2), DECIMALS),
    (pa.list_(pa.int16(), 2), ([1, 2], [1, 3])),
    (pa.list_(pa.bool_(), 2), ([True, False], [True, True])),
    (pa.list_(pa.string(), 2), (["a", "b"], ["a", "c"])),
    (pa.list_(pa.timestamp("us"), 1), ([DAYS[0]], [DAYS[1]])),
    (pa.list_(pa.list_(pa.int8(), 2), 2), ([[1, 2], [3, 4]], [[1, 2], [3, 5]])),
]
REFUSED = [
    pa.null(),
    pa.large_string(),
    pa.large_binary(),
    pa.string_view(),
    pa.list_(pa.int8()),
    pa.list_(pa.string()),
    pa.large_list(pa.int8()),
    pa.list_(pa.large_string(), 2),
    pa.list_(pa.int8(), 0),
    pa.binary(0),
    pa.struct([("a", pa.int8())]),
    pa.map_(pa.string(), pa.int8()),
    pa.dictionary(pa.int32(), pa.string()),
    pa.date64(),
    pa.time32("s"),
    pa.timestamp("s"),
]


@pytest.mark.parametrize(("kind", "values"), SUPPORTED, ids=lambda value: str(value)[:30])
def test_a_permitted_column_is_read_back_unchanged(kind: pa.DataType, values: tuple[Any, Any], tmp_path: Path) -> None:
    assert is_supported(kind)
    a, b = values
    schema, store, digests = pa.schema([("x", kind)]), Store(tmp_path), []
    columns = [[a, None, b], [b, None, a], [a, a, b], [None, None, None], []]
    if pa.types.is_fixed_size_list(kind) and LIBRARY < 26:
        columns = [column for column in columns if None not in column]  # stored, but not read back
    for number, column in enumerate(columns):
        table = pa.table({"x": pa.array(column, kind)})
        sliced = pa.table({"x": pa.array([b, *column, a], kind).slice(1, len(column))})
        assert content(sliced) == content(table)
        digests.append(content(table)["x"])
        name = artifact_name(str(number), "f" * 64)
        store.publish(name, Record("s", str(number), "f" * 64, {}, {}), schema, [table])
        assert StoredArtifact("s", str(number), store.path("s", name)).table() == table
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize("kind", REFUSED, ids=str)
def test_other_columns_are_refused_when_a_stage_is_declared(kind: pa.DataType) -> None:
    schema = pa.schema([("path", pa.string()), ("words", kind)])
    with pytest.raises(
        ConfigError, match=r"^stage toy: column words: expected bool, .*; change the stage's schema"
    ) as told:
        Stage("toy", 1, (), Params, schema)
    assert f"got {kind};" in str(told.value)
    assert "\n" not in str(told.value)


def test_a_column_that_stands_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="stage toy: column x: expected each name once"):
        Stage("toy", 1, (), Params, pa.schema([("x", pa.int8()), ("x", pa.int8())]))


def test_a_schema_that_depends_on_the_config_is_refused_before_anything_runs(tmp_path: Path) -> None:
    stage = Stage("toy", 1, (), Params, lambda params, settings: pa.schema([("words", pa.list_(pa.string()))]))
    config = from_mapping({"run": "r", "output": str(tmp_path / "o")}, [stage])
    with pytest.raises(ConfigError, match="stage toy: column words"):
        check_settings([stage], config.params, config.settings)
    assert not (tmp_path / "o").exists()
