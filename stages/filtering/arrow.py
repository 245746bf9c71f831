"""Write a copy of an Arrow file or stream without some rows, one record batch after the other.

The schema and its metadata are unchanged; a record batch without remaining rows is left out. A run can't read images of
compressed files, so no row of a compressed file is ever removed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from stages.decoding.opened_file import OpenedFile
from stages.filtering.outcome import Refused, Removal, Rewritten, check_found
from stages.listing.parquet import MAGIC, arrow_rows

DAMAGED = "damaged: rows after the first {:,} can't be read"


def rewrite_arrow(opened: OpenedFile, removal: Removal, out: BinaryIO) -> Rewritten:
    """Write a copy of an Arrow file or stream without the rows of removed images.

    Raises:
        Refused: an image to remove is not in the file, or the file can't be read.
        OSError: a file can't be read or written."""
    listed = [member.name for member in arrow_rows(opened, removal.column)]
    names = [name for name in listed if name]
    check_found(removal.names, set(names))
    keeps = np.array([name not in removal.names for name in names], bool)
    source: Any = pa.memory_map(os.fsdecode(opened.name)) if opened.is_local else pa.PythonFile(opened.file())
    with source:
        is_file = source.read(len(MAGIC)) == MAGIC
        source.seek(8 if is_file else 0)
        schema = pa.ipc.read_schema(source)
        first = kept = unreadable = 0
        images = int((~keeps).sum())
        with (pa.ipc.new_file if is_file else pa.ipc.new_stream)(out, schema) as writer:
            while first < len(keeps):
                batch = pa.ipc.read_record_batch(pa.ipc.read_message(source), schema)
                here = keeps[first : first + len(batch)]
                first += len(batch)
                if not _is_valid(batch):
                    unreadable += len(here)
                    images -= int((~here).sum())
                    continue
                if here.any():
                    writer.write_batch(batch if here.all() else batch.filter(pa.array(here)))
                kept += int(here.sum())
    if kept + images + unreadable != len(names):
        raise Refused("the rows differ from the run's listing")
    note = "" if len(names) == len(listed) and not unreadable else DAMAGED.format(len(names) - unreadable)
    return Rewritten(len(names), kept, images, 0, unreadable, note)


def _is_valid(batch: pa.RecordBatch) -> bool:
    """Return whether all offsets of a record batch lie within its buffers."""
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def count_arrow(path: Path) -> int:
    """Return the number of rows of an Arrow file or stream.

    Raises:
        OSError: the file can't be read.
        Exception: the file is damaged."""
    with pa.memory_map(str(path)) as source:
        is_file = source.read(len(MAGIC)) == MAGIC
        source.seek(0)
        reader = pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source)
        if is_file:
            return sum(len(reader.get_batch(number)) for number in range(reader.num_record_batches))
        return sum(len(batch) for batch in reader)
