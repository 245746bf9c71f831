"""Write a file whole or not at all.

Artifacts and published files are written in no other way.

Guarantees after a power cut, by kind of file (`tests/power` rebuilds the states that a cut may leave, and checks):

    artifact          whole, or absent and made again. The file is synced, then renamed. The name may be lost until the
                      stage's folder is synced, which precedes the run.json that mentions the artifact.
    published files   (the report) never mistaken for the files of another artifact. The retirement of the old artifact
                      is synced before the first file is written. The new artifact gets its name once the files and
                      their folder are synced, all at once: a sync after each of 6,749 previews took most of a run's
                      time.
    run.json          everything in run.json is on disk before run.json, and run.json is on disk when the command ends.
                      A cut before the end of the command may leave the run.json of the previous run.
    .doubtful.json    lists each file whose row in an artifact may be wrong: on disk before the first artifact of a run,
                      shortened after the last. A damaged list costs time, not results: every file is compared.
    .footers.tsv      the index of footers: never synced. A line counts if its checksum is right and the artifact has
                      the size and time in the line; such an artifact is whole.
    .events.jsonl     the event log, and the pages drawn from the log: never synced. Results do not depend on the log.
    .lock             never synced. A lost, empty or damaged lock has no owner, and the next run takes the lock.
    dismissals        contain all new pairs once `dismiss` has ended; before, all or none of the new pairs.
    plan, export      whole, absent, or as before.
    journal           of `apply`: an action and the journal's name are on disk before the action touches its file.
    moved files       by `apply`: whole, under the old name, the new name, or both.

Names of artifacts are synced once, at the end of a run, in 64 ms for 10,000 artifacts. A sync after each artifact would
take 9.8 ms per artifact instead of 8.4 (2.5 without any sync): `python -m tests.benchmarks.syncs 10000`, ext4.
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pipeline.messages.errors import ConfigError
from pipeline.store.backends.locations import Place
from pipeline.store.backends.storage import put_whole

NO_SYNC = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EROFS, errno.EACCES, errno.EPERM)
"""Errors of file systems that can't sync a folder."""
TEMPORARY = ".tmp"
"""Ending of unfinished files; their names begin with a dot, so that readers of the folder skip these files."""


@contextlib.contextmanager
def atomic_write(path: Place, durable: bool = False, synced: bool = True) -> Iterator[BinaryIO]:
    """Open `path` for writing; the file appears whole when the `with` statement ends.

    The bytes go to a temporary file beside `path`, which is synced and renamed. An exception, KeyboardInterrupt
    included, leaves `path` unchanged and no temporary file. With `durable` the file's name is synced, too; without
    `synced` the caller syncs the file later. On an object store the file is written by one put at the end. Raises
    OSError."""
    if not isinstance(path, Path):
        with put_whole(path) as file:
            yield file
        return
    new = (folder.parent for folder in path.parents if not folder.exists())
    folders = [path.parent, *new] if durable else []
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:120]}.{uuid.uuid4().hex}{TEMPORARY}")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            if synced:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    for folder in folders:
        sync_folder(folder)


def sync_file(path: Path) -> None:
    """Sync the content of a file to disk. Raises OSError."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to disk, if possible. Raises OSError."""
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
    """Remove temporary files below `folder`; return their number.

    The caller must hold the run's lock."""
    if not isinstance(folder, Path):  # a killed put leaves nothing
        return 0
    left = [
        Path(inside, name)
        for inside, _, names in os.walk(folder)
        for name in names
        if name.startswith(".") and name.endswith(TEMPORARY)
    ]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


@contextlib.contextmanager
def removed_if_refused(folder: Place) -> Iterator[None]:
    """Remove the run's folder after a ConfigError if the folder is new and empty."""
    new = isinstance(folder, Path) and not folder.exists()
    try:
        yield
    except ConfigError:
        if new and isinstance(folder, Path):
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
