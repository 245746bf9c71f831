"""Other libraries read every stage's folder: all columns, unreadable images and empty artifacts included."""

from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from pipeline.plan.discovery import discover
from tests.end_to_end.driver import Project, make_images

STAGES = [stage.name for stage in discover() if stage.name != "embed"]
"""The stages with tasks in a run without embedding."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = Project(tmp_path_factory.mktemp("readers"), {"partition": {"images": 1, "block": 2}})
    make_images(project.folder / "images", 12)
    (project.folder / "images" / "000.jpg").write_bytes(b"no image")
    assert project.run("plot.pairs=0", "plot.clusters=0") == 0
    return project.run_folder


def test_some_artifacts_are_empty_and_some_images_unreadable(run: Path) -> None:
    assert min(pq.read_metadata(path).num_rows for path in (run / "pairs").glob("*.parquet")) == 0
    assert pq.read_table(run / "thumbnail")["error"].null_count == 12


@pytest.mark.parametrize("stage", STAGES)
def test_all_columns_are_the_same_to_all_libraries(run: Path, stage: str) -> None:
    table = pq.read_table(run / stage)
    nulls = {name: table[name].null_count for name in table.column_names}
    files = str(run / stage / "*.parquet")
    assert dict(pd.read_parquet(run / stage).isna().sum()) == nulls
    assert pl.read_parquet(files).null_count().to_dicts() == [nulls]
    (counts,) = duckdb.sql(f"select count(*), count(columns(*)) from '{files}'").fetchall()
    assert counts == (len(table), *(len(table) - count for count in nulls.values()))
    assert len(duckdb.sql(f"from '{files}'").fetchall()) == len(table)
