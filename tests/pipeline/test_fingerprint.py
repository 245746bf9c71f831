from dataclasses import dataclass
from typing import Annotated, Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.fingerprint import (
    content,
    content_of,
    digest,
    digest_of_list,
    digest_of_mapping,
    encoded,
    recipe,
    result_params,
)
from pipeline.stage import SPEED, Stage


@dataclass(frozen=True)
class Params:
    threshold: float = 1.0
    device: Annotated[str, SPEED] = "cpu"


def test_values_that_look_alike_differ() -> None:
    values = [1, 1.0, "1", True, None, "None", [1], (1, 1), {"a": 1}, b"1", 0.1 + 0.2, 0.3, -0.0, 0.0, [], {}, ""]
    assert len({digest(value) for value in values}) == len(values)


def test_the_order_of_keys_and_the_kind_of_sequence_do_not_matter() -> None:
    assert digest({"a": 1, "b": (1, 2)}) == digest({"b": [1, 2], "a": 1})


@pytest.mark.parametrize("value", [object(), {1: 2}, {1, 2}, lambda: None, float("nan")])
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        digest(value)


def test_what_changes_only_speed_stays_out() -> None:
    assert result_params(Params(2.0, "gpu")) == {"threshold": 2.0}


def test_the_recipe_changes_with_all_that_changes_results() -> None:
    schema = pa.schema([("x", pa.int64())])
    wide = pa.schema([("x", pa.float64())])

    def stage(**changes: Any) -> Stage:
        return Stage(**{"name": "s", "version": 1, "needs": (), "params": Params, "schema": schema} | changes)

    settings = {"other.key": 3}.__getitem__
    recipes = [
        recipe(stage(), Params(), settings),
        recipe(stage(version=2), Params(), settings),
        recipe(stage(schema=wide), Params(), settings),
        recipe(stage(), Params(2.0), settings),
        recipe(stage(uses=("other.key",)), Params(), settings),
        recipe(stage(libraries=("numpy",)), Params(), settings),
    ]
    assert len({digest(one) for one in recipes}) == len(recipes)
    assert recipe(stage(), Params(device="gpu"), settings) == recipes[0]


COLUMNS = {
    "text": st.text(max_size=5),
    "bytes": st.binary(max_size=5),
    "fixed": st.binary(min_size=3, max_size=3),
    "number": st.integers(-(2**62), 2**62),
    "real": st.floats(allow_nan=False),
    "flag": st.booleans(),
    "list": st.lists(st.integers(0, 9), min_size=2, max_size=2),
}
SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("bytes", pa.binary()),
        ("fixed", pa.binary(3)),
        ("number", pa.int64()),
        ("real", pa.float64()),
        ("flag", pa.bool_()),
        ("list", pa.list_(pa.int64(), 2)),
    ]
)
TABLES = st.lists(st.fixed_dictionaries({k: st.none() | v for k, v in COLUMNS.items()}), max_size=12)


@given(rows=TABLES, cuts=st.lists(st.integers(0, 12), max_size=4))
def test_content_does_not_depend_on_how_a_table_is_cut(rows: list[dict[str, Any]], cuts: list[int]) -> None:
    table = pa.Table.from_pylist(rows, SCHEMA)
    ends = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    pieces = [table.slice(start, end - start) for start, end in zip(ends, ends[1:], strict=False)]
    assert content_of(pieces, SCHEMA) == content(table) == content(pa.concat_tables(pieces))


@given(rows=TABLES.filter(len), data=st.data())
def test_content_changes_with_any_value(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    column = data.draw(st.sampled_from(sorted(COLUMNS)))
    row = data.draw(st.integers(0, len(rows) - 1))
    value = data.draw((st.none() | COLUMNS[column]).filter(lambda value: repr(value) != repr(rows[row][column])))
    changed = [dict(each) for each in rows]
    changed[row][column] = value
    before, after = (content(pa.Table.from_pylist(each, SCHEMA)) for each in (rows, changed))
    assert {name for name in before if before[name] != after[name]} == {column}


def test_null_is_not_empty_and_the_order_counts() -> None:
    texts = [[None, ""], ["", None], ["", ""], ["a", "b"], ["ab", ""], ["b", "a"], [None], []]
    assert len({content(pa.table({"t": pa.array(text, pa.string())}))["t"] for text in texts}) == len(texts)


@given(st.lists(st.one_of(st.none(), st.integers(), st.text(), st.lists(st.text()))))
def test_lists_and_mappings_may_be_digested_by_the_encodings_of_what_they_hold(values: list[Any]) -> None:
    assert digest_of_list(map(encoded, values)) == digest(values)
    named = {f"ü{number}": value for number, value in enumerate(values)}
    assert digest_of_mapping({name: encoded(value) for name, value in named.items()}) == digest(named)
