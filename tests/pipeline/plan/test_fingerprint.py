from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.plan import fingerprint
from pipeline.plan.fingerprint import (
    ColumnDigest,
    canonical,
    content,
    content_of,
    digest,
    digest_of_list,
    digest_of_task,
    encoded,
    encoded_texts,
    recipe,
    result_params,
)
from pipeline.stage import ADDED, SPEED, CacheKey, Stage


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
def test_values_without_a_canonical_form_are_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        digest(value)


def test_settings_that_only_change_speed_are_left_out() -> None:
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
        recipe(stage(cache_key=CacheKey(uses=("other.key",))), Params(), settings),
        recipe(stage(cache_key=CacheKey(libraries=("numpy",))), Params(), settings),
        recipe(stage(cache_key=CacheKey(optional=("numpy",))), Params(), settings),
        recipe(stage(cache_key=CacheKey(optional=("no-such-distribution",))), Params(), settings),
        recipe(stage(cache_key=CacheKey(libraries=("pyarrow",))), Params(), settings),
        recipe(stage(name="t"), Params(), settings),
    ]
    assert recipes[5]["libraries"] == recipes[6]["libraries"] == {"numpy": version("numpy")}
    assert recipes[7]["libraries"] == {"no-such-distribution": None}
    del recipes[6]  # which of the two a library is does not matter to what it makes
    assert len({digest(one) for one in recipes}) == len(recipes)
    assert recipe(stage(), Params(device="gpu"), settings) == recipes[0]


@dataclass(frozen=True)
class LaterParams(Params):
    mode: Annotated[str, ADDED] = "plain"


def test_later_settings_at_their_defaults_are_left_out() -> None:
    """Artifacts of the earlier version stay current."""
    schema = pa.schema([("x", pa.int64())])
    before = Stage("s", 1, (), Params, schema)
    later = Stage("s", 1, (), LaterParams, schema, cache_key=CacheKey(added={"other.key": 3}))
    same, other = {"other.key": 3}.__getitem__, {"other.key": 4}.__getitem__
    assert recipe(later, LaterParams(), same) == recipe(before, Params(), same)
    assert recipe(later, LaterParams(mode="new"), same)["params"] == {"threshold": 1.0, "mode": "new"}
    assert recipe(later, LaterParams(), other)["params"] == {"threshold": 1.0, "other.key": 4}
    assert later.used(same) == ("other.key",), "tasks may read the key"


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
def test_digests_of_encoded_parts_equal_digests_of_the_whole(values: list[Any]) -> None:
    assert digest_of_list(map(encoded, values)) == digest(values)
    texts = [str(value) for value in (*values, 'ü"\\\n', "")]
    assert encoded_texts(texts) == encoded(texts)
    spec = {f"ü{number}": value for number, value in enumerate(values)}
    inputs = {"pairs": "0" * 16, "index": "1"}
    whole = {"recipe": values, "key": 'k"ü', "spec": spec, "inputs": inputs}
    assert digest_of_task(canonical(values), 'k"ü', spec, inputs) == digest(whole)


def test_the_encoding_does_not_change() -> None:
    """A changed encoding would make every existing artifact stale."""
    value = {"b": [None, True, 1, -1.5, "ü", b"\1", (), {}], "a": Params(threshold=0.0)}
    assert encoded(value) == (
        rb'{"map":{"a":{"map":{"device":["str","cpu"],"threshold":["float","0x0.0p+0"]}},'
        rb'"b":["list",null,["bool",true],["int","1"],["float","-0x1.8000000000000p+0"],["str","\u00fc"],'
        rb'["bytes","01"],["list"],{"map":{}}]}}'
    )
    assert digest("a") == "c81bcc563c774a2efbf13701de14eb2445e57441287fa85339559a1049bf99a8"


class Text(str):
    """A subclass of `str`: equal to a text, but of another type."""


class Row(tuple):
    """A subclass of `tuple`."""


def test_subclasses_are_encoded_as_their_base_types() -> None:
    assert canonical(Text("a")) == canonical("a") == '["str","a"]'
    assert canonical(Row([1])) == canonical((1,)) == canonical(range(1, 2)) == '["list",["int","1"]]'
    assert canonical(np.float64(1.5)) == canonical(1.5)
    with pytest.raises(TypeError, match=r"^a mapping in a fingerprint needs string keys$"):
        canonical({"a": 1, 2: 3})
    with pytest.raises(TypeError, match="type has no canonical form"):
        canonical(Params)


