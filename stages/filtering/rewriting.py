"""Write a copy of one container without removed images, to a temporary file that is checked and then renamed.

The checks: the copy has the expected number of members, and the source still has its stamp."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pipeline.messages.errors import one_line
from pipeline.store.atomic import atomic_write
from stages.decoding.location import ARROWS, PARQUETS, ZIPS
from stages.decoding.opened_file import OpenedFile
from stages.decoding.problems import Unreadable
from stages.filtering.outcome import Refused, Removal, Rewritten
from stages.filtering.ranges import copy

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
"""Errors after which nothing more can be written."""
CHANGED = "the source has changed since the run; run `fast-diff run` again first"
COPIED = "damaged: copied as it is"


class ContainerKind(NamedTuple):
    """The functions of a kind of container: one writes a copy without some members, one counts members."""

    rewrite: Callable[[OpenedFile, Removal, BinaryIO], Rewritten]
    count: Callable[[Path], int]


def container_kind(name: bytes) -> ContainerKind:
    """Return the kind of a container by its extension."""
    ending = name.lower()
    if ending.endswith(PARQUETS):
        from stages.filtering.parquet import count_parquet, rewrite_parquet

        return ContainerKind(rewrite_parquet, count_parquet)
    if ending.endswith(ARROWS):
        from stages.filtering.arrow import count_arrow, rewrite_arrow

        return ContainerKind(rewrite_arrow, count_arrow)
    if ending.endswith(ZIPS):
        from stages.filtering.zip import count_zip, rewrite_zip

        return ContainerKind(rewrite_zip, count_zip)
    from stages.filtering.tar import count_tar, rewrite_tar

    return ContainerKind(rewrite_tar, count_tar)


def current_stamp(name: bytes, trust: str) -> str:
    """Return the stamp of a container, `size/stamp` as in the run. Raises OSError, Unreadable."""
    opened = OpenedFile(name)
    try:
        return _stamp(opened, trust)
    finally:
        opened.close()


def _stamp(opened: OpenedFile, trust: str) -> str:
    return f"{opened.size}/{opened.stamp(trust)}"


def write_container(name: bytes, stamp: str, trust: str, removal: Removal, target: Path) -> Rewritten:
    """Write a copy of a container without removed images to `target`; without removals, the copy is byte by byte.

    stamp  the stamp that the container must still have after the copy; see `current_stamp`

    Raises:
        Refused: the container has changed, or no copy can be written.
        Unreadable: the container is not a file.
        OSError: a file can't be read, or nothing more can be written (see FULL)."""
    opened = OpenedFile(name)
    try:
        return _written(opened, container_kind(name), stamp, trust, removal, target)
    except (Refused, Unreadable):
        raise
    except MemoryError as error:
        raise Refused("writing a copy needs more memory than there is") from error
    except Exception as error:  # hostile bytes
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise Refused(f"no copy can be written ({one_line(str(error))})") from error
    finally:
        opened.close()


def _written(
    opened: OpenedFile, kind: ContainerKind, stamp: str, trust: str, removal: Removal, target: Path
) -> Rewritten:
    with atomic_write(target) as file:
        done = kind.rewrite(opened, removal, file) if removal.names else None
        if done is None:
            copy_whole(opened, file)
        file.flush()
        done = _counted(kind, Path(os.fsdecode(file.name)), done)
        if _stamp(opened, trust) != stamp:
            raise Refused(CHANGED)
    return done


def copy_whole(opened: OpenedFile, out: BinaryIO) -> None:
    """Copy a whole file.

    Raises:
        OSError: a file can't be read or written.
        Refused: the file became shorter meanwhile."""
    try:
        copy(opened.file(), out, opened.size)
    except EOFError as error:
        raise Refused(str(error)) from error


def _counted(kind: ContainerKind, path: Path, done: Rewritten | None) -> Rewritten:
    """Count the members of a result; return the counts of the container.

    done  the expected counts; None for a copy byte by byte

    Raises:
        Refused: the result has another number of members than expected."""
    try:
        count = kind.count(path)
    except Exception as error:  # a copy byte by byte has the damage of its source
        if done is None and not isinstance(error, MemoryError):
            return Rewritten(0, 0, note=COPIED)
        raise
    if done is not None and count != done.kept:
        raise Refused(f"the result has {count:,} members, expected {done.kept:,}; nothing was written")
    return done or Rewritten(count, count)
