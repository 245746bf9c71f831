"""The one way in which this project writes a file: all of it or nothing.

What each kind of file promises after a power cut (`tests/power` rebuilds what a cut may leave, and checks these):

    artifact          whole, or absent and made again. It is synced, then renamed. Its name may be lost until run.json
                      mentions the artifact: before that, the stage's folder is synced.
    files beside one  (the report) never taken for those of another artifact. The old artifact is retired, on disk,
                      before the first file is written; the new one gets its name after the files' folder is synced.
    run.json          all that it mentions is on disk before it, and it is on disk when the command ends. After an
                      earlier cut, the run.json of the previous run is there.
    .doubtful.json    names each file whose row in an artifact may be wrong: on disk before the first artifact of a run,
                      and shortened after the last. A damaged list costs time, not results: every file is compared.
    .footers.tsv      the index of footers: never synced. A line counts if its checksum fits and the artifact has the
                      size and time in it; such an artifact is whole.
    .events.jsonl     the event log, and the pages drawn from it: never synced. They decide nothing.
    .lock             never synced. A lost, empty or damaged lock has no owner, and the next run takes it.
    dismissals        with all new pairs once `dismiss` has ended; before, with all or none of them.
    plan, export      whole, absent, or as before.
    journal           of `apply`: an act is on disk before its file is touched, and so is the journal's name.
    moved files       by `apply`: whole, under the old name, the new one, or both.

Names of artifacts are synced once, as a run ends. To sync each of 10,000 would take 9.8 ms an artifact instead of 8.4
(2.5 with no sync at all); once for all takes 64 ms (`python -m tests.benchmarks.syncs 10000`, ext4).
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pipeline.store.backends.locations import Place
from pipeline.store.backends.storage import put_whole

NO_SYNC = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EROFS, errno.EACCES, errno.EPERM)
"""Errors of file systems that can't sync a folder."""
TEMPORARY = ".tmp"
"""Ending of a file that is still being written; its name begins with a dot, so that readers of the folder skip it."""


@contextlib.contextmanager
def atomic_write(path: Place, durable: bool = False) -> Iterator[BinaryIO]:
    """Open `path` for writing; the whole file appears when the `with` statement ends without an exception.

    The bytes go to a temporary file beside `path`, which is synced and renamed. An exception, KeyboardInterrupt
    included, leaves `path` unchanged and no temporary file. With `durable` the file's name is synced, too. On an object
    store the file is written by one put at the end. Raises OSError."""
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
            temporary.unlink()
        raise
    for folder in folders if durable else ():
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to disk; does nothing where the folder can't be opened or its file system has no sync.

    Raises OSError where the disk fails."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise
    finally:
        os.close(descriptor)


def sweep(folder: Place) -> int:
    """Remove what killed writers left anywhere below `folder`; only for the holder of the run's lock.

    On an object store they leave nothing."""
    if not isinstance(folder, Path):
        return 0
    left = [path for path in folder.rglob(f".*{TEMPORARY}") if path.is_file()]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)
