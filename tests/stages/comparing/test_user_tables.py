"""Users' tables: both formats give the same rows, errors name the columns, and changes during a run end the task."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.messages.errors import TaskError
from stages.comparing.user_tables import read_rows, read_unchanged

ROWS = [("x", "1"), ("", "2"), ("y", "")]


def written(folder: Path, suffix: str, names: tuple[str, ...]) -> Path:
    path = folder / f"table{suffix}"
    if suffix == ".parquet":
        columns = {name: pa.array([row[n] or None for row in ROWS]) for n, name in enumerate(names)}
        pq.write_table(pa.table(columns | {"other": pa.array([1.5] * len(ROWS))}), path)
    else:
        lines = [",".join((*names, "other")), *(f"{a},{b},1.5" for a, b in ROWS)]
        path.write_text("\n".join(lines), encoding="utf-8-sig")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_both_formats_give_the_same_text(tmp_path: Path, suffix: str) -> None:
    assert read_rows(written(tmp_path, suffix, ("a", "b")), ("a", "b")) == ROWS


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_missing_column_is_named(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path, suffix, ("a", "c"))
    with pytest.raises(ValueError, match=f"{path}: expected CSV or Parquet of pairs with the columns a, b"):
        read_rows(path, ("a", "b"), " of pairs")


def test_a_change_or_an_error_ends_the_task(tmp_path: Path) -> None:
    assert read_unchanged("key", lambda: [1], len, 1) == [1]
    with pytest.raises(TaskError, match="key: a file changed during the run"):
        read_unchanged("key", lambda: [1, 2], len, 1)
    with pytest.raises(TaskError, match=r"key: .*No such file"):
        read_unchanged("key", lambda: (tmp_path / "missing").read_text(), len, 1)
