"""Write a table of the images to remove as a CSV or Parquet file."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.messages.errors import ConfigError
from pipeline.messages.words import counted
from pipeline.store.atomic import atomic_write
from stages.commands.plan.removals import removals
from stages.commands.results.tables import Results

ENDINGS = (".csv", ".parquet")


def export_removals(results: Results, out: Path | None, leak_from: str | None, plan: Path | None) -> str:
    """Write a row for each image to remove; return a line for the user. Raises ConfigError."""
    if out is None or out.suffix.lower() not in ENDINGS:
        got = "no --out" if out is None else f"{out}"
        raise ConfigError(f"--format removals: expected --out FILE.csv or FILE.parquet, got {got}")
    if out.exists():
        raise ConfigError(f"{out} exists; choose another name, or delete that file")
    table = removals(results, leak_from, plan)
    with atomic_write(out) as file:
        if out.suffix.lower() == ".csv":
            text = io.TextIOWrapper(file, "utf-8", newline="")
            writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)
            writer.writerow(table.column_names)
            for row in table.to_pylist():
                writer.writerow("" if value is None else value for value in row.values())
            text.flush()
            text.detach()
        else:
            pq.write_table(table, file, compression="zstd")
    return f"removals    {out}: {counted(len(table), 'image')} would be removed"
