"""List what the report reads, and the columns of its record.

Every run reads these lists; the modules that draw are imported when a report is drawn."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa
from pydantic import AfterValidator

from stages.comparing.comparison import COMPARISON_KEYS
from stages.comparing.paths import absolute

SCHEMA = pa.schema([("file", pa.string()), ("kind", pa.string()), ("subject", pa.string())])
"""The record's schema: each file of the report."""
DATES = "dates.js"
"""A script beside the page with each file's modification time; see `stages/commands/run/dates.py`."""
FACTS = (
    *("path", "path_bytes", "set", "width", "height", "bytes", "format", "taken", "camera", "gps", "annotations"),
    *("digest", "location"),
)
"""Columns of thumbnails that the page shows."""
FOLDERS = (*COMPARISON_KEYS, "inputs.reference", "cluster.threshold", "cluster.min_contrast", "cluster.dismissed")
"""Config keys that the table of folders depends on."""
COLUMN = "column:"
"""Beginning of `plot.labels` where it names a column of the scan."""
LabelSource = Annotated[str, AfterValidator(lambda text: text if text.startswith(COLUMN) else absolute(text))]
"""A file of labels, made absolute, or `column:NAME`."""


def columns(figure: str) -> tuple[str, ...]:
    """Return the columns of matches that are read.

    `figure` is the column of distances."""
    return ("path_a", "path_b", figure, "turns", "measured")


def label_column(labels: str | None) -> str | None:
    """Return the column of the scan that `plot.labels` names; None where it names a file, or nothing."""
    return labels.removeprefix(COLUMN) if labels and labels.startswith(COLUMN) else None
