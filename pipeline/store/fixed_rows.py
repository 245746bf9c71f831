"""Read single rows of a fixed-size binary column of a local Parquet file.

The footer is parsed once, not for each read. A row group is written as one page, so the values are the last bytes of
the column chunk."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.store.regular import regular

Ints = NDArray[np.int64]
UNREADABLE_GROUP = -1
"""In `FixedRows.stops`: the column chunk is compressed, or has a dictionary or nulls."""


@dataclass(frozen=True)
class FixedRows:
    """Positions of the values of one column in a file.

    width  bytes of a value
    ends   for each row group, the number of rows up to its end, int64
    stops  for each row group, the position one past its last value in the file, or UNREADABLE_GROUP, int64"""

    path: Path
    width: int
    ends: Ints
    stops: Ints

    def __len__(self) -> int:
        return int(self.ends.max(initial=0))

    def read(self, rows: Sequence[int] | Ints) -> NDArray[np.uint8] | None:
        """Return rows, uint8 (rows, width); None if a row can't be read in this way.

        No checksum is verified, and the file may have changed: the caller must verify the values."""
        wanted = np.asarray(rows, np.int64)
        group = np.searchsorted(self.ends, wanted, side="right")
        if (self.stops[group] == UNREADABLE_GROUP).any():
            return None
        found = np.empty((len(wanted), self.width), np.uint8)
        places = self.stops[group] - (self.ends[group] - wanted) * self.width
        try:
            with io.FileIO(self.path, opener=regular) as file:
                for value, place in zip(found, places.tolist(), strict=True):
                    file.seek(place)
                    if file.readinto(value.data) != self.width:
                        return None
        except OSError:
            return None
        return found


def locate(file: pq.ParquetFile, path: Path, column: str) -> FixedRows:
    """Return the positions of a column's values. Raises ValueError for no such column."""
    leaf = [file.schema.column(n).path for n in range(len(file.schema))].index(column)
    width = file.schema.column(leaf).length
    groups = [file.metadata.row_group(n) for n in range(file.num_row_groups)]
    stops = []
    for chunk in (group.column(leaf) for group in groups):
        packed = chunk.compression != "UNCOMPRESSED" or chunk.has_dictionary_page
        readable = not packed and chunk.total_compressed_size >= chunk.num_values * width  # a shorter chunk has nulls
        stops.append(chunk.data_page_offset + chunk.total_compressed_size if readable else UNREADABLE_GROUP)
    ends = np.cumsum([group.num_rows for group in groups], dtype=np.int64)
    return FixedRows(path, width, ends, np.array(stops, np.int64))
