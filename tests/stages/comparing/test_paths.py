"""Find rows by path: with many tables, the cost of a table does not grow with the number of wanted paths."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest

from stages.commands.plan.companions import _named
from stages.commands.plan.removals import _column, _places
from stages.comparing.paths import are_among

TABLES, ROWS, WANTED = 200, 5, 100_000


class Tables:
    """The results of a run with many small partitions."""

    def tables(self, stage: str, columns: tuple[str, ...]) -> Iterator[pa.Table]:
        for number in range(TABLES):
            texts = pa.array([f"/d/{number * ROWS + row}.jpg" for row in range(ROWS)], pa.string())
            yield pa.table({name: texts if name == "path" else pa.nulls(ROWS, pa.string()) for name in columns})


def seconds(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())], ids=str)
def test_paths_in_a_set(kind: pa.DataType) -> None:
    paths = pa.chunked_array([["a", "ä"], ["b"]], pa.string()).cast(kind)
    assert are_among(paths, {"ä", "c"}).to_pylist() == [False, True, False]
    assert are_among(paths[:0], {"a"}).to_pylist() == []


@pytest.mark.parametrize(
    "found",
    [
        lambda run, paths: _places(run, paths),
        lambda run, paths: _column(run, "digest", paths),
        lambda run, paths: _named(run, paths),
    ],
    ids=["places", "column", "companions"],
)
def test_many_tables_and_many_paths(found: Any) -> None:
    paths = {f"/d/{number}.jpg" for number in range(WANTED)}
    index = min(seconds(lambda: (pa.array(paths, pa.string()), set(paths))) for _ in range(3))
    assert seconds(lambda: list(found(Tables(), paths))) < TABLES / 4 * index
