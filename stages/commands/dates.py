"""Dates of the files in the report's clusters, in a script beside its page.

When a file was last written to is no part of what was found: a file that is touched makes no picture anew. So the page
does not hold these dates; they are drawn after each run that succeeded, unless they are there.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection

import numpy as np
import pyarrow as pa

from pipeline.config import Config
from pipeline.fingerprint import digest
from pipeline.store import Store
from stages.cluster import FILENAME
from stages.commands.results import Results
from stages.report.extremes import number
from stages.report.page import DATES, by_worth, in_order, mark_of
from stages.rows import Places

FILE = f"report/{DATES}"
VERSION = 1
"""Raise it when the file comes to look otherwise."""

log = logging.getLogger("fast_diff")


def draw_dates(config: Config, store: Store) -> Collection[str]:
    """Write the dates, unless they are there; returns the file's name, relative to the run's folder."""
    amount = config.params["plot"].page
    clusters = store.record("cluster", FILENAME).fingerprint
    mark = digest([VERSION, amount, "\n".join(store.names("scan")), clusters])
    try:
        if store.files.size(FILE) is None or not store.files.read(FILE).startswith(f"// {mark}\n".encode()):
            store.publish_file(FILE, _script(Results(config.folder), amount, mark))
    except OSError as error:
        log.warning("%s could not be written: %s", store.folder / FILE, error.strerror)
    return (FILE,)


def _script(results: Results, amount: int | str, mark: str) -> bytes:
    """`globalThis.dates`: of which images, and when each was last written to, in seconds since 1970."""
    members = pa.concat_tables(results.tables("cluster"))
    shown = in_order(members, by_worth(members), number(amount))["path"]
    known, seconds = Places(shown), np.zeros(len(shown), np.int64)
    for table in results.tables("scan", ("path", "mtime_ns")) if len(shown) else ():
        places = known.of(table["path"])
        seconds[places[places >= 0]] = table["mtime_ns"].to_numpy()[places >= 0] // 10**9
    dates = {"images": mark_of(shown.to_pylist()), "written": seconds.tolist()}
    return f"// {mark}\nglobalThis.dates = {json.dumps(dates, separators=(',', ':'))};\n".encode()
