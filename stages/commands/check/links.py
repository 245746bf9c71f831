"""Link a file of a finished run into the folder of a check."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from pathlib import Path

from pipeline.store.atomic import TEMPORARY, atomic_write


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link a file, or copy it where no hard link can be made. Raises OSError."""
    try:
        there, here = source.stat(), target.stat()
        if os.path.samestat(there, here) or (there.st_size, there.st_mtime_ns) == (here.st_size, here.st_mtime_ns):
            return
    except FileNotFoundError:
        target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{uuid.uuid4().hex}{TEMPORARY}")
    try:
        os.link(source, temporary)
        temporary.replace(target)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise
        with source.open("rb") as file, atomic_write(target) as copy:
            shutil.copyfileobj(file, copy)
        stat = source.stat()
        os.utime(target, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    finally:
        temporary.unlink(missing_ok=True)
