"""List the columns and config keys that the report reads, and the columns of the report's record.

Every run imports this module. The modules that draw are imported only when a report is drawn."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa
from pydantic import AfterValidator

from stages.comparing.comparison import COMPARISON_KEYS
from stages.comparing.paths import absolute

SCHEMA = pa.schema([("file", pa.string()), ("kind", pa.string()), ("subject", pa.string())])
"""The schema of the record, which has a row for each file of the report."""
DATES = "dates.js"
"""Name of a script beside the page with the modification time of each file; see `stages/commands/run/dates.py`."""
FACTS = (
    *("path", "path_bytes", "set", "width", "height", "bytes", "format", "taken", "camera", "gps", "annotations"),
    *("digest", "location"),
)
"""Columns of thumbnails that the page shows."""
FOLDERS = (*COMPARISON_KEYS, "inputs.reference", "cluster.threshold", "cluster.min_contrast", "cluster.dismissed")
"""Config keys that the table of folders depends on."""
COLUMN = "column:"
"""Prefix of a value of `plot.labels` that names a column of the scan."""
LabelSource = Annotated[str, AfterValidator(lambda text: text if text.startswith(COLUMN) else absolute(text))]
"""The path of a file of labels, made absolute, or `column:NAME`."""


def columns(figure: str) -> tuple[str, ...]:
    """Return the columns of matches that the report reads.

    figure  the column of distances"""
    return ("path_a", "path_b", figure, "turns", "measured")


def label_column(labels: str | None) -> str | None:
    """Return the column of the scan that `plot.labels` names; None for a file, or without labels."""
    return labels.removeprefix(COLUMN) if labels and labels.startswith(COLUMN) else None
