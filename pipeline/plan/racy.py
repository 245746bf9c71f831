"""Record racy files, whose bytes the next run compares.

A racy file was modified so shortly before the scan that a later change may keep the modification time. The paths of
racy files, here called rows, are in <output>/<run>/.doubtful.json, a JSON list.
"""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.plan.tasks import Plan
from pipeline.stage import Address
from pipeline.store.regular import remove_irregular
from pipeline.store.store import Store

RACY_LIST = ".doubtful.json"

log = logging.getLogger("fast_diff.files")


def read(store: Store) -> list[str] | None:
    """Return the racy rows of earlier runs; None if the list is damaged."""
    path = store.folder / RACY_LIST
    if not path.exists() if isinstance(path, Path) else store.files.size(RACY_LIST) is None:
        return []
    rows: object = None
    try:
        rows = json.loads(store.files.read(RACY_LIST))
    except (ValueError, RecursionError) as error:
        log.debug("%s: %s", path, error)
    except OSError as error:
        if error.errno != errno.EINVAL:  # EINVAL: not a regular file
            raise
    if isinstance(rows, list) and all(isinstance(row, str) for row in rows):
        return rows
    log.warning(
        "%s is damaged: expected a list of paths; this run compares the bytes of every file and writes a new list", path
    )
    return None


def write(store: Store, rows: Sequence[str]) -> None:
    """Write the rows for the next run to recheck; without rows, delete the list.

    Raises OSError."""
    if isinstance(store.folder, Path):
        remove_irregular(store.folder / RACY_LIST)
    if rows:
        store.publish_file(RACY_LIST, json.dumps(sorted(rows)).encode(), durable=True)
    elif store.files.size(RACY_LIST) is not None:
        store.files.delete([RACY_LIST])


def by_source(plan: Plan, rows: Collection[str] | None) -> dict[Address, list[str]]:
    """Return the `rows` of each source task; all rows of the tasks if `rows` is None."""
    if rows is not None and not rows:
        return {}
    return {
        address: table.column(0).to_pylist() if rows is None else racy_rows(table, table.column_names[0], rows)
        for address, table in plan.sources.items()
    }


def racy_rows(table: pa.Table, column: str, rows: Collection[str]) -> list[str]:
    """Return the `rows` that occur in a column of a table."""
    values = table.column(column)
    return list(values.filter(pc.is_in(values, pa.array(list(rows), pa.string()))).to_pylist())
