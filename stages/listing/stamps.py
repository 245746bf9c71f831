"""Compute the stamps of files: a file with an equal stamp counts as unchanged."""

from __future__ import annotations

import hashlib
import time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.decoding.reading import read_url
from stages.listing.containers import Container
from stages.listing.table import FileTable
from stages.listing.urls import is_url

RACY_NS = 2_000_000_000
"""Age in nanoseconds below which a file's time stamp is racy.

A racy file may change again without a new time stamp; the next run digests the file again."""


def stamps(files: FileTable, trust: str) -> pa.StringArray:
    """Return the stamp of each file; a file with an equal stamp counts as unchanged.

    A stamp is empty where the bytes can't be read; the thumbnail stage records the error."""
    if trust == "bytes":
        inside = files.container if len(files.container) else np.full(len(files), -1)
        paths = zip(files.paths.to_pylist(), inside.tolist(), strict=True)
        stamped = pa.array([_digest(path) if container < 0 else "" for path, container in paths], pa.string())
    else:
        stamped = pc.cast(pa.array(files.ctimes if trust == "ctime" else files.mtimes), pa.string())
    if files.tags:
        tags = pa.array([files.tags.get(path) for path in files.paths.to_pylist()], pa.string())
        stamped = pc.coalesce(tags, stamped)
    if files.locations is None:
        return stamped
    return pc.coalesce(_of_members(files, files.locations, trust), stamped)


def _of_members(files: FileTable, locations: pa.LargeStringArray, trust: str) -> pa.StringArray:
    """Return the stamps of members; null for other files.

    The stamp of a member consists of the container's size and stamp, and the member's location."""
    states = [state(each, trust) for each in files.containers]
    own = pa.array(np.where(files.container < 0, 0, files.container))
    joined: pa.StringArray = pc.binary_join_element_wise(
        pa.array(states, pa.string()).take(own), locations.cast(pa.string()), " "
    )
    return joined


def state(container: Container, trust: str) -> str:
    """Return size and stamp of a container as text; the stamps of its members start with this text."""
    changed = container.ctime_ns if trust == "ctime" else container.mtime_ns
    return f"{container.size}/{_digest(container.name) if trust == 'bytes' else container.tag or changed}"


def _digest(path: bytes) -> str:
    try:
        if is_url(path):
            return hashlib.sha256(read_url(path.decode())[0]).hexdigest()
        with open(path, "rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        return ""


def racy(table: pa.Table) -> list[str]:
    """Return the paths of racy files.

    A URL's tag identifies the content, so URLs are never racy."""
    tagged = pc.invert(pc.or_(pc.starts_with(table["path"], "/"), pc.equal(table["stamp"], _text(table["mtime_ns"]))))
    young = pc.greater(table["mtime_ns"], time.time_ns() - RACY_NS)
    paths: list[str] = table["path"].filter(pc.and_not(young, tagged)).to_pylist()
    return paths


def _text(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.cast(numbers, pa.string())
