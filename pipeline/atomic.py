"""The one way in which this project writes a file: all of it or nothing.

What a file promises after a power cut; `tests/power` rebuilds what a cut may leave, and holds the program to this:

    artifact          whole, or absent and made again. It is synced, then renamed; the name may be lost as long as
                      nothing tells of the artifact. Before run.json does, the stage's folder is synced.
    files beside one  (the report) never taken for those of another artifact. The old artifact is retired, on disk,
                      before the first file is written; their folder is synced before the new one has its name.
    run.json          all that it tells of is on disk before it, and it is on disk when the command ends. A cut before
                      leaves that of the run before.
    .doubtful.json    names each file that an artifact may tell wrongly: on disk before the first artifact of a run, and
                      shortened after the last.
    .footers.tsv      the index of footers: never synced. A line counts if its checksum fits, and if the artifact is
                      there with that size and time; then that is whole.
    .events.jsonl     how the work went, and the pages drawn from that: never synced. They decide nothing.
    .lock             never synced. Lost, empty or spoilt it has no owner, and the next run takes it.
    dismissals        with all pairs that `dismiss` called added when it ended, else with all or none of them.
    plan, export      whole, absent, or as before.
    journal           of `apply`: an act is on disk before its file is touched, with the journal's own name.
    what is moved     by `apply`: under its old name or under its new one, whole, or under both.

Names of artifacts are synced once, as a run ends: with each of 10,000 it would take 1.3 ms more for each of them (9.8
instead of 8.4; 2.5 with no sync at all), and in the end 64 ms for all (`python -m tests.benchmarks.syncs 10000`, ext4).
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pipeline.locations import Place
from pipeline.storage import put_whole

NO_SYNC = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EROFS, errno.EACCES, errno.EPERM)
"""Errors of file systems that sync no folder."""
TEMPORARY = ".tmp"
"""Ending of a file that is still being written; its name begins with a dot, so that readers of the folder skip it."""


@contextlib.contextmanager
def atomic_write(path: Place, durable: bool = False) -> Iterator[BinaryIO]:
    """Open `path` for writing; the file appears, whole, when the block ends without an exception.

    The bytes go to a temporary file beside `path`, which is synced and renamed. Whatever ends the block otherwise,
    KeyboardInterrupt included, leaves neither `path` changed nor the temporary file behind. With `durable` the name is
    on disk, too, when the block has ended. On an object store the file is one put, after the block. Raises OSError."""
    if not isinstance(path, Path):
        with put_whole(path) as file:
            yield file
        return
    folders = [path.parent, *(folder.parent for folder in path.parents if not folder.exists())]
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
    for folder in folders if durable else ():
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on disk, where one may open it and its file system syncs folders.

    Raises OSError where the disk fails."""
    try:
        number = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise
    finally:
        os.close(number)


def sweep(folder: Place) -> int:
    """Remove what killed writers left anywhere below `folder`; only for the holder of the run's lock.

    On an object store they leave nothing."""
    if not isinstance(folder, Path):
        return 0
    left = [path for path in folder.rglob(f".*{TEMPORARY}") if path.is_file()]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)
