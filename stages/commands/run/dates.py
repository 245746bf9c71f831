"""Write a script beside the report's page with facts about the run.

The facts are name and inputs of the run, and the dates of files in the shown clusters.

Names and dates are not part of the report's fingerprint: touching a file or renaming the run redraws no picture. So a
script beside the page holds names and dates; each successful run writes the script, unless it is up to date.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from pipeline.config.settings import Config
from pipeline.plan.fingerprint import digest
from pipeline.store.artifact import StoredArtifact
from pipeline.store.backends.locations import mask
from pipeline.store.store import Store
from stages.cluster import FILENAME
from stages.report.reads import DATES

DATES_FILE = f"report/{DATES}"
KEY = FILENAME.removesuffix(".parquet")
"""Key of the task that makes the clusters."""
VERSION = 3
"""Version of the script's format."""
LETTERS = 30
"""Greatest length of a set's name, made from the names of its folders; a set with a longer name is called a or b."""

log = logging.getLogger("fast_diff")


def draw_dates(config: Config, store: Store) -> Collection[str]:
    """Write the script, unless it is up to date.

    Returns its name, relative to the run's folder.

    Raises ArtifactDamaged where an artifact of the stages cluster or scan can't be read."""
    amount = config.params["plot"].page
    clusters = store.record("cluster", FILENAME, KEY).fingerprint
    about = _about(config)
    mark = digest([VERSION, json.dumps(about), amount, "\n".join(store.names("scan")), clusters])
    try:
        if store.files.size(DATES_FILE) is None or not _is_whole(store.files.read(DATES_FILE), mark):
            store.publish_file(DATES_FILE, _marked(_script(store, about, amount), mark))
    except OSError as error:
        log.warning("%s could not be written: %s", error.filename2 or store.folder / DATES_FILE, error.strerror)
    return (DATES_FILE,)


def _marked(script: bytes, mark: str) -> bytes:
    """Return a script behind a comment line.

    The comment has `mark`, a digest of the script's inputs, and the script's digest."""
    return f"// {mark} {hashlib.sha256(script).hexdigest()}\n".encode() + script


def _is_whole(data: bytes, mark: str) -> bool:
    return data == _marked(data.partition(b"\n")[2], mark)


def _about(config: Config) -> dict[str, Any]:
    """Return the run's name, its inputs in words, and a name for each of its sets."""
    roots = [[mask(str(root)).rstrip("/") for root in config.settings(f"inputs.{name}")] for name in ("a", "b")]
    short = [[root.rpartition("/")[2] or root for root in of_set] for of_set in roots]
    joined = [", ".join(of_set) for of_set in short]
    sets = [words if 0 < len(words) <= LETTERS else name for words, name in zip(joined, ("a", "b"), strict=True)]
    inputs = " against ".join(words for words in reversed(joined) if words)
    return {"run": config.run, "inputs": inputs, "sets": sets if len(set(sets)) == len(sets) else ["a", "b"]}


def _script(store: Store, about: Mapping[str, Any], amount: int | str) -> bytes:
    """Return the script, which sets `globalThis.dates`: `about`, today's date, a digest of the images' paths, and the
    time of each image's last change in seconds since 1970."""
    from stages.clustering.rows import PathIndex
    from stages.report.extremes import number
    from stages.report.page import TITLE, by_worth, in_order, mark_of

    members = StoredArtifact("cluster", KEY, store.path("cluster", FILENAME)).table()
    shown = in_order(members, by_worth(members), number(amount))["path"]
    known, seconds = PathIndex(shown), np.zeros(len(shown), np.int64)
    for name in store.names("scan") if len(shown) else ():
        table = StoredArtifact("scan", name.rpartition("-")[0], store.path("scan", name)).table(("path", "mtime_ns"))
        places = known.of(table["path"])
        seconds[places[places >= 0]] = table["mtime_ns"].to_numpy()[places >= 0] // 10**9
    written = {"images": mark_of(shown.to_pylist()), "written": seconds.tolist()}
    dates = {**about, "date": time.strftime("%Y-%m-%d"), **written}
    return f"globalThis.dates = {json.dumps(dates, separators=(',', ':'))};\n{TITLE}".encode()
