"""The one way in which this project writes a file: all of it or nothing."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pipeline.locations import Place
from pipeline.storage import put_whole

TEMPORARY = ".tmp"
"""Ending of a file that is still being written; its name begins with a dot, so that readers of the folder skip it."""


@contextlib.contextmanager
def atomic_write(path: Place) -> Iterator[BinaryIO]:
    """Open `path` for writing; it appears, whole and on disk, when the block ends without an exception.

    The bytes go to a temporary file beside it, which is synced and renamed. Whatever ends the block otherwise,
    KeyboardInterrupt included, leaves neither `path` changed nor the temporary file behind. On an object store it is
    one put, after the block. Raises OSError."""
    if not isinstance(path, Path):
        with put_whole(path) as file:
            yield file
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:120]}.{uuid.uuid4().hex}{TEMPORARY}")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def sweep(folder: Place) -> int:
    """Remove what killed writers left anywhere below `folder`; only for the holder of the run's lock.

    On an object store they leave nothing."""
    if not isinstance(folder, Path):
        return 0
    left = [path for path in folder.rglob(f".*{TEMPORARY}") if path.is_file()]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)
