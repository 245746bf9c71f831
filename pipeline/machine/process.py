"""What a process keeps to while it runs tasks: threads, and memory."""

from __future__ import annotations

import contextlib
import ctypes
import functools

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""glibc's names for how much may lie idle at the top of a heap, and how large a piece is got from the system alone."""
IDLE, ALONE = 1 << 27, 1 << 25


@functools.cache
def prepare() -> object:
    """Hold BLAS and OpenMP to one thread in this process, whatever the environment says: tasks are the parallelism.
    Kept for the life of the process, since limits that end would end under other tasks.

    And have glibc keep the memory of one task for the next one. Dask's nannies have it given back at once; then a task
    spends up to a quarter of its time on getting pages anew."""
    import threadpoolctl

    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library knows no such thing
        library = ctypes.CDLL(None)
        library.mallopt(M_TRIM_THRESHOLD, IDLE)
        library.mallopt(M_MMAP_THRESHOLD, ALONE)
    return threadpoolctl.threadpool_limits(1)