ROWS = [
    {"text": "one", "bytes": b"ab", "fixed": b"abc", "number": -7, "real": 0.5, "flag": True, "list": [1, 2]},
    {"text": "", "bytes": b"", "fixed": None, "number": None, "real": -0.0, "flag": False, "list": None},
    {"text": None, "bytes": None, "fixed": b"\0\0\0", "number": 0, "real": None, "flag": None, "list": [0, 0]},
    {
        "text": "dr\u00fcber",
        "bytes": b"\0c",
        "fixed": b"xyz",
        "number": 2**62,
        "real": 3e300,
        "flag": True,
        "list": [3, 4],
    },
]
TABLE = pa.Table.from_pylist(ROWS, SCHEMA)


def test_content_digests_do_not_change() -> None:
    """Changed digests would make every existing artifact stale."""
    assert " ".join(content(TABLE).values()) == (
        "2ae58616677f4f95189051282b2f6923 a99648512430982182a566b208e8c03b dff8d5cfc2bc4e74fcaf75501c78ba59 "
        "7c0dc2b7db4487b90dece02f20a18b27 f666c8b50a2a8d6dbc46f2c0f1f3f735 c3ed6363ef18b1b92cc69f6d212f4ddf "
        "0d0b25e06442036ac76cbe3767dbe455"
    )
    assert " ".join(content(SCHEMA.empty_table()).values()) == (
        "a7908920925b4a340a60aacb70080354 afa02f24dba1c2ffeaac912532cf0610 6a19396a3d8f99a796320ee4ec32fa60 "
        "f95f8dda0da6f9cdb4cd9d4be8d69e3d de35fdbf0a12f3783687cafe569e16e5 102e9c303872f7d984376dabea39e814 "
        "060cde345a8b22faf8b300e1d9cebb50"
    )
    assert " ".join(content(TABLE.take([2, 2])).values()) == (
        "c962333660a40b159fd9d89667c39059 658c568a737188a61c3f338398ac7c3d e7ca586aac7b52e2b6541deb8094e577 "
        "0d9f22ff7ce8fda75e2afca643e59483 de1824f75a169828e75508f38153bbb5 c34ce4df5e29c5f12919c724da67df3b "
        "cedfe4dce90cca7a86937adc331e80be"
    )


def test_a_part_of_a_table_has_the_content_of_its_rows() -> None:
    """A part points into the buffers of the whole; bits of flags and of missing values lie at odd places there."""
    for start in range(len(ROWS)):
        for length in range(len(ROWS) - start + 1):
            rows = pa.Table.from_pylist(ROWS[start : start + length], SCHEMA)
            assert content(TABLE.slice(start, length)) == content(rows), (start, length)


@pytest.mark.parametrize("wide", [False, True])
def test_short_pieces_are_digested_together_and_long_rows_at_once(wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Grouping changes the number of pieces in memory, and no digest."""
    monkeypatch.setattr(fingerprint, "TOGETHER", 3)
    width = fingerprint.WIDE + wide
    column = pa.array([bytes([n]) * width for n in range(7)], pa.binary(width))
    digest, waiting = ColumnDigest(column.type), []
    for row in range(7):
        digest.update(column.slice(row, 1))
        waiting.append(digest._rows_waiting)
    assert waiting == ([0] * 7 if wide else [1, 2, 0, 1, 2, 0, 1])
    assert digest.hexdigest() == content(pa.table({"c": column}))["c"]


def test_bytes_below_a_missing_value_do_not_count() -> None:
    """Filters and joins leave earlier bytes below missing values."""
    valid = pa.py_buffer(bytes([0b101]))
    offsets = pa.py_buffer(np.array([0, 1, 3, 4], np.int32))
    text = pa.py_buffer(b"axxb")
    fixed = pa.py_buffer(b"aa??bb")
    whole = pa.py_buffer(np.array([1, 99, 3], np.int64))
    flags = pa.py_buffer(bytes([0b111]))
    below = [
        (pa.Array.from_buffers(pa.string(), 3, [valid, offsets, text]), ["a", None, "b"]),
        (pa.Array.from_buffers(pa.binary(), 3, [valid, offsets, text]), [b"a", None, b"b"]),
        (pa.Array.from_buffers(pa.binary(2), 3, [valid, fixed]), [b"aa", None, b"bb"]),
        (pa.Array.from_buffers(pa.int64(), 3, [valid, whole]), [1, None, 3]),
        (pa.Array.from_buffers(pa.bool_(), 3, [valid, flags]), [True, None, True]),
    ]
    for column, values in below:
        assert column.to_pylist() == values
        plain = pa.array(values, column.type)
        assert content(pa.table({"c": column})) == content(pa.table({"c": plain})), column.type
        assert content(pa.table({"c": column.slice(1, 1)})) == content(pa.table({"c": pa.nulls(1, column.type)}))
